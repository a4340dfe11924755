"""Sorting a day by time in little memory.

Belongs here: the external merge sort, and the window for rows that are nearly in order. Does not belong here: what the
rows are.

Rows are collected into sorted runs of bounded size, which go to disk, and merged a block at a time. The order is by
timestamp; rows of equal timestamp stay in the order in which they came.

What is sorted are places of rows. The rows themselves are copied a block at a time, when their turn has come: a block
stays in the processor's cache, and jemalloc gives back to the system at once what is larger than 8 MB.

Of every run that is open a block is in memory. Where more than `_OPEN` runs would be open at once, as in a day of many
files that each span all of it, neighbouring runs are first merged into longer ones. So memory, open files and the work
per row stay the same however long the day is, for one more pass over the disk per factor of `_OPEN`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

import numpy as np
import pyarrow as pa

from posthog_assets.core.temporary_files import writing_temporary
from posthog_assets.core.threads import Threads

_RUN_BYTES: Final = 32 << 20
_BLOCK_ROWS: Final = 2_048
#: A block holds about this much at most, unless one row is larger.
_BLOCK_BYTES: Final = 2 << 20

#: The same of blocks that are not written to disk.
_LARGE_ROWS: Final = 20_000
_LARGE_BYTES: Final = 5 << 20
#: Most runs that are open at once: more would make the slices that are put together ever thinner, and work dearer.
_OPEN: Final = 16

#: Properties compress to a third, and a day is written to the disk while it is sorted.
_WRITE: Final = pa.ipc.IpcWriteOptions(compression="lz4")


class Floors:
    """How far back the rest of a day reaches, after any number of its rows: what is older than that may leave.

    Vendors write a day's records nearly in order: a few thousand rows wait for others, not the day.
    """

    #: So many rows are looked at as one.
    _ROWS: Final = 4_096

    def __init__(self, stamps: Iterable[np.ndarray]) -> None:
        """Take the timestamps of all rows, in their order, as µs since 1970."""
        pieces = [piece[at : at + self._ROWS] for piece in stamps for at in range(0, len(piece), self._ROWS)]
        lowest = np.array([piece.min() for piece in pieces] + [_NEVER], np.int64)
        counts = np.array([len(piece) for piece in pieces], np.int64)
        #: Rows up to the end of each piece, and the smallest timestamp after it.
        self._ends = np.concatenate(([0], np.cumsum(counts)))
        self._lowest = np.minimum.accumulate(lowest[::-1])[::-1]
        highest = np.array([piece.max() for piece in pieces], np.int64)
        #: Whether the timestamps never go back.
        self.is_sorted = bool((highest[:-1] <= lowest[1:-1]).all()) and all(_is_sorted(piece) for piece in pieces)
        #: Rows of one piece: they may all have to wait for its last one.
        self.most_in_piece = int(counts.max(initial=0))
        #: Rows that must wait for those of later pieces at the same time, at most.
        self.most_waiting = max(
            (int(counts[: at + 1][highest[: at + 1] > self._lowest[at + 1]].sum()) for at in range(len(pieces))),
            default=0,
        )

    def after(self, rows: int) -> int:
        """Return a timestamp that no row after the first *rows* is older than."""
        return int(self._lowest[np.searchsorted(self._ends, rows, side="right") - 1])


#: Later than any row.
_NEVER: Final = np.iinfo(np.int64).max


def in_windows(batches: Iterable[pa.RecordBatch], floors: Floors) -> Iterator[pa.RecordBatch]:
    """Yield rows oldest first, each as soon as no later one can come before it; in memory are those that wait.

    Rows of equal timestamp stay in the order in which they came.
    """
    held: list[_Part] = []
    rows = 0
    for batch in batches:
        held.append(_Part(batch))
        rows += batch.num_rows
        floor = floors.after(rows)
        leaving = sum(part.until(floor) for part in held)
        # Blocks of few rows cost more a row, and what waits may be copied: so only where at least as much leaves.
        if floor != _NEVER and 2 * leaving < sum(len(part) for part in held):
            continue
        yield from _leaving(held, floor, _LARGE_ROWS, _LARGE_BYTES)
    yield from _leaving(held, _NEVER, _LARGE_ROWS, _LARGE_BYTES)


def with_before(batches: Iterable[pa.RecordBatch], others: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield *batches* with the rows of *others*, both oldest first; of equal timestamps *others* come first."""
    stamps, done = _stamps(others), 0
    for batch in batches:
        end = int(np.searchsorted(stamps, _stamps(batch)[-1], side="right"))
        yield _sorted_rows([others.slice(done, end - done), batch]) if end > done else batch
        done = end
    if done < len(others):
        yield others.slice(done)


