"""Staging a long day in several processes, since Python reads records on one core only.

Belongs here: dividing a part's lines among processes, and giving their rows back in order. Does not belong here: how
lines read (`formats`) or what records mean (`dialects`).

The rows are the same however many processes there are. Processes are started while a day is being staged, once it is
clear that it will take long enough to be worth it, and end with it; nothing they do is needed: lines whose process has
died, or could not read them, are staged here. Processes of all runs on a machine together are as many as it has cores.

    posthog_assets.pipeline.staging <socket>     what such a process runs; it ends when the other end of its socket does
"""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
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
#: Longer pieces, of which one line is a large part, are staged here; the longest line that is read is 16 MiB.
_MOST_DIVIDED: Final = 32 << 20
_SMALLEST: Final = 64 << 10

#: Seconds of staging that must lie ahead before processes are started; each takes about half a second to be ready.
_WORTH_SECONDS: Final = 3.0
#: Seconds a record must take: sending it and its row back and forth takes some two microseconds.
_WORTH_EACH: Final = 6e-6
#: Seconds of staging that tell how long the rest will take.
_TELLING_SECONDS: Final = 0.25

#: Number, length of the label, length of the body.
_HEAD: Final = struct.Struct(">QQQ")
_BUFFER: Final = 1 << 20


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
        # Processes are given their end of a socket, which only POSIX does.
        self._most = 1 if os.name != "posix" else min(_MOST, cores()) if most is None else most
        self._seconds, self._staged = 0.0, 0
        self._places = _Places()
        self._starting: list[_Stager] = []
        self._ready: list[_Stager] = []
        self._idle: SimpleQueue[_Stager] = SimpleQueue()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Stagers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stager in (*self._starting, *self._ready):
            stager.stop()
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)
        for stager in (*self._starting, *self._ready):
            stager.close()
        self._places.leave()

    def stage(self, file: IO[bytes], framing: Framing, part: str) -> Iterator[pa.RecordBatch]:
        """Yield one row of the dialect's `staged_schema` per record of an open part, in order.

        Raises:
            BrokenPart: the part cannot be read to its end.
        """
        yield from map(with_overlong_rejected, self._as_read(file, framing, part))

    def _as_read(self, file: IO[bytes], framing: Framing, part: str) -> Iterator[pa.RecordBatch]:
        under_way: deque[Future[list[pa.RecordBatch]]] = deque()
        repeated = RepeatedFields(framing.unfold) if framing.unfold else None
        for item in self._read(file, framing, part, repeated):
            if isinstance(item, Lines) and self._are_ready() and len(item.text) <= self._most_divided:
                # Two for each process: one it works on, one that waits for it.
                yield from _answers(under_way, 2 * len(self._ready))
                under_way.append(self._divided(item, part))
                continue
            yield from _answers(under_way, 0)
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
        yield from _answers(under_way, 0)

    def _read(
        self, file: IO[bytes], framing: Framing, part: str, repeated: RepeatedFields | None
    ) -> Iterator[Lines | RecordChunk]:
        if repeated is None:
            return read_lazily(file, framing, part, self._size, _ROWS)
        return repeated.limited(read_records(file, framing, part, _ROWS), _ROWS)

    def start(self, *, wait: bool = False) -> int:
        """Start the processes there is room for, and with *wait* let them be ready; return how many were started."""
        count = self._places.take(self._most)
        self._most = 1
        # A single one would win nothing: this process would wait for it.
        for _ in range(count if count > 1 else 0):
            # What cannot be started or described to another process is staged here.
            with contextlib.suppress(OSError, pickle.PicklingError, AttributeError, TypeError):
                self._starting.append(_Stager(self._dialect))
        while wait and self._starting and not self._are_ready():
            time.sleep(0.01)
        return len(self._starting) + len(self._ready)

    @property
    def processes(self) -> list[int]:
        """The numbers of the processes that were started."""
        return [stager.number for stager in (*self._starting, *self._ready)]

    def _timed(self, lines: Lines, part: str) -> Iterator[pa.RecordBatch]:
        """Stage lines here, and start processes where the rest of the day will take long enough."""
        batches = _staged(self._dialect, lines, part)
        began = time.thread_time()
        for batch in batches:
            self._seconds += time.thread_time() - began
            self._staged += batch.num_rows
            self._left -= batch.num_rows
            yield batch
            began = time.thread_time()
        if self._most > 1 and self._staged and self._seconds > _TELLING_SECONDS:
            each = self._seconds / self._staged
            if each > _WORTH_EACH and each * self._left > _WORTH_SECONDS:
                self.start()
            self._most = 1

    def _are_ready(self) -> bool:
        """Whether lines are to be divided: once no process is starting any more."""
        for stager in list(self._starting):
            if (is_ready := stager.is_ready()) is not None:
                self._starting.remove(stager)
                if is_ready:
                    self._ready.append(stager)
                    self._idle.put(stager)
                else:
                    stager.stop()
                    stager.close()
        if not self._starting and self._ready and self._pool is None:
            self._pool = ThreadPoolExecutor(len(self._ready), "stagers")
        return self._pool is not None

    def _divided(self, lines: Lines, part: str) -> Future[list[pa.RecordBatch]]:
        assert self._pool is not None
        return self._pool.submit(self._elsewhere, lines, part)

    def _elsewhere(self, lines: Lines, part: str) -> list[pa.RecordBatch]:
        stager = self._idle.get()
        try:
            batches = stager.stage(lines, part)
        finally:
            self._idle.put(stager)
        # What went wrong there - a dead process, a dialect that raises - shows here, as if there were no processes.
        return list(_staged(self._dialect, lines, part)) if batches is None else batches


