"""Finding the folder of a Dagster project, and making one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.orchestration.project_folder import defs_folder, find_project, import_folders, make_project


def test_a_made_project_is_found_from_any_folder_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    root = tmp_path / "My Shop"
    root.mkdir()
    defs = make_project(root)
    assert defs == root / "my_shop_imports/defs"
    assert (find_project(defs), defs_folder(defs)) == (root, defs)


def test_a_pyproject_that_is_there_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "mine"\n')
    defs = make_project(tmp_path)
    assert (tmp_path / "pyproject.toml").read_text() == '[project]\nname = "mine"\n'
    assert defs_folder(tmp_path) == defs


def test_imports_are_named_by_their_folders(tmp_path: Path) -> None:
    defs = make_project(tmp_path)
    for name in ("shop", "app"):
        (defs / name).mkdir()
        (defs / name / "defs.yaml").touch()
    (defs / "other").mkdir()
    assert import_folders(tmp_path) == ["app", "shop"]


def test_outside_a_project_the_import_of_the_demo_is_named(tmp_path: Path) -> None:
    assert import_folders(tmp_path) == ["nycflights"]


def test_a_folder_in_no_project_says_how_to_make_one(tmp_path: Path) -> None:
    assert defs_folder(tmp_path) is None
    with pytest.raises(ImportFileError, match="is in no Dagster project: .*`posthog-assets init` makes one"):
        find_project(tmp_path)


def test_a_package_that_is_something_else_is_not_taken_for_a_project(tmp_path: Path) -> None:
    package = make_project(tmp_path).parent
    with pytest.raises(ImportFileError, match="exists already"):
        make_project(tmp_path)
    assert (package / "definitions.py").exists()


def test_a_project_file_that_is_broken_or_names_no_folder_is_explained(tmp_path: Path) -> None:
    config = tmp_path / "dg.toml"
    config.write_text('[project]\nroot_module = "gone"\n')
    with pytest.raises(ImportFileError, match=r"there is no folder for the module gone\.defs"):
        defs_folder(tmp_path)
    config.write_text("[project")
    with pytest.raises(ImportFileError, match=r"dg\.toml cannot be read"):
        defs_folder(tmp_path)
