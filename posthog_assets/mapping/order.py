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

_RUN_BYTES: Final = 64 << 20
_BLOCK_ROWS: Final = 2_048


class Sorter:
    """Takes batches in any order of time and gives them back oldest first; files go below *folder*."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._held: list[pa.RecordBatch] = []
        self._size = 0
        self._runs: list[Path] = []

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
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, self._schema) as writer:
            for block in _blocks(self._sorted()):
                writer.write_batch(block)
        self._runs.insert(0 if first else len(self._runs), path)

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
        yield from _merged([_Run(path, number) for number, path in enumerate(self._runs)])


def _blocks(batch: pa.RecordBatch, rows: int = _BLOCK_ROWS) -> Iterator[pa.RecordBatch]:
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _stamps(batch: pa.RecordBatch) -> np.ndarray:
    return batch["timestamp"].cast(pa.int64()).to_numpy(zero_copy_only=False)


class _Run:
    """A sorted run, a block of it in memory."""

    def __init__(self, path: Path, number: int) -> None:
        self.number = number
        self._file = pa.ipc.open_file(pa.OSFile(str(path), "rb"))
        self._next = 0
        self.load()

    def load(self) -> bool:
        """Take the next block; False at the end."""
        if self._next >= self._file.num_record_batches:
            self.stamps = np.empty(0, dtype=np.int64)
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
    live = [run for run in runs if len(run.stamps)]
    while live:
        # All rows up to the earliest end of a block are known: nothing still on disk comes before them.
        first = min(live, key=lambda run: (run.stamps[-1], run.number))
        bound = first.stamps[-1]
        heads = []
        for run in live:
            side: Literal["left", "right"] = "right" if run.number <= first.number else "left"
            count = int(np.searchsorted(run.stamps, bound, side=side))
            if count:
                heads.append(run.cut(count))
        merged = pa.Table.from_batches(heads).combine_chunks().to_batches()[0]
        if len(heads) > 1:
            merged = merged.take(pa.array(np.argsort(_stamps(merged), kind="stable")))
        yield merged
        live = [run for run in live if len(run.stamps) or run.load()]