def _answers(under_way: deque[Future[list[pa.RecordBatch]]], most: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows that were asked for, in order, until *most* answers are left."""
    while len(under_way) > most:
        yield from under_way.popleft().result()


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


class _Stager:
    """One process, as seen from here."""

    def __init__(self, dialect: Dialect) -> None:
        """Start it; raises OSError where that cannot be done, and what pickle raises."""
        described = pickle.dumps(dialect)
        self._socket, theirs = socket.socketpair()
        for end in (self._socket, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
        with theirs:
            # A session of its own: Ctrl-C is for whoever started the run.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "posthog_assets.pipeline.staging", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, env=environment, start_new_session=True,
            )  # fmt: skip
        _send(self._socket, described)

    @property
    def number(self) -> int:
        return self._process.pid

    def is_ready(self) -> bool | None:
        """Return whether it can work, None while it is starting."""
        try:
            self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            return False
        return self._answer() is not None

    def stage(self, lines: Lines, part: str) -> list[pa.RecordBatch] | None:
        """Return the rows of *lines*; None where the process could not stage them."""
        with contextlib.suppress(OSError):
            _send(self._socket, lines.text, lines.first, part)
        rows = self._answer()
        if not rows:
            return None
        with pa.ipc.open_stream(pa.py_buffer(rows)) as reader:
            found = reader.iter_batches_with_custom_metadata()
            return [_with_metadata(batch, metadata) for batch, metadata in found]

    def _answer(self) -> bytearray | None:
        try:
            return _receive(self._socket)[0]
        except (OSError, EOFError):
            return None

    def stop(self) -> None:
        """End it, whatever it is doing; whoever waits for its answer gets none."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Let its socket go, once nobody waits for an answer."""
        self._socket.close()


def _staged(dialect: Dialect, lines: Lines, part: str) -> Iterator[pa.RecordBatch]:
    for chunk in lines.chunks(_ROWS):
        yield from dialect.batches(chunk, part)


def _with_metadata(batch: pa.RecordBatch, metadata: Any) -> pa.RecordBatch:
    return batch.replace_schema_metadata(dict(metadata)) if metadata else batch


def _send(channel: socket.socket, body: Any, number: int = 0, label: str = "") -> None:
    name, content = label.encode(), memoryview(body)
    channel.sendall(_HEAD.pack(number, len(name), content.nbytes) + name)
    channel.sendall(content)


def _receive(channel: socket.socket) -> tuple[bytearray, int, str]:
    """Return the body, number and label of the next message; raises EOFError where there will be none."""
    number, label, body = _HEAD.unpack(_exactly(channel, _HEAD.size))
    name = _exactly(channel, label).decode()
    return _exactly(channel, body), number, name


def _exactly(channel: socket.socket, count: int) -> bytearray:
    content = bytearray(count)
    view = memoryview(content)
    while len(view):
        got = channel.recv_into(view)
        if not got:
            raise EOFError
        view = view[got:]
    return content


def _work(channel: socket.socket) -> None:
    """Stage what comes through *channel*, until its other end is gone."""
    described = _receive(channel)[0]
    try:
        dialect: Dialect = pickle.loads(described)
    except Exception:
        # A class of a script or a prompt, which is not here.
        return
    _send(channel, b"")
    while True:
        text, first, part = _receive(channel)
        rows = pa.BufferOutputStream()
        try:
            with pa.ipc.new_stream(rows, dialect.staged_schema) as writer:
                for batch in _staged(dialect, Lines(first, bytes(text)), part):
                    # A stream has one schema, so what a batch's own says beside the columns goes along by itself.
                    writer.write_batch(batch, custom_metadata=batch.schema.metadata)
        except Exception:
            # Whoever asked finds out why, by staging it again.
            _send(channel, b"")
        else:
            _send(channel, rows.getvalue())


if __name__ == "__main__":
    if hasattr(os, "SCHED_BATCH"):
        # Whoever has a core keeps it for longer. Where that is forbidden it works all the same.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    with hot_loop(), contextlib.suppress(EOFError, OSError):
        _work(socket.socket(fileno=int(sys.argv[1])))
