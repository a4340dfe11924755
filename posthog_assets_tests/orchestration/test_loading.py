"""Several imports side by side: two into different projects, and broken ones that stop only themselves."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import dagster as dg
import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.orchestration.find_imports import all_imports, find_import
from posthog_assets.orchestration.loading import load_imports
from posthog_assets_tests.orchestration.test_definitions import IMPORT, PROJECT

SHOP, CLUB = IMPORT, IMPORT.replace("name: shop", "name: club").replace("SHOP_POSTHOG", "CLUB_POSTHOG")
HOSTS = {"SHOP_POSTHOG_HOST": "https://eu.i.posthog.com", "CLUB_POSTHOG_HOST": "https://posthog.club.example"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somebody else's Dagster project with the imports shop and club, and room for another one."""
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    for name, text in (("shop", SHOP), ("teams/club", CLUB)):
        folder = tmp_path / "elsewhere/defs" / name
        folder.mkdir(parents=True)
        (folder / "defs.yaml").write_text(text)
    for package in (tmp_path / "elsewhere", tmp_path / "elsewhere/defs"):
        (package / "__init__.py").touch()
    for name in [name for name in sys.modules if name.split(".")[0] == "elsewhere"]:
        del sys.modules[name]
    monkeypatch.syspath_prepend(tmp_path)
    for name, value in HOSTS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SHOP_POSTHOG_KEY", "phc_shop")
    monkeypatch.setenv("CLUB_POSTHOG_KEY", "phc_club")
    return tmp_path / "elsewhere"


def add(project: Path, text: str, name: str = "third") -> None:
    (project / "defs" / name).mkdir()
    (project / "defs" / name / "defs.yaml").write_text(text)


def assets(definitions: dg.Definitions) -> dict[str, set[str]]:
    """Return the names of the assets by group."""
    found: dict[str, set[str]] = {}
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        found.setdefault(graph.get(key).group_name or "", set()).add(key.path[-1])
    return found


STEPS = {"raw_export", "staged_events", "posthog_events", "imported_batches", "landed_events"}


def test_two_imports_stand_side_by_side_with_groups_and_projects_of_their_own(project: Path) -> None:
    assert assets(load_imports(project)) == {"shop": STEPS, "club": STEPS}
    shop, club = find_import("shop", project).destination, find_import("club", project).destination
    assert (shop.host, club.host) == ("https://eu.i.posthog.com", "https://posthog.club.example")
    assert shop.project_api_key
    assert club.project_api_key
    assert (shop.project_api_key.get_secret_value(), club.project_api_key.get_secret_value()) == (
        "phc_shop",
        "phc_club",
    )


BROKEN = {
    "a wrong field": (IMPORT.replace("{column: customer}", "{colum: customer}"), ["third/defs.yaml", "user_id.colum"]),
    "an unknown field": (IMPORT.replace("start_date:", "start_day:"), ["start_day", "defs.yaml"]),
    "no YAML": ("type: [posthog_assets", ["defs.yaml"]),
    "an unknown type": (IMPORT.replace("posthog_assets.HistoricalImport", "nowhere.Import"), ["nowhere"]),
    "a name taken": (IMPORT, ["shop/raw_export is defined by shop already; choose another name"]),
    "an empty file": ("", []),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_import_file_stops_only_its_own_import_and_says_why_in_log_and_ui(
    what: str, project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text, words = BROKEN[what]
    add(project, text)
    with caplog.at_level(logging.WARNING, "posthog_assets"):
        definitions = load_imports(project)
    assert assets(definitions) == {"shop": STEPS, "club": STEPS, "broken_imports": {"third"}}
    assert definitions.resolve_job_def("import_club")
    description = definitions.resolve_asset_graph().get(dg.AssetKey(["broken_imports", "third"])).description or ""
    for word in ["third is not loaded, the other imports are", *words]:
        assert word in description
        assert word in caplog.text
    result = dg.materialize(
        [
            asset
            for asset in definitions.resolve_asset_graph().assets_defs
            if dg.AssetKey(["broken_imports", "third"]) in asset.keys
        ],
        raise_on_error=False,
    )
    assert not result.success


def test_dg_check_defs_fails_where_an_import_is_broken(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_IS_DEFS_VALIDATION_CLI", "1")
    assert "shop" in assets(load_imports(project))
    add(project, BROKEN["a wrong field"][0])
    with pytest.raises(ImportFileError, match="(?s)Imports that cannot be loaded: 1\nthird: .*colum"):
        load_imports(project)


def test_broken_python_beside_the_imports_stops_only_itself(project: Path) -> None:
    (project / "defs/hooks.py").write_text("import a_module_that_nobody_has\n")
    (project / "defs/other.py").write_text("import dagster as dg\n\n@dg.asset\ndef mine(): ...\n")
    add(project, "type: [")
    assert assets(load_imports(project)) == {
        "shop": STEPS, "club": STEPS, "default": {"mine"}, "broken_imports": {"hooks", "third"},
    }  # fmt: skip


def test_a_secret_that_stands_in_a_broken_file_is_not_shown(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = '"{{ env.SHOP_POSTHOG_KEY }}"'
    add(project, IMPORT.replace(key, "phc_in_the_file").replace("start_date:", "start_day:"))
    definitions = load_imports(project)
    description = definitions.resolve_asset_graph().get(dg.AssetKey(["broken_imports", "third"])).description or ""
    assert "start_day" in description
    assert "phc_in_the_file" not in description + caplog.text


def test_of_two_imports_of_one_name_the_command_line_names_the_second_as_broken(project: Path) -> None:
    add(project, SHOP, "twice")
    found, broken = all_imports(project)
    assert sorted(found) == ["club", "shop"]
    assert broken == {"twice": "the import shop is defined by shop already; choose another name"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "defs.yaml is empty (posthog-assets init writes one)"),
        ("type: a: b\n", "defs.yaml is no valid YAML: mapping values are not allowed here"),
        ("\ttype: a\n", "defs.yaml is no valid YAML: while scanning for the next token"),
        (SHOP.replace("HistoricalImport", "HistoricalImprt"), "that of an import is posthog_assets.HistoricalImport"),
        (SHOP.replace("  dialect:", "  dialct:"), "is no field here; did you mean dialect?"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_a_sentence(text: str, words: str, project: Path) -> None:
    add(project, text)
    _, broken = all_imports(project)
    assert words in broken["third"]
    assert "Error: " not in broken["third"]


def test_the_command_line_finds_an_import_beside_a_broken_one_and_says_what_is_broken(project: Path) -> None:
    add(project, BROKEN["a wrong field"][0])
    assert find_import("club", project).name == "club"
    with pytest.raises(ImportFileError, match="(?s)^third cannot be loaded: .*colum"):
        find_import("third", project)