class Sorter:
    """Takes batches in any order of time and gives them back oldest first; files go below *folder*.

    Runs are sorted and written on a thread while more is added; the `with` block ends when it has.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._held: list[pa.RecordBatch] = []
        self._size = 0
        self._runs: list[_Run] = []
        self._number = 0
        self._writer = Threads(1, "sort")
        self._writing: Future[_Run] | None = None

    def __enter__(self) -> Sorter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)

    def add(self, batch: pa.RecordBatch) -> None:
        self._held.append(batch)
        self._size += batch.nbytes
        if self._size > _RUN_BYTES:
            self._spill()

    def add_before(self, batch: pa.RecordBatch) -> None:
        """Add rows that come before all others of equal timestamp (once, after everything else was added)."""
        if self._runs or self._writing:
            self._spill()
            self._written_last()
            self._runs.insert(0, self._written(_all_in_order([batch], _BLOCK_ROWS, _BLOCK_BYTES)))
        else:
            self._held.insert(0, batch)

    def _spill(self) -> None:
        """Have what is held sorted and written, while more is added."""
        if not self._held:
            return
        self._written_last()
        held, self._held, self._size = self._held, [], 0
        self._writing = self._writer.submit(lambda: self._written(_all_in_order(held, _BLOCK_ROWS, _BLOCK_BYTES)))

    def _written_last(self) -> None:
        if self._writing is not None:
            self._runs.append(self._writing.result())
            self._writing = None

    def _written(self, batches: Iterator[pa.RecordBatch]) -> _Run:
        """Write rows that come in order as a run."""
        path = self._folder / f"run-{self._number:06d}.arrow"
        self._number += 1
        first = last = 0
        with (
            writing_temporary(path),
            pa.OSFile(str(path), "wb") as file,
            pa.ipc.new_file(file, self._schema, options=_WRITE) as writer,
        ):
            for number, batch in enumerate(batches):
                stamps = _stamps(batch)
                first, last = (first if number else int(stamps[0])), int(stamps[-1])
                for block in _blocks(batch, _BLOCK_ROWS, _BLOCK_BYTES):
                    writer.write_batch(block)
        return _Run(path, first, last)

    def sorted_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield everything that was added, oldest first."""
        if not self._runs and self._writing is None:
            yield from _all_in_order(self._held, _LARGE_ROWS, _LARGE_BYTES)
            return
        self._spill()
        self._written_last()
        while _most_at_once(self._runs) > _OPEN:
            self._runs = [self._longer(self._runs[at : at + _OPEN]) for at in range(0, len(self._runs), _OPEN)]
        yield from _merged(self._runs)

    def _longer(self, runs: list[_Run]) -> _Run:
        """Return neighbouring runs as one; they are gone then."""
        longer = self._written(_merged(runs))
        for run in runs:
            run.path.unlink()
        return longer


class _Part:
    """A batch in memory whose rows leave oldest first."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch
        self.stamps = _stamps(batch)
        #: The places of the rows in the order of time, None where they are in order as they stand.
        self._places: np.ndarray | None = None
        if not _is_sorted(self.stamps):
            self._places = np.argsort(self.stamps, kind="stable")
            self.stamps = self.stamps[self._places]
        #: How many rows have left.
        self.done = 0

    def __len__(self) -> int:
        """Return how many rows are left."""
        return len(self.stamps) - self.done

    @property
    def row_bytes(self) -> float:
        return float(self._batch.nbytes / max(1, len(self.stamps)))

    def until(self, instant: int) -> int:
        """Return how many rows, of all, are not younger than *instant*."""
        return int(np.searchsorted(self.stamps, instant, side="right"))

    def cut(self, count: int) -> pa.RecordBatch:
        """Take the next *count* rows away, oldest first."""
        first, self.done = self.done, self.done + count
        if self._places is None:
            return self._batch.slice(first, count)
        return self._batch.take(pa.array(self._places[first : self.done]))

    def rest(self) -> _Part:
        """Return what is left, without the memory of what has left."""
        return _Part(_copied(self.cut(len(self)))) if self.done else self

    @staticmethod
    def joined(parts: list[_Part]) -> _Part:
        """Return parts of which nothing has left as one, which is cheap: whole columns are copied."""
        return parts[0] if len(parts) == 1 else _Part(_one([part._batch for part in parts]))


def _copied(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.take(pa.array(np.arange(batch.num_rows)))


def _one(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def _all_in_order(batches: list[pa.RecordBatch], rows: int, size: int) -> Iterator[pa.RecordBatch]:
    """Yield all rows oldest first, in blocks of so many rows and bytes; the list is empty then."""
    parts = [_Part(batch) for batch in batches]
    batches.clear()
    return _leaving(parts, _NEVER, rows, size)


def _leaving(parts: list[_Part], until: int, rows: int, size: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of *parts* that are not younger than *until*, oldest first, in blocks of so many rows and bytes.

    Nothing has left the parts before. In their place the list holds what is left, as one part. Rows of equal timestamp
    stay in the order of the parts, and in their order there.
    """
    if not parts:
        return
    widest = max(part.row_bytes for part in parts)
    step = min(rows, max(1, int(size / max(widest, 1.0))))
    part = _Part.joined(parts)
    # The parts' memory is free before the first block is made.
    parts[:] = [part]
    end = part.until(until)
    while part.done < end:
        yield part.cut(min(step, end - part.done))
    parts[:] = [part.rest()] if len(part) else []


