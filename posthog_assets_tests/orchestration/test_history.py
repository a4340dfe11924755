"""What Dagster remembers of an import's days: how each stands, which run is whose, and which run counts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from posthog_assets.orchestration.history import History, State
from posthog_assets_tests.fakes.scripted_days import DAYS, ScriptedDays, failure

FAILED, GOOD, REPAIRED, TWICE, OTHERS = (f"2024-03-0{number}" for number in range(1, 6))
REFUSED = failure("please\nwait", "SourceUnavailable")


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture(scope="module")
def runs(instance: dg.DagsterInstance) -> dict[str, dg.DagsterRun]:
    days, others = ScriptedDays(instance), ScriptedDays(instance, "other")
    steps = ("raw_export", "staged_events")
    return {
        "failed": days.run(FAILED, steps, {"staged_events": REFUSED}),
        "good": days.run(GOOD, steps),
        "broken": days.run(REPAIRED, ["raw_export"], {"raw_export": REFUSED}),
        "repaired": days.run(REPAIRED, ["raw_export"]),
        "first": days.run(TWICE, steps, {"raw_export": REFUSED}),
        "second": days.run(TWICE, ["raw_export"]),
        "other": others.run(OTHERS, ["raw_export"], {"raw_export": REFUSED}),
    }


@pytest.fixture
def history(instance: dg.DagsterInstance, runs: dict[str, dg.DagsterRun]) -> History:
    return History(instance, "small", DAYS)


def test_failed_days_are_named_with_their_first_step_that_is_still_to_be_made(history: History) -> None:
    # Of the second one the export was repaired alone.
    assert history.failed() == {FAILED: "staged_events", TWICE: "staged_events"}


def test_a_day_stands_as_its_newest_run_left_it(history: History) -> None:
    assert {day: history.state("raw_export", day) for day in (FAILED, GOOD, REPAIRED, TWICE)} == dict.fromkeys(
        (FAILED, GOOD, REPAIRED, TWICE), State.MATERIALIZED
    )
    assert history.state("imported_batches", GOOD) is State.MISSING


def test_a_day_that_is_no_partition_of_the_import_is_missing(history: History) -> None:
    assert history.state("raw_export", "2019-01-01") is State.MISSING


def test_runs_of_an_import_of_another_name_are_not_its_own(
    history: History, runs: dict[str, dg.DagsterRun], instance: dg.DagsterInstance
) -> None:
    assert (history.owns(runs["good"]), history.owns(runs["other"])) == (True, False)
    assert history.last_run(OTHERS, "raw_export") is None
    assert History(instance, "other", DAYS).failed() == {OTHERS: "raw_export"}


def test_the_run_that_counts_for_a_step_is_the_newest_that_was_to_make_it(
    history: History, runs: dict[str, dg.DagsterRun]
) -> None:
    found = {step: history.last_run(TWICE, step) for step in ("raw_export", "staged_events", "landed_events")}
    assert {step: run.run_id if run else None for step, run in found.items()} == {
        "raw_export": runs["second"].run_id, "staged_events": runs["first"].run_id, "landed_events": None,
    }  # fmt: skip


def test_a_failed_run_has_its_reason_and_its_end(history: History, runs: dict[str, dg.DagsterRun]) -> None:
    (found,) = history.failures(runs["failed"])
    assert (found.asset, found.words, found.error) == ("staged_events", "please wait", "SourceUnavailable")
    assert timedelta(0) <= datetime.now(UTC) - history.end_of(runs["failed"]) < timedelta(minutes=10)


def test_a_run_whose_log_says_nothing_has_a_failure_all_the_same(
    history: History, runs: dict[str, dg.DagsterRun]
) -> None:
    (found,) = history.failures(runs["good"])
    assert (found.asset, found.words) == (None, "the run ended without a reason in its log")


def test_no_day_is_under_way_when_all_runs_have_ended(history: History) -> None:
    assert (history.days_under_way(), history.under_way(FAILED)) == (0, False)
