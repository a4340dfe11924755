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
from posthog_assets_tests.records.shop import DAY, invoke, write_import


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
