"""`dg scaffold defs posthog_assets.HistoricalImport` writes what `posthog-assets init` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster.components.scaffold.scaffold import get_scaffolder

from posthog_assets.core.errors import ImportFileError
from posthog_assets.orchestration.component import HistoricalImport
from posthog_assets_tests.records.exports import EXPORTS


def scaffold(folder: Path, *, scaffold_format: Any = "yaml", **params: Any) -> None:
    scaffolder: Any = get_scaffolder(HistoricalImport)
    folder.mkdir()
    request = dg.ScaffoldRequest(
        type_name="posthog_assets.HistoricalImport",
        target_path=folder,
        scaffold_format=scaffold_format,
        project_root=folder.parent,
        params=scaffolder.get_scaffold_params().model_validate(params),
    )
    scaffolder.scaffold(request)


def test_a_template_has_the_name_of_its_folder(tmp_path: Path) -> None:
    scaffold(tmp_path / "shop", source="amplitude")
    attributes = yaml.safe_load((tmp_path / "shop/defs.yaml").read_text())["attributes"]
    assert (attributes["name"], attributes["source"]["type"]) == ("shop", "amplitude")


def test_data_is_looked_at(tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    exports.mkdir()
    scaffold(tmp_path / "shop", **{"from": str(EXPORTS["pendo"](exports))})
    attributes = yaml.safe_load((tmp_path / "shop/defs.yaml").read_text())["attributes"]
    assert (attributes["dialect"]["type"], attributes["start_date"]) == ("pendo", "2024-03-01")


def test_columns_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"who": "u", "at": "2024-03-01T10:00:00Z", "kde": "x"}\n' * 3)
    scaffold(tmp_path / "shop", **{"from": str(tmp_path / "a.jsonl")}, column=["event=kde"])
    attributes = yaml.safe_load((tmp_path / "shop/defs.yaml").read_text())["attributes"]
    assert attributes["dialect"]["event"] == {"column": "kde"}
    with pytest.raises(ImportFileError, match=r"column 'name' is not ROLE=COLUMN; roles: event, user_id"):
        scaffold(tmp_path / "again", **{"from": str(tmp_path / "a.jsonl")}, column=["name=kde"])


def test_an_import_cannot_be_written_in_python(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match=r"an import is a defs\.yaml"):
        scaffold(tmp_path / "shop", scaffold_format="python")
