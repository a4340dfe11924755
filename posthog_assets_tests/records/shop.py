"""A Dagster project of somebody's own with one import, `shop`, and the command line on it."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from posthog_assets.cli.main import cli
from posthog_assets.pipeline.config.import_file import Import

DAY = date(2024, 3, 1)
LINES = [
    {"id": "1", "user": "ann", "at": "2024-03-01T10:00:00Z", "what": "page"},
    {"id": "2", "user": "ann", "at": "not a time", "what": "page"},
    {"id": "3", "user": "null", "at": "2024-03-01T10:00:01Z", "what": "page"},
    {"id": "4", "user": "bob", "at": "2024-03-01T10:00:02Z", "what": "heartbeat"},
    {"id": "5", "user": "bob", "at": "2024-03-01T10:00:03Z", "what": "page"},
]


def package_of(project: Path) -> str:
    return f"shop_{project.name}"


def make_project(tmp_path: Path) -> Path:
    """Make the project with a day's export; `write_import` adds the import file."""
    # Python keeps modules: each test's project has a name of its own.
    package = package_of(tmp_path)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\n'
        f'root_module = "{package}"\ndefs_module = "{package}.defs"\n'
    )
    for folder in (package, f"{package}/defs", f"{package}/defs/shop", "exports"):
        (tmp_path / folder).mkdir()
        if folder != "exports":
            (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "exports/2024-03-01.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return tmp_path


def write_import(project: Path, url: str, **changes: Any) -> Import:
    """Write the import file, with *changes* of its attributes, and return the import."""
    attributes: dict[str, Any] = {
        "name": "shop",
        "start_date": "2024-03-01",
        "end_date": "2024-03-31",
        "storage": str(project / "data"),
        "source": {"type": "files", "path": str(project / "exports/{day}.jsonl")},
        "dialect": {
            "type": "columns",
            "event": {"column": "what"},
            "user_id": {"column": "user"},
            "timestamp": {"column": "at"},
            "source_id": {"column": "id"},
        },
        "mapping": {"events": {"heartbeat": None}},
        "destination": {"host": url, "project_api_key": "phc_any", "concurrency": 1},
    }
    attributes |= changes
    content = {"type": "posthog_assets.HistoricalImport", "attributes": attributes}
    (project / package_of(project) / "defs/shop/defs.yaml").write_text(yaml.safe_dump(content))
    return Import.read(attributes)


def invoke(project: Path, *arguments: str) -> Any:
    return CliRunner().invoke(cli, [*arguments, "--project", str(project)], env={"COLUMNS": "200"})
