"""`posthog-assets init`, as somebody with a pile of files runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from posthog_assets.cli.main import cli
from posthog_assets.core.errors import ImportFileError
from posthog_assets_tests.records.exports import EXPORTS, lines, made
from posthog_assets_tests.records.shop import invoke, package_of


def init(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["init", *arguments], env={"COLUMNS": "200"}, catch_exceptions=False)


@pytest.mark.end_to_end
def test_in_an_empty_folder_a_project_is_made_whose_import_can_be_previewed(tmp_path: Path) -> None:
    exports, folder = tmp_path / "exports", tmp_path / "work"
    exports.mkdir()
    folder.mkdir()
    where = EXPORTS["amplitude"](exports)
    command = [sys.executable, "-m", "posthog_assets"]
    first = subprocess.run(
        [*command, "init", "shop", "--from", str(where)], cwd=folder, capture_output=True, text=True, check=True
    )
    assert "wrote" in first.stdout
    following = first.stdout.split("next: posthog-assets ")[1].split()
    assert following == ["preview", "shop", "--day", "2024-03-01"]
    second = subprocess.run([*command, *following], cwd=folder, capture_output=True, text=True, check=True)
    assert "120 raw records become" in second.stdout
    assert (folder / "work_imports/defs/import-file.schema.json").exists()


def test_in_a_project_the_file_goes_to_the_other_imports(project: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(made("columns")))
    found = init("other", "--from", str(tmp_path / "a.jsonl"), "--project", str(project))
    path = project / package_of(project) / "defs/other/defs.yaml"
    assert found.exit_code == 0
    assert path.read_text().splitlines()[0] == "# yaml-language-server: $schema=../import-file.schema.json"
    assert "24 raw records become" in invoke(project, "preview", "other", "--day", "2024-03-01").output


def test_an_import_file_that_exists_is_left_alone_unless_it_is_to_be_replaced(project: Path) -> None:
    path = project / package_of(project) / "defs/shop/defs.yaml"
    path.write_text("mine")
    with pytest.raises(ImportFileError, match="exists already; choose another name, or replace it with --force"):
        init("shop", "--source", "files", "--project", str(project))
    assert path.read_text() == "mine"
    init("shop", "--source", "files", "--force", "--project", str(project))
    assert "type: files" in path.read_text()


def test_a_dry_run_prints_the_file_and_writes_nothing(project: Path) -> None:
    before = sorted(project.rglob("*"))
    found = init("other", "--source", "amplitude", "--dry-run", "--project", str(project))
    assert found.output.startswith("# Written by `posthog-assets init`")
    assert 'api_key: "{{ env.AMPLITUDE_API_KEY }}"' in found.output
    assert sorted(project.rglob("*")) == before


def test_a_dry_run_prints_nothing_but_the_file_where_it_looks_at_data(project: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(made("columns")))
    found = init("other", "--from", str(tmp_path / "a.jsonl"), "--dry-run", "--project", str(project))
    assert yaml.safe_load(found.stdout)["attributes"]["name"] == "other"
    assert found.stdout.startswith("# Written by `posthog-assets init`")
    assert "What the data shows" in found.stderr
    assert "records as events" in found.stderr


def test_columns_are_named_by_their_role(project: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"who": "u", "at": "2024-03-01T10:00:00Z", "kde": "x"}\n' * 3)
    arguments = ("other", "--from", str(tmp_path / "a.jsonl"), "--project", str(project), "--dry-run")
    found = init(*arguments, "--column", "event=kde")
    assert yaml.safe_load(found.stdout)["attributes"]["dialect"]["event"] == {"column": "kde"}
    assert "'name' is not ROLE=COLUMN; roles: event, user_id" in init(*arguments, "--column", "name=kde").output
    assert "--from points at: give both" in init("other", "--source", "files", "--column", "event=kde").output


def test_without_a_terminal_it_says_what_it_needs() -> None:
    with pytest.raises(
        ImportFileError, match=r"--from PATH_OR_URL .* or which source it is, --source amplitude\|dlt\|files\|"
    ):
        init("shop")
    with pytest.raises(ImportFileError, match="no template for the source 'x'; there are: amplitude, dlt, files"):
        init("shop", "--source", "x")


def test_the_schema_is_json_and_names_every_section() -> None:
    schema = json.loads(CliRunner().invoke(cli, ["schema"], catch_exceptions=False).output)
    assert schema["required"] == ["type", "attributes"]
    assert {"source", "dialect", "mapping", "destination", "automation"} <= schema["properties"]["attributes"][
        "properties"
    ].keys()


def test_the_project_is_found_from_a_folder_inside_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = project / "exports"
    monkeypatch.chdir(inside)
    found = CliRunner().invoke(cli, ["init", "deep", "--source", "files"], catch_exceptions=False)
    assert found.exit_code == 0
    assert (project / package_of(project) / "defs/deep/defs.yaml").exists()
    assert os.listdir(inside) == ["2024-03-01.jsonl"]  # noqa: PTH208
