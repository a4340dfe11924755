"""What is chosen before days run, and what is printed when they have."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console

from posthog_assets.cli import backfill
from posthog_assets.core.errors import ImportFileError
from posthog_assets.orchestration.build import build_definitions
from posthog_assets.orchestration.failures import Failure
from posthog_assets.orchestration.history import STEPS, State
from posthog_assets.orchestration.local.backfill import FAILED, FINE, STOPPED, Ran
from posthog_assets.orchestration.local.day_states import Standing
from posthog_assets.orchestration.local.project import ImportJob
from posthog_assets.orchestration.local.workers import DayRun
from posthog_assets_tests.conftest import small_import

DAYS = [date(2024, 3, day) for day in range(1, 32)]


@pytest.fixture
def job(tmp_path: Path) -> ImportJob:
    imp = small_import(tmp_path, end_date="2024-03-31")
    return ImportJob(imp, build_definitions(imp).resolve_job_def("import_small"))


def lines(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def concluded(job: ImportJob, ran: Ran) -> tuple[int, list[str]]:
    console = Console(file=io.StringIO(), width=200)
    with dg.DagsterInstance.ephemeral() as instance:
        return backfill._conclude(job, ran, console, instance), lines(console)


def test_assets_are_chosen_by_name_with_or_without_that_of_the_import_in_the_order_of_a_day(job: ImportJob) -> None:
    assert backfill._chosen(job, ["landed_events, small/raw_export", "raw_export"]) == ("raw_export", "landed_events")
    assert backfill._chosen(job, []) == STEPS
    with pytest.raises(ImportFileError, match="^small has no asset a, other/raw_export; there are: raw_export, staged"):
        backfill._chosen(job, ["a,other/raw_export"])


def test_numbers_of_all_days_are_added_and_a_failed_delivery_counts_as_far_as_it_came(job: ImportJob) -> None:
    whole = DayRun(
        DAYS[0], "1",
        {
            "staged_events": {"rejected": 2}, "posthog_events": {"rejected": 3},
            "imported_batches": {"sent": 1_000, "acknowledged": 990, "dropped": 10, "owed": 0},
        },
    )  # fmt: skip
    cut = Failure("imported_batches", "PostHog did not answer", "2", counts={"sent": 7, "acknowledged": 7})
    code, shown = concluded(job, Ran([whole, DayRun(DAYS[1], "2", {}, cut)]))
    assert code == FAILED
    assert [" ".join(line.split()) for line in shown[:7]] == [
        "days 2", "days failed 1", "events sent 1,007", "events acknowledged 997", "events dropped by PostHog 10",
        "events rejected 5", "events owed 0",
    ]  # fmt: skip
    assert shown[-1] == "To run only what failed: posthog-assets retry-failed small"


def test_twenty_failed_days_are_named_with_reasons_that_are_no_markup_and_the_others_counted(job: ImportJob) -> None:
    failure = Failure("raw_export", "[red]no file[/red]", "1")
    _, shown = concluded(job, Ran([DayRun(day, "1", {}, failure) for day in DAYS[:21]]))
    assert sum("[red]no file[/red]" in line for line in shown) == 20
    assert "20 of 21 days shown; all: posthog-assets status small" in shown


def test_days_that_were_not_begun_are_counted_with_the_command_that_goes_on(job: ImportJob) -> None:
    code, shown = concluded(job, Ran([DayRun(DAYS[0], "1")], left=1))
    assert code == STOPPED
    assert shown[-1] == "Stopped: 1 day not begun. To go on from here: posthog-assets backfill small --missing"
    assert concluded(job, Ran([]))[0] == FINE


def test_a_retry_says_why_and_which_days_wait_for_a_person(job: ImportJob) -> None:
    standing = Standing(job, DAYS[:2], {step: {DAYS[0]: State.FAILED} for step in STEPS}, {}, {DAYS[1]: 1_234})
    plan = {DAYS[0]: STEPS, DAYS[1]: STEPS[3:]}
    why = {DAYS[0]: Failure("raw_export", "no [such] file", "1", error="NoExport")}
    console = Console(file=io.StringIO(), width=200)
    backfill._show_plan(standing, plan, why, console)
    shown = lines(console)
    assert shown[0] == "small: 2 days to retry"
    assert [line.split("│")[-2].strip() for line in shown if "imported_batches, landed_events" in line] == [
        "no [such] file", "PostHog is owed 1,234 events",
    ]  # fmt: skip
    assert shown[-1] == (
        "Trying again alone does not cure 1 day of them (1 NoExport): unless what the reason names has been put right, "
        "they fail again."
    )


def test_a_day_whose_data_is_not_complete_yet_is_left_out_and_named(tmp_path: Path) -> None:
    imp = small_import(
        tmp_path, source={"type": "files", "path": str(tmp_path / "{day}.jsonl"), "available_after_hours": 24 * 365_000}
    )
    console = Console(file=io.StringIO(), width=200)
    job = ImportJob(imp, build_definitions(imp).resolve_job_def("import_small"))
    assert backfill._complete(job, DAYS[:2], console) == []
    assert lines(console)[0].endswith("UTC and later: 2 days, 2024-03-01 to 2024-03-02")