def _sorted_rows(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Return the rows of *batches* as one, oldest first."""
    if len(batches) == 1:
        return batches[0]
    batch = _one(batches)
    stamps = _stamps(batch)
    return batch if _is_sorted(stamps) else batch.take(pa.array(np.argsort(stamps, kind="stable")))


def _is_sorted(stamps: np.ndarray) -> bool:
    return bool((stamps[1:] >= stamps[:-1]).all())


def _blocks(batch: pa.RecordBatch, rows: int, size: int) -> Iterator[pa.RecordBatch]:
    rows = min(rows, max(1, batch.num_rows * size // max(1, batch.nbytes)))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _stamps(batch: pa.RecordBatch) -> np.ndarray:
    return batch["timestamp"].cast(pa.int64()).to_numpy(zero_copy_only=False)


class _Run:
    """A sorted run on disk, of which a block is in memory once it is opened; *first* and *last* are its timestamps."""

    def __init__(self, path: Path, first: int, last: int) -> None:
        self.path = path
        self._next = 0
        self.first = first
        self.last = last
        self.number = 0

    def open(self) -> None:
        self._file = pa.ipc.open_file(pa.OSFile(str(self.path), "rb"))
        self.load()

    def load(self) -> bool:
        """Take the next block; False at the end."""
        if self._next >= self._file.num_record_batches:
            return False
        self.block = self._file.get_batch(self._next)
        self.stamps = _stamps(self.block)
        self._next += 1
        return True

    def cut(self, count: int) -> pa.RecordBatch:
        """Take the first *count* rows of the block away."""
        head = self.block.slice(0, count)
        self.block, self.stamps = self.block.slice(count), self.stamps[count:]
        return head


def _most_at_once(runs: list[_Run]) -> int:
    """Return how many runs span the same moment, at most."""
    edges = sorted([(run.first, 0) for run in runs] + [(run.last, 1) for run in runs])
    is_open = most = 0
    for _, is_end in edges:
        is_open += -1 if is_end else 1
        most = max(most, is_open)
    return most


def _merged(runs: list[_Run]) -> Iterator[pa.RecordBatch]:
    for number, run in enumerate(runs):
        run.number = number
    waiting = sorted(runs, key=lambda run: run.first, reverse=True)
    live: list[_Run] = []
    while live or waiting:
        first = _bound(live, waiting)
        bound = first.stamps[-1]
        heads = []
        for run in sorted(live, key=lambda run: run.number):
            side: Literal["left", "right"] = "right" if run.number <= first.number else "left"
            count = int(np.searchsorted(run.stamps, bound, side=side))
            if count:
                heads.append(run.cut(count))
        yield _sorted_rows(heads)
        live = [run for run in live if len(run.stamps) or run.load()]


def _bound(live: list[_Run], waiting: list[_Run]) -> _Run:
    """Return the run whose block ends first, having opened every run that begins before that.

    All rows up to there are known then: nothing still on disk comes before them.
    """
    while True:
        ends = min(live, key=lambda run: (run.stamps[-1], run.number)) if live else None
        if ends is not None and (not waiting or waiting[-1].first > ends.stamps[-1]):
            return ends
        waiting[-1].open()
        live.append(waiting.pop())
