"""The command that says what did not arrive, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

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
    every = invoke(project, "rejected", "shop", "--day", "2024-03-01", "--limit", "0").output.splitlines()
    # The first is no JSON, so it has no time.
    assert [(json.loads(line)["timestamp"] or "none")[:10] for line in every] == ["none", *["2024-03-01"] * 3]
    assert json.loads(every[1])["timestamp"].endswith("+00:00")
    assert "was never imported" in invoke(project, "rejected", "shop", "--day", "2024-03-02").output


def test_a_day_that_was_never_imported_says_so(project: Path) -> None:
    write_import(project, "http://127.0.0.1:9")
    found = invoke(project, "rejected", "shop", "--day", "2024-03-02")
    assert (found.exit_code, "2024-03-02 of shop was never imported" in found.output) == (1, True)
