"""Warm processes that run days, each day as a recorded Dagster run of its own.

Belongs here: starting, feeding, losing and stopping the processes. Does not belong here: which days, and what is said
about them (`backfill`).

A process is started once and runs many days, so that Dagster is loaded once for each and not once a day. One that dies
takes its day with it and no other: each has a pipe of its own, which ends when it does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from importlib import import_module
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final

from posthog_assets.core.errors import PosthogAssetsError
from posthog_assets.orchestration.failures import Failure, failure_of, numbers
from posthog_assets.orchestration.local.instance import mark_failed, opened_instance

if TYPE_CHECKING:
    import dagster as dg

    from posthog_assets.orchestration.local.project import ImportJob

#: How long a stop request may go unnoticed, seconds.
_LOOK_EVERY: Final = 0.2

#: How long an idle process may take to end, seconds.
_PATIENCE: Final = 10.0

#: So many processes in a row may die before they can work; then there is no hope of the next one.
_MOST_FAILED_STARTS: Final = 3

#: What takes most of a process's start, and is the same for every import: Dagster, the libraries of its history, those
#: of the steps.
_LOADED_ONCE: Final = ["posthog_assets.orchestration.local.project", "sqlalchemy", "alembic.command", "pandas"]

#: Its number, where there is none of that name.
_SIGKILL: Final = getattr(signal, "SIGKILL", 9)


class WorkerFailed(PosthogAssetsError):
    """No process can run days: the project does not load, or loading it kills the process."""


@dataclass(frozen=True, slots=True)
class Task:
    """One day to run, and which assets of it, upstream first."""

    day: date
    assets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DayRun:
    """What became of one day: whole numbers of each materialized asset's metadata, and the failure where one failed."""

    day: date
    run_id: str
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a process needs to know before its first day: the import, the tags of its runs, the environment as it is."""

    name: str
    project: Path | None
    tags: dict[str, str]
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class Job:
    task: Task
    run_id: str


@dataclass(frozen=True, slots=True)
class JobResult:
    """A worker's answer; *raised* where the day could not even be run."""

    counts: dict[str, dict[str, int]]
    success: bool
    raised: str = ""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A worker's first word; *words* where it cannot work."""

    words: str = ""


class StopRequests:
    """Counts Ctrl-C and SIGTERM while the block runs, instead of raising in the middle of something."""

    def __init__(self, first: Callable[[], None] = lambda: None) -> None:
        self.count = 0
        self._first = first
        self._old: dict[int, Any] = {}

    def __enter__(self) -> StopRequests:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 1:
            self._first()


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
        if sys.platform != "linux" or threading.active_count() > 1:
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
            process.join(_PATIENCE)
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


class _Worker:
    """One process as its parent sees it."""

    def __init__(self, processes: Processes, assignment: Assignment) -> None:
        self.process, self.connection = processes.take()
        self.ready = False
        self.order: Job | None = None
        # A process that died just now is noticed where its answer is awaited.
        with suppress(BrokenPipeError):
            self.connection.send(assignment)

    def give(self, task: Task) -> None:
        self.order = Job(task, str(uuid.uuid4()))
        # A process that died just now is noticed where its answer is awaited.
        with suppress(BrokenPipeError):
            self.connection.send(self.order)

    def answer(self) -> JobResult | _Loaded | None:
        """Return what it has to say; None: it is dead."""
        try:
            return self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            return None

    def end(self, *, kill: bool) -> None:
        if kill:
            self.process.kill()
        else:
            with suppress(BrokenPipeError):
                self.connection.send(None)
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            # Something of the user's own keeps it; its day is over.
            self.process.kill()
            self.process.join()
        self.connection.close()

    @property
    def death_message(self) -> str:
        code = self.process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        why = ", often because the machine had no memory left" if code == -_SIGKILL else ""
        return (
            f"The process that ran this day died ({how}){why}. Nothing is lost: run the day again, and only what "
            "PostHog has not acknowledged is sent"
        )


