"""Processes that wait for days to run: how they start, and what they do.

Belongs here: forking and starting them, what is said over their pipes, running a day in one. Does not belong here:
which process gets which day, and what becomes of a day whose process is lost (`workers`).

Where the system can fork safely, processes are forked from the command itself, before it opens anything: loading
Dagster again takes seconds of processor time.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from posthog_assets.orchestration.failures import numbers
from posthog_assets.orchestration.local.instance import opened_instance

if TYPE_CHECKING:
    import dagster as dg

    from posthog_assets.orchestration.local.project import ImportJob

#: How long an idle process may take to end, seconds.
PATIENCE: Final = 10.0

#: What takes most of a process's start, and is the same for every import: Dagster, the libraries of its history, those
#: of the steps.
_LOADED_ONCE: Final = ["posthog_assets.orchestration.local.project", "sqlalchemy", "alembic.command", "pandas"]


@dataclass(frozen=True, slots=True)
class Task:
    """One day to run, and which assets of it, upstream first."""

    day: date
    assets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a process needs to know before its first day: the import, the tags of its runs, the environment as it is."""

    name: str
    project: Path | None
    tags: dict[str, str]
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class Job:
    """A task as a process gets it, with the id that its Dagster run is to have."""

    task: Task
    run_id: str


@dataclass(frozen=True, slots=True)
class JobResult:
    """A worker's answer; *raised* where the day could not even be run."""

    counts: dict[str, dict[str, int]]
    success: bool
    raised: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A worker's first word; *words* where it cannot work."""

    words: str = ""


def _context() -> Any:
    """Return how processes are started: forked from one that has loaded Dagster, where the system can fork.

    That process has a single thread and has read no import file, so what is forked from it is as good as new; it ends
    with this one.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(_LOADED_ONCE)
    return context


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Let a process that is started in the block inherit that Ctrl-C is not for it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)


class Processes:
    """Up to *count* processes for the days of one command; use as a context manager around all that it does.

    Where the system can fork safely they are forked on entering, from this process, when it has loaded Dagster and has
    neither a thread nor anything open: loading it again takes seconds of processor time. Where it cannot, and in place
    of a process that died, one is started when it is needed.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._ready: list[tuple[BaseProcess, Connection]] = []

    def __enter__(self) -> Processes:
        if not self.count or sys.platform != "linux" or threading.active_count() > 1:
            return self
        for name in _LOADED_ONCE:
            import_module(name)
        context = get_context("fork")
        for _ in range(self.count):
            ours, theirs = context.Pipe()
            # The new process has this end of every pipe too. It closes them: a pipe ends when its owner does.
            inherited = [ours, *(connection for _, connection in self._ready)]
            self._ready.append((_started(context, theirs, inherited), ours))
        return self

    def __exit__(self, *exc: object) -> None:
        for process, connection in self._ready:
            connection.close()
            process.join(PATIENCE)
            if process.is_alive():
                process.kill()
                process.join()
        self._ready.clear()

    def take(self) -> tuple[BaseProcess, Connection]:
        """Return a process that waits for an `Assignment`, and the connection to it; both are the caller's then."""
        if self._ready:
            return self._ready.pop(0)
        context = _context()
        ours, theirs = context.Pipe()
        return _started(context, theirs, []), ours


def _started(context: Any, theirs: Connection, inherited: list[Connection]) -> BaseProcess:
    process: BaseProcess = context.Process(target=_work, args=(theirs, inherited), name="posthog-assets days")
    with _ctrl_c_ignored():
        process.start()
    theirs.close()
    return process


def _work(connection: Connection, inherited: list[Connection]) -> None:
    for one in inherited:
        one.close()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    # Ctrl-C in a terminal reaches every process of the session. During a run Dagster listens to it whatever was
    # ignored before, and would end the day in the middle.
    if hasattr(os, "setsid"):
        os.setsid()
    with suppress(EOFError):
        _run_days(connection, connection.recv())


def _run_days(connection: Connection, assignment: Assignment) -> None:
    """Load the import, say so, and run the days that come through *connection*; raises EOFError where it ends."""
    # This process was forked from one that may be older than what was set since.
    os.environ.clear()
    os.environ.update(assignment.environment)
    name = assignment.name
    warnings.simplefilter("ignore")
    from posthog_assets.orchestration.local.project import find_job

    try:
        found = find_job(name, assignment.project)
    except Exception as error:
        connection.send(Loaded(f"{name} cannot be loaded: {error}"))
        return
    with opened_instance(create=True) as instance:
        connection.send(Loaded())
        while (order := connection.recv()) is not None:
            connection.send(_run(found, instance, order, assignment.tags))


def _run(found: ImportJob, instance: dg.DagsterInstance, order: Job, tags: dict[str, str]) -> JobResult:
    some = order.task.assets != found.assets
    try:
        result = found.job.execute_in_process(
            instance=instance,
            partition_key=order.task.day.isoformat(),
            asset_selection=[found.key(asset) for asset in order.task.assets] if some else None,
            raise_on_error=False,
            run_id=order.run_id,
            tags=tags,
            # The bar says enough; the run's own log is in the UI.
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    except Exception as error:
        return JobResult({}, False, f"the day could not be run: {type(error).__name__}: {error}")
    counts = {
        "/".join(event.asset_key.path[1:]): numbers(event.materialization.metadata)
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    return JobResult(counts, result.success)


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
