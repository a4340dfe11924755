"""Finding an import by its name, beside others that cannot be loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.orchestration.find_imports import all_imports, find_import
from posthog_assets_tests.records.shop import package_of, write_import

TRIAL = {"persons": 0.5, "destination": {"host": "http://127.0.0.1:9", "project_api_key": "phc_test"}}


def add(project: Path, folder: str, text: str) -> None:
    path = project / package_of(project) / "defs" / folder / "defs.yaml"
    path.parent.mkdir()
    path.write_text(text)


def test_an_import_and_its_trial_are_found_by_their_names(project: Path) -> None:
    write_import(project, "http://127.0.0.1:9", trial=TRIAL)
    found, broken = all_imports(project / "exports")
    assert (sorted(found), broken) == (["shop", "shop_trial"], {})
    assert find_import("shop_trial", project).raw_owner == "shop"


def test_of_a_name_that_there_is_not_the_closest_is_named(project: Path) -> None:
    write_import(project, "http://127.0.0.1:9", trial=TRIAL)
    with pytest.raises(ImportFileError) as raised:
        find_import("Shops", project)
    assert str(raised.value) == "there is no import 'Shops'; did you mean shop?; there are: shop, shop_trial"


def test_beside_a_broken_file_the_others_are_found_and_its_own_name_says_what_is_wrong(project: Path) -> None:
    write_import(project, "http://127.0.0.1:9")
    add(project, "club", "type: posthog_assets.HistoricalImport\nattributes: {name: club}\n")
    found, broken = all_imports(project)
    assert (list(found), list(broken)) == (["shop"], ["club"])
    with pytest.raises(ImportFileError, match="(?s)^club cannot be loaded: .*start_date"):
        find_import("club", project)
    with pytest.raises(ImportFileError, match="(?s)^there is no import 'pub'.*; there are: shop\nclub cannot be lo"):
        find_import("pub", project)


def test_a_folder_of_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="is in no Dagster project"):
        all_imports(tmp_path)
