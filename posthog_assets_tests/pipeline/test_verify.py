"""Why acknowledged events are missing: asked of PostHog, kept beside the ledger, shown where the day is looked at."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.destination.ingestion_warnings import reasons
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.pipeline.verify import read_warnings, verify_day
from posthog_assets.storage.layout import events_path
from posthog_assets_tests.records.shop import DAY, invoke, write_import

WORDS = "PostHog's ingestion warnings name as reasons: group_key_too_long (a group key is longer than 400 characters)"


def destination(sandbox: Any) -> dict[str, Any]:
    return {
        "host": sandbox.url, "project_api_key": "phc_any", "personal_api_key": "phx_any", "project_id": "1",
        "landing_seconds": 0,
    }  # fmt: skip


@pytest.fixture
def lost(project: Path, sandbox: Any, shared_sandbox: Any) -> Import:
    """A day that was acknowledged, and whose first event ingestion dropped."""
    import pyarrow.parquet as pq

    imp = write_import(project, shared_sandbox.url, destination=destination(shared_sandbox))
    export_day(imp, DAY)
    stage_day(imp, DAY)
    transform_day(imp, DAY)
    assert deliver_day(imp, DAY).acknowledged == 2
    with imp.store.open(events_path(DAY)) as file:
        row = next(row for row in pq.read_table(file).to_pylist() if row["distinct_id"] == "ann")
    # Another PostHog to look at, which refused that event after it had taken it.
    content = {"event": "page", "distinct_id": "ann", "uuid": row["uuid"], "properties": {"$groups": {"g": "k" * 401}}}
    body = json.dumps({"api_key": "phc_any", "batch": [content]}).encode()
    urllib.request.urlopen(
        urllib.request.Request(f"{sandbox.url}/batch/", body, {"Content-Type": "application/json"})
    ).read()
    return write_import(project, sandbox.url, destination=destination(sandbox))


def test_a_missing_event_gets_posthogs_reason_which_rejected_shows(lost: Import, project: Path) -> None:
    landing = verify_day(lost, DAY)
    assert landing is not None
    assert (landing.landed, reasons(landing.warnings)) == (0, WORDS)
    assert [(row["warning"], row["events"], row["event"]) for row in read_warnings(lost.store, DAY)] == [
        ("group_key_too_long", "missing", "page")
    ]
    shown = invoke(project, "rejected", "shop", "--day", "2024-03-01").output
    assert "group_key_too_long" in shown
    assert "these are reasons, not counts" in shown


def test_reasons_go_when_the_events_have_landed(lost: Import) -> None:
    assert verify_day(lost, DAY)
    assert deliver_day(lost, DAY).sent == 2
    landing = verify_day(lost, DAY)
    assert landing is not None
    assert (landing.landed, landing.warnings, read_warnings(lost.store, DAY)) == (2, [], [])


def test_the_failed_day_names_the_reason(lost: Import) -> None:
    from posthog_assets_tests.pipeline.test_whole_way import failure, materialize

    words = failure(materialize(lost, "2024-03-01", "landed_events"))
    assert f"2 of 2 acknowledged events of 2024-03-01 were not found in PostHog within 0 s. {WORDS}. They" in words
