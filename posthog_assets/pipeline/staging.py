"""Staging a long day in several processes, since Python reads records on one core only.

Belongs here: dividing a part's lines among processes, and giving their rows back in order. Does not belong here: how
lines read (`formats`) or what records mean (`dialects`).

The rows are the same however many processes there are. Processes are started while a day is being staged, once it is
clear that it will take long enough to be worth it, and end with it; nothing they do is needed: lines whose process has
died, or could not read them, are staged here. Processes of all runs on a machine together are as many as it has cores.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

import pyarrow as pa
from filelock import FileLock, Timeout

from posthog_assets.core.errors import StorageError
from posthog_assets.dialects.base import Dialect
from posthog_assets.dialects.column_kinds import ColumnKinds
from posthog_assets.pipeline.hot_loop import hot_loop
from posthog_assets.pipeline.overlong import with_overlong_rejected
from posthog_assets.pipeline.repeated_fields import RepeatedFields
from posthog_assets.sources.formats import Framing, Lines, RecordChunk, read_lazily, read_records
from posthog_assets.storage.scratch import private_folder

#: Above this the process that unpacks, writes and puts together is the slowest.
_MOST: Final = 4

#: So much of a part goes to a process at a time, and so much of it is one batch there. Every time processes take turns
#: on a core they find its caches full of each other's data: with half a megabyte that cost a fifth of all the time.
_SIZE: Final = 2 << 20
_ROWS: Final = 500
#: The same of lines, of which no record outlives the next one: making a batch costs more than they take.
_LINES: Final = 2_000
#: Longer pieces, in which one line is a large part, are staged here: each process has two of them, and each piece is in
#: memory here and there. The longest line that is read is 16 MiB.
_MOST_DIVIDED: Final = 8 << 20
_SMALLEST: Final = 64 << 10

#: Seconds of staging that must lie ahead before processes are started: each needs nearly a second of a core until it is
#: ready, and cores that share their caches do less than twice as much together.
_WORTH_SECONDS: Final = 6.0
#: Seconds a record must take: sending it and its row back and forth takes some two microseconds.
_WORTH_EACH: Final = 6e-6
#: Seconds of staging that tell how long the rest will take.
_TELLING_SECONDS: Final = 0.25

#: How often a process sees whether the one that started it still lives, seconds.
_LOOK_EVERY: Final = 0.5

#: Lines that a process works on, and its answer.
_UnderWay = deque[tuple[Lines, "Future[list[pa.RecordBatch]]"]]


class Stagers:
    """Stages the records of one day; use as a context manager."""

    def __init__(
        self, dialect: Dialect, records: int, most: int | None = None, columns: ColumnKinds | None = None
    ) -> None:
        """Make ready to stage a day of *records* records; *columns* is what is known of the columns of CSV.

        *most* is the most processes to start, by default one for each core of the machine, four at most; with 1 there
        are none.
        """
        self._dialect = dialect.with_column_kinds(columns.kinds) if columns else dialect
        self._columns = columns
        #: Whether rows were given by other kinds of columns than those that are known now.
        self.is_outdated = False
        self._has_rows_of_text = False
        # The rows of what a process gets are held as a whole, there and here.
        self._most_divided = _MOST_DIVIDED // dialect.events_per_record
        self._size = min(_SIZE, max(_MOST_DIVIDED // 2 // dialect.events_per_record, _SMALLEST))
        self._left = records
        self._most = min(_MOST, cores()) if most is None else most
        self._seconds, self._staged = 0.0, 0
        #: Whether lines were staged here: those that come first wait for libraries, and tell nothing of the others.
        self._is_warm = False
        self._places = _Places()
        #: The processes, and their first words; None where there are none.
        self._pool: Any = None
        self._first_words: list[Future[int]] = []

    def __enter__(self) -> Stagers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._places.leave()

    def stage(self, file: IO[bytes], framing: Framing, part: str) -> Iterator[pa.RecordBatch]:
        """Yield one row of the dialect's `staged_schema` per record of an open part, in order.

        Raises:
            BrokenPart: the part cannot be read to its end.
        """
        yield from map(with_overlong_rejected, self._as_read(file, framing, part))

    def _as_read(self, file: IO[bytes], framing: Framing, part: str) -> Iterator[pa.RecordBatch]:
        under_way: _UnderWay = deque()
        repeated = RepeatedFields(framing.unfold) if framing.unfold else None
        for item in self._read(file, framing, part, repeated):
            if isinstance(item, Lines) and self._are_ready() and len(item.text) <= self._most_divided:
                # Two for each process: one it works on, one that waits for it.
                yield from self._answers(under_way, 2 * len(self._first_words), part)
                if (answer := self._handed_over(item, part)) is not None:
                    under_way.append((item, answer))
                    continue
            yield from self._answers(under_way, 0, part)
            if isinstance(item, Lines):
                yield from self._timed(item, part)
            else:
                if item.untyped and self._columns:
                    self.is_outdated |= self._columns.look(item) and self._has_rows_of_text
                    self._has_rows_of_text = True
                for batch in self._dialect.batches(item, part):
                    if repeated:
                        repeated.count(item, batch)
                    yield batch
        yield from self._answers(under_way, 0, part)

    def _read(
        self, file: IO[bytes], framing: Framing, part: str, repeated: RepeatedFields | None
    ) -> Iterator[Lines | RecordChunk]:
        if repeated is None:
            return read_lazily(file, framing, part, self._size, _ROWS)
        return repeated.limited(read_records(file, framing, part, _ROWS), _ROWS)

    def _answers(self, under_way: _UnderWay, most: int, part: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the lines that are under way, in order, until *most* answers are left."""
        while len(under_way) > most:
            lines, answer = under_way.popleft()
            batches: Iterable[pa.RecordBatch]
            try:
                batches = answer.result()
            except Exception:
                # What went wrong there - a dead process, a dialect that raises - shows here, as if there were none.
                batches = _staged(self._dialect, lines, part)
                if self._pool is not None and not self._works():
                    self._end()
            yield from batches

    def _handed_over(self, lines: Lines, part: str) -> Future[list[pa.RecordBatch]] | None:
        """Give lines to the processes; None where there are none, or where they died since they last answered."""
        if self._pool is None:
            return None
        try:
            return self._pool.submit(_stage_elsewhere, lines, part)
        except (RuntimeError, OSError):
            self._end()
            return None

    def start(self, *, wait: bool = False) -> int:
        """Start the processes there is room for, and with *wait* let them be ready; return how many work."""
        count = self._places.take(self._most)
        self._most = 1
        # A single one would win nothing: this process would wait for it.
        if count > 1:
            # What cannot be started or described to another process is staged here. A daemonic process, such as one of
            # Celery's, may start none, which is an AssertionError.
            try:
                self._begin(count, pickle.dumps(self._dialect))
            except (OSError, pickle.PicklingError, AttributeError, TypeError, AssertionError):
                self._end()
        while wait and self._pool is not None and not self._are_ready():
            time.sleep(0.01)
        return len(self._first_words)

    @property
    def processes(self) -> list[int]:
        """The numbers of the processes that take lines."""
        return list(self._pool._processes) if self._pool is not None else []

    def _begin(self, count: int, dialect: bytes) -> None:
        # Not imported where all days are short.
        from loky import ProcessPoolExecutor

        self._pool = ProcessPoolExecutor(count, initializer=_begin_work, initargs=(os.getpid(), dialect))
        self._first_words = [self._pool.submit(os.getpid) for _ in range(count)]

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)
        self._pool, self._first_words = None, []

    def _works(self) -> bool:
        """Whether the processes take more lines: where one has died, none does."""
        try:
            self._pool.submit(os.getpid)
        except (RuntimeError, OSError):
            return False
        return True

    def _timed(self, lines: Lines, part: str) -> Iterator[pa.RecordBatch]:
        """Stage lines here, and start processes where the rest of the day will take long enough."""
        batches = _staged(self._dialect, lines, part)
        if self._most <= 1:
            # It is decided, and a clock costs as much as some records.
            yield from batches
            return
        began = time.thread_time()
        for batch in batches:
            self._left -= batch.num_rows
            if self._is_warm:
                self._seconds += time.thread_time() - began
                self._staged += batch.num_rows
            yield batch
            began = time.thread_time()
        self._is_warm = True
        if self._most > 1 and self._staged and self._seconds > _TELLING_SECONDS:
            each = self._seconds / self._staged
            if each > _WORTH_EACH and each * self._left > _WORTH_SECONDS:
                self.start()
            self._most = 1

    def _are_ready(self) -> bool:
        """Whether lines are to be divided: once the processes have loaded what they need."""
        if self._pool is None or not all(word.done() for word in self._first_words):
            return False
        if any(word.exception() for word in self._first_words):
            # Such as a dialect of a script, which no other process finds.
            self._end()
        return self._pool is not None


