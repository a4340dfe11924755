"""Sorting a day by time in little memory.

Belongs here: the external merge sort. Does not belong here: what the rows are.

Rows are collected into sorted runs of bounded size, which go to disk, and merged a block at a time. The order is by
timestamp; rows of equal timestamp stay in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pyarrow as pa

_RUN_BYTES: Final = 32 << 20
_BLOCK_ROWS: Final = 1_024


class Sorter:
    """Takes batches in any order of time and gives them back oldest first; files go below *folder*."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._held: list[pa.RecordBatch] = []
        self._size = 0
        self._runs: list[_Run] = []

    def add(self, batch: pa.RecordBatch) -> None:
        self._held.append(batch)
        self._size += batch.nbytes
        if self._size > _RUN_BYTES:
            self._spill()

    def add_before(self, batch: pa.RecordBatch) -> None:
        """Add rows that come before all others of equal timestamp (once, after everything else was added)."""
        if self._runs:
            self._spill()
            self._held = [batch]
            self._spill(first=True)
        else:
            self._held.insert(0, batch)

    def _spill(self, *, first: bool = False) -> None:
        if not self._held:
            return
        path = self._folder / f"run-{len(self._runs):06d}.arrow"
        batch = self._sorted()
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, self._schema) as writer:
            for block in _blocks(batch):
                writer.write_batch(block)
        self._runs.insert(0 if first else len(self._runs), _Run(path, int(_stamps(batch.slice(0, 1))[0])))

    def _sorted(self) -> pa.RecordBatch:
        table = pa.Table.from_batches(self._held, self._schema).combine_chunks()
        self._held, self._size = [], 0
        batch = table.to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], schema=self._schema)
        stamps = _stamps(batch)
        if bool((stamps[1:] >= stamps[:-1]).all()):
            return batch
        return batch.take(pa.array(np.argsort(stamps, kind="stable")))

    def sorted_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield everything that was added, oldest first."""
        if not self._runs:
            if self._held:
                yield from _blocks(self._sorted(), 20_000)
            return
        self._spill()
        for number, run in enumerate(self._runs):
            run.number = number
        yield from _merged(self._runs)


def _blocks(batch: pa.RecordBatch, rows: int = _BLOCK_ROWS) -> Iterator[pa.RecordBatch]:
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _stamps(batch: pa.RecordBatch) -> np.ndarray:
    return batch["timestamp"].cast(pa.int64()).to_numpy(zero_copy_only=False)


class _Run:
    """A sorted run on disk, of which a block is in memory once it is opened; *first* is its first timestamp."""

    def __init__(self, path: Path, first: int) -> None:
        self._path = path
        self._next = 0
        self.first = first
        self.number = 0

    def open(self) -> None:
        self._file = pa.ipc.open_file(pa.OSFile(str(self._path), "rb"))
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


def _merged(runs: list[_Run]) -> Iterator[pa.RecordBatch]:
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
        merged = pa.Table.from_batches(heads).combine_chunks().to_batches()[0]
        if len(heads) > 1:
            merged = merged.take(pa.array(np.argsort(_stamps(merged), kind="stable")))
        yield merged
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
