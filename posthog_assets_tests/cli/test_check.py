"""The commands that say what may go wrong, and what did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from posthog_assets.cli.main import cli
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.storage.layout import rejected_path
from posthog_assets_tests.fakes.capture_server import CaptureServer, Reply
from posthog_assets_tests.records.shop import DAY, invoke, package_of, write_import


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
    every = invoke(project, "rejected", "shop", "--day", "2024-03-01", "--limit", "0").output.splitlines()
    # The first is no JSON, so it has no time.
    assert [(json.loads(line)["timestamp"] or "none")[:10] for line in every] == ["none", *["2024-03-01"] * 3]
    assert json.loads(every[1])["timestamp"].endswith("+00:00")
    assert "was never imported" in invoke(project, "rejected", "shop", "--day", "2024-03-02").output


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


def test_of_an_import_that_cannot_be_loaded_it_is_not_said_that_there_is_none(project: Path) -> None:
    write_import(project, "http://127.0.0.1:9")
    path = project / package_of(project) / "defs/shop/defs.yaml"
    path.write_text(path.read_text().replace("dialect:", "dialekt:", 1))
    found = CliRunner().invoke(cli, ["check", "shop", "--project", str(project)])
    assert str(found.exception).startswith("shop cannot be loaded: ")
    assert "did you mean dialect?" in str(found.exception)
    assert "there is no import" not in str(found.exception)


def test_a_path_with_no_file_is_a_problem(project: Path) -> None:
    with CaptureServer(lambda asked: Reply(400, b'{"error":"empty_batch"}')) as server:
        write_import(project, server.url, source={"type": "files", "path": str(project / "wrong/{day}.jsonl")})
        found = invoke(project, "check", "shop")
    assert found.exit_code == 1
    assert "none of the days 2024-03-01 to 2024-03-31 has a file" in found.output


def test_the_source_is_read_and_its_days_and_records_are_shown(project: Path) -> None:
    dialect = {
        "type": "columns",
        "event": {"column": "what"},
        "user_id": {"column": "user"},
        "timestamp": {"column": "at"},
        "source_id": {"column": "i"},
    }
    with CaptureServer(lambda asked: Reply(400, b'{"error":"empty_batch"}')) as server:
        write_import(project, server.url, end_date="2024-03-03", dialect=dialect)
        found = invoke(project, "check", "shop")
    words = " ".join(found.output.replace("│", " ").split())
    assert "1 day has files, 2024-03-01 to 2024-03-01; 2 days have none: 2024-03-02, 2024-03-03" in words
    assert "dialect.source_id names the column i, which none of 5 records has; did you mean id?" in words
    assert "5 of 5 records are rejected (100.0%)" in words
    assert found.exit_code == 1


def test_without_a_name_all_imports_are_checked_and_a_broken_one_fails(project: Path) -> None:
    with CaptureServer(lambda asked: Reply(400, b'{"error":"empty_batch"}')) as server:
        write_import(project, server.url, end_date="2024-03-01")
        assert invoke(project, "check").exit_code == 0
        broken = project / package_of(project) / "defs/broken/defs.yaml"
        broken.parent.mkdir()
        broken.write_text("type: posthog_assets.HistoricalImport\nattributes: {name: broken}\n")
        found = invoke(project, "check")
    assert found.exit_code == 1
    assert "broken cannot be loaded" in found.output


def test_a_day_that_was_never_imported_says_so(project: Path) -> None:
    write_import(project, "http://127.0.0.1:9")
    found = invoke(project, "rejected", "shop", "--day", "2024-03-02")
    assert (found.exit_code, "2024-03-02 of shop was never imported" in found.output) == (1, True)


def test_the_imports_of_a_project_are_listed_with_those_that_are_broken(project: Path) -> None:
    write_import(project, "http://127.0.0.1:9")
    listed = invoke(project, "list", "--json")
    (found,) = json.loads(listed.output)["imports"]
    assert found == {
        "import": "shop", "first_day": "2024-03-01", "last_day": "2024-03-31", "source": "files", "dialect": "columns",
        "destination": "http://127.0.0.1:9",
    }  # fmt: skip
    assert listed.exit_code == 0
