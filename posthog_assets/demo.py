"""`posthog-assets demo`: the main job, end to end, on real data and on this machine.

Belongs here: starting the sandbox, running days as recorded Dagster runs, and the table at the end. Does not belong
here: anything an import does; the demo import is an ordinary folder in `defs/`.
"""

from __future__ import annotations

import os
import signal
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import date, timedelta
from multiprocessing import get_context
from multiprocessing.synchronize import Lock
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from posthog_assets.errors import PosthogAssetsError
from posthog_assets.sandbox import Sandbox

if TYPE_CHECKING:
    import dagster as dg

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
    console = Console()
    data = Path(os.environ.get("POSTHOG_ASSETS_STORAGE") or "data")
    try:
        with Sandbox(data=data / "sandbox", port=port) as sandbox:
            os.environ[_URL_VARIABLE] = sandbox.url
            before = sandbox.stats()["requests_by_path"]
            rows = _run_days(days, console)
            console.print(_table(rows))
            requests = _capture_requests(sandbox.stats()["requests_by_path"]) - _capture_requests(before)
            _tell(console, rows, requests, port)
    except PosthogAssetsError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    return 1 if any(row.failure for row in rows) else 0


def _capture_requests(by_path: dict[str, int]) -> int:
    return sum(count for path, count in by_path.items() if not path.startswith("/api/") and path != "/sandbox/stats")


def _run_days(days: int, console: Console) -> list[_Day]:
    """Run each day in one of a few warm processes, so that Dagster starts once for each and not once a day."""
    console.print("Starting Dagster …")
    home = Path(os.environ.get("DAGSTER_HOME") or ".dagster_home").absolute()
    home.mkdir(parents=True, exist_ok=True)
    os.environ["DAGSTER_HOME"] = str(home)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    rows: list[_Day] = []
    context = get_context("spawn")
    workers = ProcessPoolExecutor(_WORKERS, context, initializer=_start_worker, initargs=(context.Lock(),))
    with workers, Progress(*columns, console=console) as bar:
        task = bar.add_task("days", total=days)
        futures = [workers.submit(_run_day, _FIRST + timedelta(days=offset)) for offset in range(days)]
        try:
            for future in as_completed(futures):
                rows.append(future.result())
                bar.advance(task)
        except BaseException:
            workers.shutdown(cancel_futures=True)
            raise
    return sorted(rows, key=lambda row: row.day)


@dataclass
class _Worker:
    """What a worker process loads once."""

    job: dg.JobDefinition
    instance: dg.DagsterInstance


_worker: _Worker | None = None


def _start_worker(first: Lock) -> None:
    global _worker
    # Ctrl-C is for the parent, which stops the workers between two days.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    import dagster as dg

    from posthog_assets.definitions import defs

    job = defs().resolve_job_def(f"import_{_NAME}")
    # Two processes that create Dagster's database at the same moment break each other.
    with first:
        _worker = _Worker(job, dg.DagsterInstance.get())


def _run_day(day: date) -> _Day:
    assert _worker is not None
    result = _worker.job.execute_in_process(
        instance=_worker.instance,
        partition_key=day.isoformat(),
        raise_on_error=False,
        tags={"posthog_assets/by": "demo"},
        # The bar says enough; the run's own log is in the UI.
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    row = _Day(day)
    for event in result.get_asset_materialization_events():
        _read(row, event.asset_key.path[-1] if event.asset_key else "", event.materialization.metadata)
    for event in result.get_step_failure_events():
        data = event.step_failure_data
        row.failure = data.user_failure_data.description if data.user_failure_data else str(data.error)
    return row


def _read(row: _Day, asset: str, metadata: Any) -> None:
    def number(name: str) -> int:
        return int(metadata[name].value) if name in metadata else 0

    if asset == "raw_export":
        row.raw = number("dagster/partition_row_count")
    elif asset == "staged_events":
        row.staged = number("dagster/partition_row_count")
        row.rejected += number("rejected")
    elif asset == "posthog_events":
        row.rejected += number("rejected")
    elif asset == "imported_batches":
        row.sent, row.acknowledged = number("sent"), number("acknowledged")
    elif asset == "landed_events":
        row.landed, row.duplicates = number("landed"), number("duplicates")


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


def _tell(console: Console, rows: list[_Day], requests: int, port: int) -> None:
    for row in rows:
        if row.failure:
            console.print(f"[red]{row.day}: {row.failure}[/red]")
    sent = sum(row.sent or 0 for row in rows)
    if sent or any(row.failure for row in rows):
        console.print(f"{sent:,} events sent in {requests:,} requests. Run it again: nothing will be sent.")
    else:
        console.print("Nothing was sent: PostHog has acknowledged every event already.")
    console.print("\nThe same runs in Dagster's UI:\n")
    console.print(f"  DAGSTER_HOME={os.environ['DAGSTER_HOME']} uv run dagster dev", soft_wrap=True)
    console.print("\nKeep the sandbox running beside it to re-import from the UI:\n")
    console.print(f"  uv run --extra demo posthog-assets sandbox --port {port}")
