"""The code location loads, the component works in other projects, and a wrong import file is explained."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

import posthog_assets
from posthog_assets.orchestration.component import HistoricalImport

ROOT = Path(__file__).resolve().parents[2]

#: Libraries of commands, sources and steps that few runs use; each takes up to a second to load.
SELDOM_USED = {
    "altair", "boto3", "celery", "chdb", "dlt", "duckdb", "fastavro", "httpx", "maxminddb", "pandas", "posthog",
    "psycopg", "pymysql", "redis", "requests", "s3fs", "sqlalchemy",
}  # fmt: skip


def test_rooms_below_the_assets_never_import_dagster() -> None:
    code = (
        "import sys, posthog_assets.pipeline.deliver, posthog_assets.sources, posthog_assets.dialects;"
        "import posthog_assets.mapping;"
        "sys.exit('dagster' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_loading_the_code_location_loads_no_library_that_only_some_runs_use() -> None:
    code = (
        "import sys, posthog_assets.definitions, posthog_assets.cli.status, posthog_assets.cli.check;"
        "posthog_assets.definitions.defs();"
        f"print(*sorted({SELDOM_USED!r} & sys.modules.keys()))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    assert loaded.stdout.split() == []


def test_commands_that_ask_dagster_nothing_find_their_import_without_it() -> None:
    commands = ("changes", "check", "compare", "init", "list_imports", "preview", "rejected", "undo")
    code = (
        f"import sys, {', '.join(f'posthog_assets.cli.{command}' for command in commands)};"
        "from posthog_assets.orchestration.find_imports import find_import;"
        "assert find_import('nycflights').name == 'nycflights';"
        f"print(*sorted(({SELDOM_USED!r} | {{'dagster', 'tomlkit'}}) & sys.modules.keys()))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert loaded.stdout.split() == []


def test_help_loads_no_library_but_the_one_that_reads_arguments() -> None:
    code = (
        "import sys; from posthog_assets.cli.main import cli; cli(['--help'], standalone_mode=False);"
        "print(*sorted({'dagster', 'numpy', 'orjson', 'pyarrow', 'pydantic', 'rich', 'yaml'} & sys.modules.keys()))"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    assert "Bring historical product-analytics data into PostHog" in shown.stdout
    assert shown.stdout.splitlines()[-1] == ""


PROJECT = """
[build-system]
requires = ["hatchling"]
[project]
name = "elsewhere"
version = "0"
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "elsewhere"
"""
IMPORT = """
type: posthog_assets.HistoricalImport
attributes:
  name: shop
  start_date: "2024-01-01"
  source: {type: files, path: "exports/{day}.csv"}
  dialect:
    type: columns
    event: {value: bought}
    user_id: {column: customer}
    timestamp: {column: at}
  destination:
    host: "{{ env.SHOP_POSTHOG_HOST }}"
    project_api_key: "{{ env.SHOP_POSTHOG_KEY }}"
"""


def elsewhere(tmp_path: Path, text: str) -> dg.Definitions:
    """Load *text* as the only import of somebody else's Dagster project."""
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    folder = tmp_path / "elsewhere/defs/shop"
    folder.mkdir(parents=True)
    for package in (tmp_path / "elsewhere", tmp_path / "elsewhere/defs"):
        (package / "__init__.py").touch()
    (folder / "defs.yaml").write_text(text)
    for name in [name for name in sys.modules if name.split(".")[0] == "elsewhere"]:
        del sys.modules[name]
    return dg.load_from_defs_folder(path_within_project=tmp_path / "elsewhere")


def test_the_component_works_in_another_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SHOP_POSTHOG_KEY", "phc_from_the_environment")
    definitions = elsewhere(tmp_path, IMPORT)
    assert dg.AssetKey(["shop", "imported_batches"]) in definitions.resolve_asset_graph().get_all_asset_keys()
    assert posthog_assets.HistoricalImport is HistoricalImport


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("start_date:", "start_day:", ["start_day", "defs.yaml"]),
        ('"2024-01-01"', '"01.01.2024"', ["start_date", "defs.yaml"]),
        ("type: columns", "type: colums", ["dialect", "'colums' is unknown; did you mean columns?; allowed: columns"]),
        ("{column: customer}", "{colum: customer}", ["user_id", "colum"]),
        ('path: "exports/{day}.csv"', 'path: "exports/all.csv"', ["either path holds {day}"]),
        ("name: shop", 'name: "my shop"', ["name 'my shop' must be a letter followed by"]),
        ('"{{ env.SHOP_POSTHOG_HOST }}"', "eu.posthog.com", ["destination.host", "must be a URL"]),
    ],
)
def test_a_wrong_import_file_is_refused_naming_file_and_field(
    old: str, new: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    assert old in IMPORT
    with pytest.raises(Exception) as caught:  # noqa: PT011
        elsewhere(tmp_path, IMPORT.replace(old, new))
    said, cause = "", caught.value
    while cause:
        said += f"{cause}\n"
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
    for word in words:
        assert word in said
