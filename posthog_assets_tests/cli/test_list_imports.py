"""The command that lists the imports of a project."""

from __future__ import annotations

import json
from pathlib import Path

from posthog_assets_tests.records.shop import invoke, package_of, write_import


def test_the_imports_of_a_project_are_listed_with_those_that_are_broken(project: Path) -> None:
    write_import(project, "http://127.0.0.1:9")
    listed = invoke(project, "list", "--json")
    (found,) = json.loads(listed.output)["imports"]
    assert found == {
        "import": "shop", "first_day": "2024-03-01", "last_day": "2024-03-31", "source": "files", "dialect": "columns",
        "destination": "http://127.0.0.1:9",
    }  # fmt: skip
    assert listed.exit_code == 0


def test_an_import_that_cannot_be_loaded_is_named_with_its_reason(project: Path) -> None:
    write_import(project, "http://127.0.0.1:9")
    broken = project / package_of(project) / "defs/broken/defs.yaml"
    broken.parent.mkdir()
    broken.write_text("type: posthog_assets.HistoricalImport\nattributes: {name: broken}\n")
    found = json.loads(invoke(project, "list", "--json").output)
    assert [one["import"] for one in found["imports"]] == ["shop"]
    assert ["start_date" in why for why in found["broken"].values()] == [True]
    shown = invoke(project, "list")
    assert (shown.exit_code, "broken cannot be loaded" in shown.output) == (1, True)
