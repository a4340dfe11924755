"""The public name by which code locations of other projects load their imports."""

from __future__ import annotations

from pathlib import Path

from posthog_assets.loading import load_imports
from posthog_assets_tests.records.shop import package_of, write_import


def test_another_project_loads_its_imports_by_the_name_that_its_code_location_has(project: Path) -> None:
    write_import(project, "http://127.0.0.1:9")
    definitions = load_imports(project / package_of(project))
    assert {key.path[0] for key in definitions.resolve_asset_graph().get_all_asset_keys()} == {"shop"}
