"""Selective re-import through Dagster's own API, as the UI and scripts use it: what is sent again, and what is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from posthog_assets_tests.fakes.dagster_dev import DagsterDev
from posthog_assets_tests.fakes.refusing import DAYS, EVENTS, RefusingPostHog, import_file, write_days

STEPS = ["raw_export", "staged_events", "posthog_events", "imported_batches", "landed_events"]
#: One import per test, so that none depends on another.
NAMES = ("reexecuted", "alone", "listed", "bare")


@pytest.fixture(scope="module")
def posthog(shared_sandbox: Any) -> Iterator[RefusingPostHog]:
    with RefusingPostHog(shared_sandbox) as server:
        yield server


@pytest.fixture(scope="module")
def dev(posthog: RefusingPostHog, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterDev]:
    folder = tmp_path_factory.mktemp("reimport")
    write_days(folder / "exports")
    imports = {name: import_file(name, folder, posthog.url) for name in NAMES}
    with DagsterDev(folder / "project", imports) as running:
        yield running


def all_of(name: str) -> list[tuple[str, str]]:
    return [(name, step) for step in STEPS]


def test_the_failed_day_of_a_backfill_is_re_executed_alone(dev: DagsterDev, posthog: RefusingPostHog) -> None:
    name, (first, refused, last) = "reexecuted", DAYS[:3]
    posthog.refused = {(name, refused)}
    backfill = dev.backfill(all_of(name), DAYS[:3])
    assert dev.finished_backfill(backfill)[0] == "COMPLETED_FAILED"
    for step in STEPS[:3]:
        assert dev.days(name, step) == {"MATERIALIZED": DAYS[:3]}
    for step in STEPS[3:]:
        assert dev.days(name, step) == {"MATERIALIZED": [first, last], "FAILED": [refused]}
    assert posthog.landed(name) == {first: EVENTS, last: EVENTS}

    posthog.refused = set()
    before = len(posthog.passed)
    status, runs = dev.finished_backfill(dev.re_execute_backfill(backfill))
    assert status == "COMPLETED_SUCCESS"
    assert [(run.day, *run.assets) for run in runs] == [(refused, (name, "imported_batches"), (name, "landed_events"))]
    assert posthog.passed[before:] == [(name, refused)]
    assert dev.days(name, "landed_events") == {"MATERIALIZED": DAYS[:3]}
    assert posthog.landed(name) == dict.fromkeys(DAYS[:3], EVENTS)


def test_from_failure_on_a_run_repeats_only_what_did_not_finish(dev: DagsterDev, posthog: RefusingPostHog) -> None:
    name, day = "alone", DAYS[2]
    posthog.refused = {(name, day)}
    failed = dev.finished_run(dev.launch((name,), day))
    assert failed.status == "FAILURE"
    assert "PostHog refuses the import (HTTP 401): this day is refused" in dev.failure(failed.id)
    posthog.refused = set()
    again = dev.finished_run(dev.re_execute(failed.id))
    assert again.status == "SUCCESS"
    assert sorted(again.steps or []) == ["alone__imported_batches", "alone__landed_events"]
    assert [mark for mark in posthog.passed if mark[0] == name] == [(name, day)]


def test_a_day_named_in_a_backfill_of_imported_batches_is_the_only_one_sent(
    dev: DagsterDev, posthog: RefusingPostHog
) -> None:
    name, (named, _, other) = "listed", DAYS[:3]
    posthog.refused = {(name, named), (name, other)}
    for run in [dev.launch((name,), named), dev.launch((name,), other)]:
        assert dev.finished_run(run).status == "FAILURE"
    posthog.refused = set()
    status, runs = dev.finished_backfill(dev.backfill([(name, "imported_batches")], [named]))
    assert status == "COMPLETED_SUCCESS"
    assert [(run.day, *run.assets) for run in runs] == [(named, (name, "imported_batches"))]
    assert dev.days(name, "imported_batches") == {"MATERIALIZED": [named], "FAILED": [other]}
    assert posthog.landed(name) == {named: EVENTS}


def test_an_asset_without_its_upstream_says_which_asset_to_materialize(dev: DagsterDev) -> None:
    runs = {
        "staged_events": "bare/raw_export has no partition 2024-03-01: materialize raw_export for 2024-03-01 first",
        "imported_batches": "bare/posthog_events has no partition 2024-03-01 yet: materialize posthog_events for "
        "2024-03-01 first",
    }
    started = {step: dev.launch(("bare", step), DAYS[0]) for step in runs}
    for step, words in runs.items():
        assert dev.finished_run(started[step]).status == "FAILURE"
        assert words in dev.failure(started[step])
