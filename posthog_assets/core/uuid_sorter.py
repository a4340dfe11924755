"""Rows of a day in the order of their uuids, however many there are: sorted through a file.

Belongs here: uuids as numbers, bringing rows into their order in bounded memory. Does not belong here: what the rows
are, files that are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

import numpy as np

from posthog_assets.core.temporary_files import writing_temporary

#: Rows that are sorted in memory, and then written as one run.
_RUN_ROWS: Final = 1 << 17

#: One of so many rows of a run says how its uuids are distributed.
_SAMPLED: Final = 256

_HIGH: Final = np.dtype(np.uint64)


def halves(uuids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last eight bytes of each uuid (`S16`) as numbers that sort as the bytes do."""
    pairs = np.ascontiguousarray(uuids).view(">u8").reshape(-1, 2)
    return pairs[:, 0].astype(np.uint64), pairs[:, 1].astype(np.uint64)


def whole(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Return the uuids (`S16`) of which `halves` made these numbers."""
    return np.stack((high, low), axis=1).astype(">u8").view("S16").reshape(-1)


class UuidSorter:
    """Takes rows in any order and gives them back in pieces, each of a range of uuids; use as a context manager.

    A row is the first and the last eight bytes of a uuid (`halves`), and a number in each of further columns.
    """

    def __init__(self, path: Path, kinds: Sequence[type]) -> None:
        """Take rows with further columns of *kinds*; *path* is the file that is written where they do not fit."""
        self._path = path
        #: Those of all columns.
        self.kinds = [_HIGH, _HIGH, *map(np.dtype, kinds)]
        self._row_bytes = sum(kind.itemsize for kind in self.kinds)
        self._file: IO[bytes] | None = None
        self._held: list[tuple[np.ndarray, ...]] = []
        self._count = 0
        #: How many rows each run in the file has: its columns stand there one after the other.
        self._runs: list[int] = []
        self._samples: list[np.ndarray] = []

    def __enter__(self) -> UuidSorter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, *columns: np.ndarray) -> None:
        """Take rows: the two columns of their uuids, and the further ones; raises StorageError."""
        if len(columns[0]):
            self._held.append(columns)
            self._count += len(columns[0])
        while self._count >= _RUN_ROWS:
            self._spill()

    def pieces(self) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield all rows, once all were added: every uuid of a piece comes before those of the next one.

        Within a piece rows of the same uuid stand in the order in which they came, others in any order.
        """
        if self._file is None:
            if self._held:
                self._held = [self._joined()]
                yield self._held[0]
            return
        if self._count:
            self._spill()
        bounds = self._bounds()
        cuts = np.array([self._cuts(run, bounds) for run in range(len(self._runs))])
        for place in range(len(bounds) + 1):
            if (cuts[:, place] < cuts[:, place + 1]).any():
                yield self._piece(cuts[:, place], cuts[:, place + 1])

    def _joined(self) -> tuple[np.ndarray, ...]:
        return tuple(
            np.concatenate([columns[place] for columns in self._held]).astype(kind, copy=False)
            for place, kind in enumerate(self.kinds)
        )

    def _spill(self) -> None:
        """Write a run of what is held; what is more stays held."""
        columns = self._joined()
        self._count = max(0, self._count - _RUN_ROWS)
        self._held = [tuple(column[_RUN_ROWS:].copy() for column in columns)] if self._count else []
        if self._count:
            columns = tuple(column[:_RUN_ROWS] for column in columns)
        order = np.argsort(columns[0], kind="stable")
        self._write(column[order] for column in columns)
        self._samples.append(columns[0][order][::_SAMPLED])
        self._runs.append(len(order))

    def _write(self, columns: Iterable[np.ndarray]) -> None:
        with writing_temporary(self._path):
            file = self._file = self._file or self._path.open("w+b", buffering=0)
            for column in columns:
                left = column.data.cast("B")
                # Not `tofile`: what it cannot write of the last bytes it leaves out, and says nothing.
                while left:
                    left = left[file.write(left) :]

    def _bounds(self) -> np.ndarray:
        """Return where pieces end: the first half of the smallest uuid that comes after each but the last."""
        samples = np.sort(np.concatenate(self._samples))
        step = _RUN_ROWS // _SAMPLED
        return np.unique(samples[step::step])

    def _cuts(self, run: int, bounds: np.ndarray) -> np.ndarray:
        inner = np.searchsorted(self._read(run, 0, 0, self._runs[run]), bounds)
        return np.concatenate(([0], inner, [self._runs[run]]))

    def _piece(self, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(
            np.concatenate([
                self._read(run, place, start, end)
                for run, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True))
            ])
            for place in range(len(self.kinds))
        )  # fmt: skip

    def _read(self, run: int, place: int, start: int, end: int) -> np.ndarray:
        """Return values *start* to *end* of a column of a run."""
        assert self._file is not None
        # All runs but the last are full.
        before = run * _RUN_ROWS * self._row_bytes
        before += self._runs[run] * sum(kind.itemsize for kind in self.kinds[:place])
        kind: np.dtype[Any] = self.kinds[place]
        self._file.seek(before + start * kind.itemsize)
        return np.fromfile(self._file, kind, end - start)