class Workers:
    """A few processes that run days of one import; use as a context manager."""

    def __init__(
        self, instance: dg.DagsterInstance, name: str, project: Path | None, processes: Processes, tags: dict[str, str]
    ) -> None:
        self._instance = instance
        self._name = name
        self._processes = processes
        # Dagster's daemon cannot launch again what it did not launch.
        self._assignment = Assignment(name, project, tags | {"dagster/max_retries": "0"}, dict(os.environ))
        self._jobs = processes.count
        self._workers: list[_Worker] = []
        self._failed_starts = 0

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: BaseException | TracebackType | None) -> None:
        for worker in self._workers:
            busy = worker.order
            worker.end(kill=kind is not None or busy is not None or not worker.ready)
            if busy:
                mark_failed(self._instance, busy.run_id, "The command that ran this day was stopped; run the day again")

    def run(self, tasks: Iterable[Task], stop: StopRequests) -> Iterator[DayRun]:
        """Yield the days in the order they end.

        A first stop request lets the days under way end, a second one kills them; days not begun yield nothing.

        Raises:
            WorkerFailed: no process gets as far as a day.
        """
        queue = deque(tasks)
        self._start(min(self._jobs, len(queue)))
        while True:
            for worker in self._workers:
                if queue and not stop.count and worker.ready and not worker.order:
                    worker.give(queue.popleft())
            busy = [worker for worker in self._workers if worker.order]
            if not busy and (stop.count or not queue):
                return
            if stop.count > 1:
                yield from self._kill(busy)
                return
            for connection in wait([worker.connection for worker in self._workers], _LOOK_EVERY):
                worker = next(worker for worker in self._workers if worker.connection is connection)
                ended = self._hear(worker)
                if ended:
                    yield ended
            if not stop.count:
                self._start(min(self._jobs, len(queue) + sum(bool(worker.order) for worker in self._workers)))

    def _start(self, count: int) -> None:
        while len(self._workers) < count:
            self._workers.append(_Worker(self._processes, self._assignment))

    def _hear(self, worker: _Worker) -> DayRun | None:
        """Take what a worker says; returns the day that ended with it."""
        answer, order = worker.answer(), worker.order
        if isinstance(answer, _Loaded) and not answer.words:
            worker.ready, self._failed_starts = True, 0
        elif isinstance(answer, _Loaded):
            raise WorkerFailed(answer.words)
        elif answer is None:
            self._workers.remove(worker)
            worker.connection.close()
            self._failed_starts += not worker.ready
            if self._failed_starts >= _MOST_FAILED_STARTS:
                raise WorkerFailed(
                    f"{self._failed_starts} processes in a row died while loading {self._name}: is there memory left?"
                )
            return self._lost(order, worker.death_message) if order else None
        elif order:
            worker.order = None
            return self._ended(order, answer)
        return None

    def _ended(self, order: Job, answer: JobResult) -> DayRun:
        if answer.success:
            return DayRun(order.task.day, order.run_id, answer.counts)
        if answer.raised:
            mark_failed(self._instance, order.run_id, answer.raised)
        failure = failure_of(self._instance, order.run_id, self._name)
        words = answer.raised or "no reason given"
        return DayRun(order.task.day, order.run_id, answer.counts, failure or Failure(None, words, order.run_id))

    def _lost(self, order: Job, words: str) -> DayRun:
        run = self._instance.get_run_by_id(order.run_id)
        if run and run.is_success:
            # Its process died between the end of the run and the word about it.
            return DayRun(order.task.day, order.run_id)
        mark_failed(self._instance, order.run_id, words)
        failure = failure_of(self._instance, order.run_id, self._name) or Failure(None, words, order.run_id)
        return DayRun(order.task.day, order.run_id, {}, failure)

    def _kill(self, busy: list[_Worker]) -> Iterator[DayRun]:
        for worker in busy:
            order, worker.order = worker.order, None
            worker.end(kill=True)
            self._workers.remove(worker)
            assert order is not None
            yield self._lost(order, "Stopped at once from the keyboard; run the day again")


# --- inside a worker ------------------------------------------------------------------------------------------


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
        connection.send(_Loaded(f"{name} cannot be loaded: {error}"))
        return
    with opened_instance(create=True) as instance:
        connection.send(_Loaded())
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
