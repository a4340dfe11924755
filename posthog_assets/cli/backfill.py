"""The commands `posthog-assets backfill` and `posthog-assets retry-failed`.

Belongs here: which days run with which assets, the progress bar, and the summary. Does not belong here: processes
(`workers`), what days amount to (`day_states`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import dagster as dg
from rich.console import Console
from rich.table import Table

from posthog_assets.cli.status import made_words
from posthog_assets.cli.terminal import open_console
from posthog_assets.core.counted import counted
from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.markup import as_shown
from posthog_assets.destination.preflight import OK, PROBLEM, preflight
from posthog_assets.orchestration.failures import Failure
from posthog_assets.orchestration.history import State
from posthog_assets.orchestration.local.backfill import FAILED, FINE, Ran, run_days
from posthog_assets.orchestration.local.day_states import (
    Standing,
    failures,
    reach_of,
    read_day_states,
    read_made,
)
from posthog_assets.orchestration.local.instance import opened_instance, sweep
from posthog_assets.orchestration.local.processes import Processes, Task
from posthog_assets.orchestration.local.project import ImportJob, find_job
from posthog_assets.orchestration.local.workers import DayRun
from posthog_assets.pipeline.day_state.owed import owed_events
from posthog_assets.pipeline.import_group_types import declared_group_types
from posthog_assets.pipeline.preview.impact import day_change
from posthog_assets.storage.layout import ledger_path

#: Most failed days in the table at the end.
_SHOWN: Final = 20


def run_backfill(
    name: str,
    project: Path | None,
    *,
    first: date | None = None,
    last: date | None = None,
    jobs: int = 2,
    assets: Sequence[str] = (),
    missing: bool = False,
    check: bool = True,
) -> int:
    """Run every day of a range, or with *missing* those that are not complete; returns the exit code."""
    console = open_console()
    with Processes(jobs) as processes, _prepared(name, project, create=True) as (job, instance):
        days = job.days(first, last)
        chosen = _chosen(job, assets)
        # A trial begins with its staged events.
        if job.assets[0] in chosen:
            days = _complete(job, days, console)
            reach = reach_of(job.imp, days) if last is None else None
            if reach is not None and days and reach < days[-1]:
                beyond = [day for day in days if day > reach]
                console.print(f"Left out, the source reaches to {reach}: {_span(beyond)}")
                days = [day for day in days if day <= reach]
        if missing:
            standing = read_day_states(instance, job, days)
            incomplete = standing.to_complete(chosen)
            days = _without_duplicates(job, standing, incomplete, console)
            if incomplete and not days:
                console.print("Every other day is complete.")
                return FINE
        if not days:
            console.print("Every day is complete." if missing else f"There is no day of {name} to import yet.")
            return FINE
        if check and not _may_begin(job, chosen, days, console):
            return FAILED
        console.print(f"{name}: {_span(days)}, {'all assets' if chosen == job.assets else ', '.join(chosen)}")
        ran = run_days(job, instance, project, [Task(day, chosen) for day in days], processes, "backfill", console)
        return _conclude(job, ran, console, instance)


def run_retry(
    name: str,
    project: Path | None,
    *,
    first: date | None = None,
    last: date | None = None,
    jobs: int = 2,
    dry_run: bool = False,
    check: bool = True,
) -> int:
    """Run again what failed or owes events, with what is made from it; returns the exit code."""
    console = open_console()
    with Processes(0 if dry_run else jobs) as processes, _prepared(name, project) as (job, instance):
        standing = read_day_states(instance, job, job.days(first, last))
        plan = standing.to_retry()
        if busy := len(standing.days_in(State.IN_PROGRESS)):
            console.print(f"{counted(busy, 'day')} in progress: left alone")
        if not plan:
            console.print("Nothing failed, and nothing is owed.")
            return FINE
        why = failures(instance, standing)
        _show_plan(standing, plan, why, console)
        if dry_run:
            console.print("A dry run: nothing was started.")
            return FINE
        every = sorted({asset for assets in plan.values() for asset in assets}, key=job.assets.index)
        if check and not _may_begin(job, every, list(plan), console):
            return FAILED
        tasks = [Task(day, assets) for day, assets in plan.items()]
        ran = run_days(job, instance, project, tasks, processes, "retry-failed", console)
        return _conclude(job, ran, console, instance)


def _show_plan(
    standing: Standing, plan: dict[date, tuple[str, ...]], why: dict[date, Failure], console: Console
) -> None:
    title = f"{standing.job.imp.name}: {counted(len(plan), 'day')} to retry"
    table = Table("day", "runs again", "because", title=title, title_justify="left")
    for day, assets in plan.items():
        reason = why[day].words if day in why else f"PostHog is owed {standing.owed[day]:,} events"
        table.add_row(day.isoformat(), ", ".join(assets), as_shown(reason))
    console.print(table)
    if hopeless := [day for day in plan if day in why and why[day].waits_for_a_person]:
        console.print(
            f"[yellow]Trying again alone does not cure {counted(len(hopeless), 'day')} of them ("
            f"{_kinds(why[day].error for day in hopeless)}): unless what the reason names has been put right, they "
            "fail again.[/yellow]"
        )


@contextmanager
def _prepared(
    name: str, project: Path | None, *, create: bool = False
) -> Iterator[tuple[ImportJob, dg.DagsterInstance]]:
    job = find_job(name, project)
    with opened_instance(create=create) as instance:
        sweep(instance)
        yield job, instance


def _chosen(job: ImportJob, assets: Sequence[str]) -> tuple[str, ...]:
    names = {name.strip().removeprefix(f"{job.imp.name}/") for given in assets for name in given.split(",")}
    unknown = names - set(job.assets)
    if unknown:
        raise ImportFileError(
            f"{job.imp.name} has no asset {', '.join(sorted(unknown))}; there are: {', '.join(job.assets)}"
        )
    return tuple(asset for asset in job.assets if not names or asset in names)


def _without_duplicates(job: ImportJob, standing: Standing, days: list[date], console: Console) -> list[date]:
    """Return *days* but for those that a changed mapping would duplicate for ever in PostHog, which are named."""
    dangerous: dict[date, int] = {}
    for day in days:
        if day in standing.other_mapping and job.imp.store.exists(ledger_path(day)):
            change = day_change(job.imp, day)
            if change.duplicated:
                dangerous[day] = change.duplicated
    if dangerous:
        console.print(
            f"[yellow]Left out, {counted(len(dangerous), 'day')}: the changed mapping would give "
            f"{counted(sum(dangerous.values()), 'event')} another day, name or distinct_id, and PostHog would keep "
            f"both for ever: {', '.join(map(str, list(dangerous)[:5]))}{' …' if len(dangerous) > 5 else ''}.[/yellow] "
            f"To see which: posthog-assets changes {job.imp.name}",
            soft_wrap=True,
        )
    return [day for day in days if day not in dangerous]


def _complete(job: ImportJob, days: Sequence[date], console: Console) -> list[date]:
    """Return the days whose data is complete in the source; says which are not."""
    now, source = datetime.now(UTC), job.imp.source
    early = [day for day in days if source.available_at(day) > now]
    if early:
        at = source.available_at(early[0])
        console.print(f"Left out, not complete before {at:%Y-%m-%d %H:%M} UTC and later: {_span(early)}")
    return [day for day in days if day not in early]


def _may_begin(job: ImportJob, assets: Iterable[str], days: Sequence[date], console: Console) -> bool:
    """Look at the destination where something is to be sent, and print what is not in order."""
    if "imported_batches" not in assets:
        return True
    kinds = declared_group_types(job.imp)
    with console.status(f"asking {as_shown(job.imp.destination.host or 'nothing')}"):
        looked = preflight(job.imp.destination, days[0], days[-1], group_types=kinds)
        findings = [finding for finding in looked if finding.level != OK]
    for finding in findings:
        color = "red" if finding.level == PROBLEM else "yellow"
        console.print(f"[{color}]{finding.level}: {finding.subject}: {as_shown(finding.words)}[/{color}]")
    if any(finding.level == PROBLEM for finding in findings):
        console.print("Nothing was started. Put it right, or go on in spite of it with --skip-check.")
        return False
    return True


def _conclude(job: ImportJob, ran: Ran, console: Console, instance: dg.DagsterInstance) -> int:
    """Print what became of the days; returns the exit code."""
    numbers = _sums(job, ran.days)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    for what, count in numbers.items():
        table.add_row(what, f"{count:,}")
    console.print(table)
    if ran.failed:
        failed = Table("failed day", "asset", "reason", title_justify="left")
        for run in ran.failed[:_SHOWN]:
            assert run.failure is not None
            failed.add_row(run.day.isoformat(), run.failure.asset or "", as_shown(run.failure.words))
        console.print(failed)
        if len(ran.failed) > _SHOWN:
            console.print(
                f"{_SHOWN} of {counted(len(ran.failed), 'day')} shown; all: posthog-assets status {job.imp.name}"
            )
    if ran.left:
        console.print(
            f"[yellow]Stopped: {counted(ran.left, 'day')} not begun.[/yellow] To go on from here: "
            f"posthog-assets backfill {job.imp.name} --missing",
            soft_wrap=True,
        )
    if ran.failed:
        console.print(f"To run only what failed: posthog-assets retry-failed {job.imp.name}", soft_wrap=True)
    made = read_made(instance, job, [run.day for run in ran.days])
    too_many = made.too_many_lost(job.imp.rejects)
    for words in made_words(made, too_many, job.imp.name):
        console.print(words, soft_wrap=True)
    return FAILED if too_many and ran.exit_code == FINE else ran.exit_code


def _sums(job: ImportJob, days: Iterable[DayRun]) -> dict[str, int]:
    sums: Counter[str] = Counter({"days": 0, "days failed": 0})
    for run in days:
        sums["days"] += 1
        sums["days failed"] += run.failure is not None
        delivered = run.counts.get("imported_batches")
        if delivered is None and run.failure and run.failure.asset == "imported_batches":
            delivered = run.failure.counts
        for what, name in (("sent", "sent"), ("acknowledged", "acknowledged"), ("dropped by PostHog", "dropped")):
            sums[f"events {what}"] += (delivered or {}).get(name, 0)
        sums["events rejected"] += sum(
            run.counts.get(asset, {}).get("rejected", 0) for asset in ("staged_events", "posthog_events")
        )
        if run.failure:
            # The delivery may have ended early, or a look into PostHog may have taken acknowledgements back.
            sums["events owed"] += owed_events(job.imp.store, run.day) or 0
        else:
            sums["events owed"] += (delivered or {}).get("owed", 0)
    return dict(sums)


def _kinds(errors: Iterable[str | None]) -> str:
    counts = Counter(error or "" for error in errors)
    return ", ".join(f"{count} {error}" for error, count in counts.most_common())


def _span(days: Sequence[date]) -> str:
    return f"{days[0]}" if len(days) == 1 else f"{counted(len(days), 'day')}, {days[0]} to {days[-1]}"