def cores() -> int:
    """Return how many cores this process may use, as its affinity and its control group have it."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = min(count, max(1, int(quota) // int(period)))
    return count


class _Places:
    """The right to so many processes: all runs on a machine together have one for each core."""

    def __init__(self) -> None:
        self._held: list[FileLock] = []

    def take(self, most: int) -> int:
        """Take at most *most* of the places that are free; return how many. They are free again when this ends."""
        for number in range(max(cores(), most)):
            if len(self._held) == most:
                break
            try:
                lock = FileLock(private_folder() / f"stager-{number}", timeout=0, mode=0o600)
                lock.acquire()
            except Timeout:
                continue
            except (OSError, StorageError):
                # Nowhere to say that a place is taken: then none is.
                break
            self._held.append(lock)
        return len(self._held)

    def leave(self) -> None:
        """Free the places."""
        while self._held:
            self._held.pop().release()


def _staged(dialect: Dialect, lines: Lines, part: str) -> Iterator[pa.RecordBatch]:
    for chunk in lines.chunks(_LINES):
        yield from dialect.batches(chunk, part)


# --- in a process that stages ----------------------------------------------------------------------------------------

#: The dialect of the day that it was started for, and what is open as long as it lives.
_dialect: Dialect
_OPEN: Final = contextlib.ExitStack()


def _begin_work(parent: int, dialect: bytes) -> None:
    """Make ready to stage lines; raises what pickle does for a class that is not here."""
    global _dialect
    # Ctrl-C is for the process that started this one, and ends this one too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if hasattr(os, "SCHED_BATCH"):
        # Whoever has a core keeps it for longer. Where that is forbidden it works all the same.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    _OPEN.enter_context(hot_loop())
    _dialect = pickle.loads(dialect)


def _end_with(parent: int) -> None:
    """End this process once the one that started it has been killed."""
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    os._exit(1)


def _stage_elsewhere(lines: Lines, part: str) -> list[pa.RecordBatch]:
    return list(_staged(_dialect, lines, part))
