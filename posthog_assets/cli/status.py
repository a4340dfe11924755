"""The command `posthog-assets status`.

Belongs here: what it prints, for people and as JSON. Does not belong here: finding out (`day_states`).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console
from rich.table import Table

from posthog_assets.cli.terminal import open_console
from posthog_assets.core.counted import counted
from posthog_assets.core.markup import as_shown
from posthog_assets.orchestration.failures import Failure
from posthog_assets.orchestration.history import State
from posthog_assets.orchestration.local.day_states import Made, Standing, failures, read_day_states
from posthog_assets.orchestration.local.instance import opened_instance, sweep
from posthog_assets.orchestration.local.project import find_job
from posthog_assets.pipeline.config.rejects import Lost
from posthog_assets.pipeline.export import export_warnings

#: Most days that are named one by one.
_SHOWN: Final = 10


def run_status(name: str, project: Path | None, *, as_json: bool) -> int:
    """Print how the days of an import stand; returns 1 where a day is failed, or has too many rejected records."""
    job = find_job(name, project)
    console = open_console()
    with opened_instance() as instance, console.status(f"reading the days of {as_shown(name)}"):
        sweep(instance)
        standing = read_day_states(instance, job, job.days())
        why = failures(instance, standing)
    if as_json:
        sys.stdout.write(orjson.dumps(_facts(standing, why), option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        _print(standing, why, console)
    return 1 if why or standing.too_many_lost else 0


def _counts(standing: Standing, asset: str) -> dict[str, int]:
    states = list(standing.states[asset].values())
    return {state.name.lower(): states.count(state) for state in State} | {"behind": len(standing.behind[asset])}


def _facts(standing: Standing, why: dict[date, Failure]) -> dict[str, Any]:
    oldest = _oldest(why)
    return {
        "import": standing.job.imp.name,
        "first_day": standing.days[0].isoformat() if standing.days else None,
        "last_day": standing.days[-1].isoformat() if standing.days else None,
        "days": len(standing.days),
        "source_reaches_to": standing.reach.isoformat() if standing.reach else None,
        "assets": {asset: _counts(standing, asset) for asset in standing.job.assets},
        "owed": sum(standing.owed.values()),
        "owed_by_day": {day.isoformat(): count for day, count in standing.owed.items() if count},
        "failed_days": [_failed(day, failure) for day, failure in why.items()],
        "oldest_failure": _failed(oldest, why[oldest]) if oldest else None,
        "rejected": sum(lost.count for lost in standing.made.lost.values()),
        "rejected_by_day": {
            day.isoformat(): {"records": lost.records, "rejected": lost.count, "most_often": lost.reason}
            for day, lost in standing.made.lost.items()
            if lost.count
        },
        "too_many_rejected": [day.isoformat() for day in standing.too_many_lost],
        "days_without_events": [day.isoformat() for day in standing.made.without_events],
        "warnings": [*standing.made.doubtful.values(), *export_warnings(standing.job.imp)],
        "next": _next(standing, why),
    }


def _failed(day: date, failure: Failure) -> dict[str, Any]:
    return {
        "day": day.isoformat(),
        "asset": failure.asset,
        "reason": failure.words,
        "error": failure.error,
        "waits_for_a_person": failure.waits_for_a_person,
        "run_id": failure.run_id,
        "failed_at": _moment(failure).isoformat() if failure.at else None,
    }


def _moment(failure: Failure) -> datetime:
    return datetime.fromtimestamp(failure.at or 0, UTC)


def _oldest(why: dict[date, Failure]) -> date | None:
    """Return the day whose failure has stood longest."""
    return min(why, key=lambda day: (_moment(why[day]), day), default=None)


def _print(standing: Standing, why: dict[date, Failure], console: Console) -> None:
    name, days = standing.job.imp.name, standing.days
    if not days:
        console.print(f"{name} has no day yet")
        return
    table = Table(title=f"{name}: {counted(len(days), 'day')}, {days[0]} to {days[-1]}", title_justify="left")
    table.add_column("days by asset", no_wrap=True)
    columns = [state.value for state in State] + ["behind"]
    for column in columns:
        table.add_column(column, justify="right")
    for asset in standing.job.assets:
        table.add_row(asset, *(f"{count:,}" if count else "" for count in _counts(standing, asset).values()))
    console.print(table)
    if standing.reach:
        console.print(f"the source reaches to {standing.reach}; later days are not counted")
    if why:
        failed = Table("failed day", "asset", "reason", "since")
        for day, failure in why.items():
            since = f"{_moment(failure):%Y-%m-%d %H:%M} UTC" if failure.at else ""
            failed.add_row(day.isoformat(), failure.asset or "", as_shown(failure.words), since)
        console.print(failed)
    owing = {day: count for day, count in standing.owed.items() if count}
    if owing:
        some = ", ".join(f"{day}: {count:,}" for day, count in list(owing.items())[:5])
        more = f" and {len(owing) - 5:,} more days" if len(owing) > 5 else ""
        console.print(f"{counted(sum(owing.values()), 'event')} owed ({some}{more})")
    else:
        console.print("0 events owed")
    for words in made_words(standing.made, standing.too_many_lost, name):
        console.print(words, soft_wrap=True)
    for words in export_warnings(standing.job.imp):
        console.print(f"[yellow]warning:[/yellow] {as_shown(words)}", soft_wrap=True)
    if oldest := _oldest(why):
        console.print(f"oldest failure: {oldest}, since {_moment(why[oldest]):%Y-%m-%d %H:%M} UTC")
    console.print(f"[bold]next:[/bold] {as_shown(_next(standing, why))}", soft_wrap=True)


def made_words(made: Made, too_many: dict[date, Lost], name: str) -> Iterator[str]:
    """Yield what a person should know of the records of days: rejected ones, days in doubt, days without events."""
    yield from _rejected_words(made.lost, too_many, name)
    for words in list(made.doubtful.values())[:_SHOWN]:
        yield f"[yellow]warning:[/yellow] {as_shown(words)}"
    if len(made.doubtful) > _SHOWN:
        yield f"[yellow]and {len(made.doubtful) - _SHOWN:,} more days like these[/yellow]"
    if empty := made.without_events:
        named = ", ".join(map(str, empty[:_SHOWN])) + (", …" if len(empty) > _SHOWN else "")
        yield f"{counted(len(empty), 'day')} without an event: {named}"


def _rejected_words(days: dict[date, Lost], too_many: dict[date, Lost], name: str) -> Iterator[str]:
    """Yield how many records of *days* are rejected and why, and which days have too many of them."""
    records, count = sum(lost.records for lost in days.values()), sum(lost.count for lost in days.values())
    if not count:
        return
    reasons: Counter[str] = Counter()
    for lost in days.values():
        if lost.reason:
            reasons[lost.reason] += lost.count
    yield as_shown(Lost(records, count, reasons.most_common(1)[0][0] if reasons else None).words)
    for day, lost in list(too_many.items())[:_SHOWN]:
        yield f"[red]{day}: {as_shown(lost.words)}[/red]; see: posthog-assets rejected {name} --day {day}"
    if len(too_many) > _SHOWN:
        yield f"[red]and {len(too_many) - _SHOWN:,} more days with too many rejected records[/red]"


def _next(standing: Standing, why: dict[date, Failure]) -> str:
    """Return the one step to take now, as a sentence."""
    name = standing.job.imp.name
    retry, busy = standing.to_retry(), standing.days_in(State.IN_PROGRESS)
    waiting = [failure for day, failure in why.items() if failure.waits_for_a_person and day in retry]
    if waiting:
        return (
            f"{len(waiting):,} of {len(why):,} failed days fail again until somebody puts right what their reasons "
            f"name; then run: posthog-assets retry-failed {name}"
        )
    if retry:
        return f"run what failed or owes events again, {counted(len(retry), 'day')}: posthog-assets retry-failed {name}"
    if busy:
        return f"{counted(len(busy), 'day')} in progress: look again when the runs have ended"
    if others := standing.other_mapping:
        return (
            f"{counted(len(others), 'day')} {'was' if len(others) == 1 else 'were'} made by other settings of mapping "
            f"and dialect: posthog-assets changes {name} shows what the present ones change, and posthog-assets "
            f"backfill {name} --missing applies them"
        )
    if lost := standing.too_many_lost:
        return (
            f"{counted(len(lost), 'day')} {'has' if len(lost) == 1 else 'have'} too many rejected records: correct the "
            f"import file by their reasons, then run: posthog-assets backfill {name} --missing (or raise rejects.fail)"
        )
    if incomplete := standing.to_complete(standing.job.assets):
        return (
            f"import what is not complete, {counted(len(incomplete), 'day')}: posthog-assets backfill {name} --missing"
        )
    return "nothing: every day is imported, and nothing is owed"
