"""Warm processes that run days, each day as a recorded Dagster run of its own.

Belongs here: feeding, losing and stopping the processes, and what becomes of their days. Does not belong here: how a
process starts and runs a day (`processes`), which days (`backfill`).

A process is started once and runs many days, so that Dagster is loaded once for each and not once a day. One that dies
takes its day with it and no other: each has a pipe of its own, which ends when it does.
"""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from multiprocessing.connection import wait
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final

from posthog_assets.core.errors import PosthogAssetsError
from posthog_assets.orchestration.failures import Failure, failure_of
from posthog_assets.orchestration.local.instance import mark_failed
from posthog_assets.orchestration.local.processes import PATIENCE, Assignment, Job, JobResult, Loaded, Processes, Task

if TYPE_CHECKING:
    import dagster as dg


#: How long a stop request may go unnoticed, seconds.
_LOOK_EVERY: Final = 0.2

#: So many processes in a row may die before they can work; then there is no hope of the next one.
_MOST_FAILED_STARTS: Final = 3

#: Its number, where there is none of that name.
_SIGKILL: Final = getattr(signal, "SIGKILL", 9)


class WorkerFailed(PosthogAssetsError):
    """No process can run days: the project does not load, or loading it kills the process."""


@dataclass(frozen=True, slots=True)
class DayRun:
    """What became of one day: whole numbers of each materialized asset's metadata, and the failure where one failed."""

    day: date
    run_id: str
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    failure: Failure | None = None


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

    def answer(self) -> JobResult | Loaded | None:
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
        self.process.join(PATIENCE)
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
        self._start(min(self._processes.count, len(queue)))
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
                self._start(
                    min(self._processes.count, len(queue) + sum(bool(worker.order) for worker in self._workers))
                )

    def _start(self, count: int) -> None:
        while len(self._workers) < count:
            self._workers.append(_Worker(self._processes, self._assignment))

    def _hear(self, worker: _Worker) -> DayRun | None:
        """Take what a worker says; returns the day that ended with it."""
        answer, order = worker.answer(), worker.order
        if isinstance(answer, Loaded) and not answer.words:
            worker.ready, self._failed_starts = True, 0
        elif isinstance(answer, Loaded):
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
