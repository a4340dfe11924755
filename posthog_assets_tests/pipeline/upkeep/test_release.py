"""Dropped events are warned of, and can be made owed again by reason."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from posthog_assets.pipeline.day_state.owed import owed_events, was_reopened
from posthog_assets.pipeline.day_state.settled import Settled
from posthog_assets.pipeline.upkeep.release import release_day
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.capture_server import Asked, CaptureServer, Reply
from posthog_assets_tests.pipeline.test_whole_way import STEPS, materialize

DAY = "2024-03-01"
BANNED = {"page": "event_restriction_drop", "click": "event schema enforcement: price"}


def write(tmp_path: Path, *names: str) -> None:
    (tmp_path / "exports").mkdir(exist_ok=True)
    rows = [
        {"id": n, "user": f"u{n}", "at": f"{DAY}T10:{n // 60:02}:{n % 60:02}Z", "what": name}
        for n, name in enumerate(names)
    ]
    (tmp_path / f"exports/{DAY}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def dropping(asked: Asked) -> Reply:
    banned = {event["uuid"]: BANNED[event["event"]] for event in asked.body["batch"] if event["event"] in BANNED}
    return Reply(verdicts={uuid: {"result": "drop", "details": words} for uuid, words in banned.items()})


def few_dropped(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (found,) = [each for each in result.get_asset_check_evaluations() if each.check_name == "few_dropped"]
    return found


@pytest.mark.parametrize(("others", "passed"), [(197, False), (198, True)])
def test_more_than_a_hundredth_of_dropped_events_is_a_warning(others: int, passed: bool, tmp_path: Path) -> None:
    with CaptureServer(dropping) as server:
        imp = small_import(tmp_path, destination={"host": server.url, "project_api_key": "phc_any"})
        write(tmp_path, "page", "page", *["other"] * others)
        found = few_dropped(materialize(imp, DAY, *STEPS[:4]))
    assert (found.passed, found.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert "posthog-assets release small --day 2024-03-01" in (found.description or "")
    assert "2 of them for: event_restriction_drop" in (found.description or "")


def test_more_dropped_events_than_others_are_a_failure_of_the_check(tmp_path: Path) -> None:
    with CaptureServer(dropping) as server:
        imp = small_import(tmp_path, destination={"host": server.url, "project_api_key": "phc_any"})
        write(tmp_path, "page", "page", "page", "other", "other")
        found = few_dropped(materialize(imp, DAY, *STEPS[:4]))
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "PostHog dropped 3 of 5 events, 3 of them for: event_restriction_drop" in (found.description or "")


def test_a_day_of_which_all_events_are_dropped_fails_and_stays_owed(tmp_path: Path) -> None:
    with CaptureServer(dropping) as server:
        imp = small_import(tmp_path, destination={"host": server.url, "project_api_key": "phc_any"})
        write(tmp_path, "page", "page", "page")
        result = materialize(imp, DAY, *STEPS[:4])
        (failed,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
        assert failed.user_failure_data is not None
        assert "PostHog refuses every event" in (failed.user_failure_data.description or "")
        assert owed_events(imp.store, date.fromisoformat(DAY)) == 3


def test_released_events_are_owed_and_the_next_delivery_sends_exactly_them(tmp_path: Path) -> None:
    with CaptureServer(dropping) as server:
        imp = small_import(tmp_path, destination={"host": server.url, "project_api_key": "phc_any"})
        write(tmp_path, "page", "click", "page", "other", "other")
        materialize(imp, DAY, *STEPS[:4])
        day = date.fromisoformat(DAY)
        assert (Settled.read(imp.store, day) is not None, owed_events(imp.store, day)) == (True, 0)
        assert release_day(imp, day, "restriction", dry_run=True) == {"event_restriction_drop": 2}
        assert owed_events(imp.store, day) == 0
        assert release_day(imp, day, "restriction") == {"event_restriction_drop": 2}
        assert release_day(imp, day, "restriction") == {}
        assert (owed_events(imp.store, day), was_reopened(imp.store, day)) == (2, True)
        assert Settled.read(imp.store, day) is None
        server.script, before = lambda asked: None, len(server.requests)
        assert materialize(imp, DAY, *STEPS[:4]).success
        assert [event["event"] for asked in server.requests[before:] for event in asked.body["batch"]] == ["page"] * 2
        assert (owed_events(imp.store, day), was_reopened(imp.store, day)) == (0, False)
