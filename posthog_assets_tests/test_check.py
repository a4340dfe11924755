"""The commands that say what may go wrong, and what did."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from posthog_assets.cli import cli
from posthog_assets.import_file import Import
from posthog_assets.steps import deliver_day, export_day, rejected_path, stage_day, transform_day
from posthog_assets_tests.capture.server import CaptureServer, Reply

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


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Dagster project of somebody's own with one import, `shop`."""
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
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def write_import(project: Path, url: str) -> Import:
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
    content = {"type": "posthog_assets.HistoricalImport", "attributes": attributes}
    (project / package_of(project) / "defs/shop/defs.yaml").write_text(yaml.safe_dump(content))
    return Import.read(attributes)


def invoke(project: Path, *arguments: str) -> Any:
    return CliRunner().invoke(cli, [*arguments, "--project", str(project)], env={"COLUMNS": "200"})


def test_everything_that_did_not_arrive_is_a_row_with_its_reason_and_place(project: Path) -> None:
    def script(asked: Any) -> Reply:
        return Reply(verdicts={asked.uuids[-1]: {"result": "drop", "details": "event_restriction_drop"}})

    with CaptureServer(script) as server:
        imp = write_import(project, server.url)
        for step in (export_day, stage_day, transform_day, deliver_day):
            step(imp, DAY)
    table = pq.read_table(imp.store.path(rejected_path(DAY)).path).to_pylist()
    assert [(row["asset"], row["source_id"], row["raw_line"]) for row in table] == [
        ("staged_events", None, 2),
        ("posthog_events", "3", 3),
        ("posthog_events", "4", 4),
        ("imported_batches", "5", 5),
    ]
    assert [row["reason"].split(":")[0] for row in table[2:]] == [
        "excluded by mapping.events",
        "event_restriction_drop",
    ]
    shown = invoke(project, "rejected", "shop", "--day", "2024-03-01")
    assert shown.exit_code == 0
    assert "event_restriction_drop" in shown.output
    lines = invoke(project, "rejected", "shop", "--day", "2024-03-01", "--limit", "0", "--reason", "excluded")
    assert [json.loads(line)["event"] for line in lines.output.splitlines()] == ["heartbeat"]
    assert "nothing of shop" in invoke(project, "rejected", "shop", "--day", "2024-03-02").output


def test_after_a_fix_of_the_mapping_what_was_dropped_is_sent(project: Path) -> None:
    with CaptureServer(lambda asked: Reply(verdicts={u: {"result": "drop"} for u in asked.uuids[1:]})) as server:
        imp = write_import(project, server.url)
        for step in (export_day, stage_day, transform_day, deliver_day):
            step(imp, DAY)
        fixed = imp.model_copy(
            update={"mapping": type(imp.mapping).model_validate({"properties": {"add": {"shop": "x"}}})}
        )
        server.script = lambda asked: None
        transform_day(fixed, DAY)
        report = deliver_day(fixed, DAY)
    # All are changed; the heartbeat is an event now, the one of `null` never is.
    assert (report.sent, report.acknowledged, report.dropped, report.owed) == (3, 3, 0, 0)


def test_a_destination_is_checked_by_name(project: Path) -> None:
    with CaptureServer(lambda asked: Reply(400, b'{"error":"empty_batch"}')) as server:
        write_import(project, server.url)
        found = invoke(project, "check", "shop")
        assert (found.exit_code, "events will go to /i/v1/analytics/events" in found.output) == (0, True)
        server.script = lambda asked: Reply(401, b"unknown")
        assert invoke(project, "check", "shop").exit_code == 1
    with pytest.raises(Exception, match="there is no import 'other'; there are: shop"):
        CliRunner().invoke(cli, ["check", "other", "--project", str(project)], catch_exceptions=False)
