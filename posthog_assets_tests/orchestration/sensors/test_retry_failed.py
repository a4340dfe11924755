"""Which failed days are run again, from which step, and why the others are not. With a daemon: `end_to_end`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from posthog_assets.orchestration.sensors.retry_failed import build_retry_sensor
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.scripted_days import DAYS, ScriptedDays, failure

REFUSED = failure("the source is away", "SourceUnavailable")

#: By what is wrong with it, a failed day.
DAY = {
    name: f"2024-03-0{number}"
    for number, name in enumerate(("export", "landed", "person", "asked", "given up", "by hand", "dagster"), 1)
}


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        days = ScriptedDays(found)
        exports = ["raw_export"]
        days.run(DAY["export"], exports, {"raw_export": REFUSED})
        days.run(
            DAY["landed"], ["landed_events"], {"landed_events": failure("PostHog did not answer", "LookUnavailable")}
        )
        days.run(DAY["person"], exports, {"raw_export": failure("the key is wrong", "ImportFileError")})
        asked = failure("please wait", "SourceUnavailable", retry_after=3600.0)
        days.run(DAY["asked"], exports, {"raw_export": asked})
        days.run(DAY["given up"], exports, {"raw_export": REFUSED}, posthog_assets__retry_attempt="6")
        by_hand = {"posthog_assets__retry_attempt": "6", "dagster__parent_run_id": "one before"}
        days.run(DAY["by hand"], exports, {"raw_export": REFUSED}, **by_hand)
        days.run(DAY["dagster"], exports, {"raw_export": REFUSED}, dagster__will_retry="true")
        yield found


def ticked(instance: dg.DagsterInstance, folder: Path, cursor: str | None = None, **settings: Any) -> dg.SensorResult:
    imp = small_import(folder, automation={"retry_failed": {"enabled": True, "first_delay_minutes": 0} | settings})
    job = dg.define_asset_job("import_small", selection="*")
    sensor = build_retry_sensor(imp, DAYS, job)
    result = sensor(dg.build_sensor_context(instance=instance, cursor=cursor))
    assert isinstance(result, dg.SensorResult)
    return result


def requested(result: dg.SensorResult) -> dict[str, dg.RunRequest]:
    return {str(request.partition_key): request for request in result.run_requests or []}


def steps(request: dg.RunRequest) -> list[str]:
    return [key.path[-1] for key in request.asset_selection or []]


@pytest.fixture(scope="module")
def tick(instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dg.RunRequest]:
    """What a tick that has room for all days runs again."""
    return requested(ticked(instance, tmp_path_factory.mktemp("tick")))


def test_days_that_can_be_cured_are_run_again_and_the_attempt_is_counted(tick: dict[str, dg.RunRequest]) -> None:
    assert {day: request.tags["posthog_assets/retry_attempt"] for day, request in tick.items()} == {
        DAY["export"]: "1", DAY["landed"]: "1", DAY["by hand"]: "1",
    }  # fmt: skip
    assert {request.tags["posthog_assets/by"] for request in tick.values()} == {"retry_failed"}


def test_a_day_goes_on_from_the_step_that_failed_and_what_did_not_land_is_sent_again(
    tick: dict[str, dg.RunRequest],
) -> None:
    assert steps(tick[DAY["export"]]) == [
        "raw_export", "staged_events", "posthog_events", "imported_batches", "landed_events",
    ]  # fmt: skip
    assert steps(tick[DAY["landed"]]) == ["imported_batches", "landed_events"]


def test_a_failed_run_is_answered_once_since_its_request_has_its_name(
    tick: dict[str, dg.RunRequest], instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    again = requested(ticked(instance, tmp_path))
    assert [request.run_key for request in again.values()] == [request.run_key for request in tick.values()]
    assert [str(request.run_key).split(":")[0] for request in tick.values()] == [
        DAY["export"],
        DAY["landed"],
        DAY["by hand"],
    ]


def test_the_other_days_are_left_with_their_reasons(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    # A pause of a day keeps those back that could be tried now.
    result = ticked(instance, tmp_path, first_delay_minutes=1440)
    words = str(result.skip_reason)
    assert requested(result) == {}
    assert "1 day given up after 6 tries: 2024-03-05" in words
    assert "1 day left to a person (ImportFileError): 2024-03-03" in words
    assert "1 day retried by Dagster itself: 2024-03-07" in words
    assert "4 days to be tried again 1,440 minutes after failing: 2024-03-01, 2024-03-02, 2024-03-04" in words


def test_a_server_that_asks_for_a_pause_gets_it(tick: dict[str, dg.RunRequest]) -> None:
    assert DAY["asked"] not in tick


def test_a_tick_without_room_for_all_is_followed_by_one_that_goes_on_behind_it(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    first = ticked(instance, tmp_path, days_at_once=1)
    assert (list(requested(first)), json.loads(first.cursor or "")) == ([DAY["export"]], {"after": DAY["export"]})
    second = ticked(instance, tmp_path, first.cursor, days_at_once=1)
    assert list(requested(second)) == [DAY["landed"]]


@pytest.mark.parametrize("cursor", ["", "{", "[]", '"2024-03-09"', '{"after": 7}'])
def test_a_cursor_that_says_nothing_begins_with_the_first_day(
    cursor: str, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    assert list(requested(ticked(instance, tmp_path, cursor, days_at_once=1))) == [DAY["export"]]


def test_where_no_day_is_failed_that_is_said(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as empty:
        result = ticked(empty, tmp_path)
    assert (requested(result), str(result.skip_reason)) == ({}, "SkipReason(skip_message='no day is failed')")
