"""Which entry of a ledger each event of a day has, in memory that does not grow with the day.

Belongs here: going through both in the order of their uuids. Does not belong here: what follows from an entry
(`survey`), reading a ledger (`ledger`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from posthog_assets.core.uuid_sorter import UuidSorter
from posthog_assets.destination.entries import Known


@dataclass(frozen=True, slots=True)
class SortedEntries:
    """The newest entry of every uuid of a day; `pieces` opens them, sorted by uuid, each time it is called."""

    is_empty: bool
    pieces: Callable[[], Iterator[Known]]


@dataclass(frozen=True, slots=True)
class Joined:
    """Some rows, entries of the same range of uuids, and for each row the place of its entry, -1 where it has none.

    `columns` are what the rows have beside their uuids.
    """

    columns: tuple[np.ndarray, ...]
    uuids: tuple[np.ndarray, np.ndarray]
    known: Known
    where: np.ndarray


def joined(rows: UuidSorter, entries: SortedEntries) -> Iterator[Joined]:
    """Yield every row of *rows* and every one of *entries* once, those of one uuid together."""
    left = _Left(entries.pieces())
    for high, low, *columns in rows.pieces():
        known = left.until(high.max())
        yield Joined(tuple(columns), (high, low), known, known.find_halves(high, low))
    none, further = np.empty(0, np.uint64), tuple(np.empty(0, kind) for kind in rows.kinds[2:])
    for known in left.rest():
        yield Joined(further, (none, none), known, np.empty(0, np.int64))


class _Left:
    """Entries that were not reached yet."""

    def __init__(self, pieces: Iterator[Known]) -> None:
        self._pieces = pieces
        self._piece: Known | None = None

    def until(self, high: int) -> Known:
        """Take the entries of uuids that begin with *high* at most."""
        taken = []
        while (piece := self._piece or next(self._pieces, None)) is not None:
            end = int(np.searchsorted(piece.high, high, side="right"))
            taken.append(piece.at(slice(0, end)))
            self._piece = piece.at(slice(end, None)) if end < len(piece) else None
            if self._piece is not None:
                break
        return Known.joined(taken)

    def rest(self) -> Iterator[Known]:
        if self._piece is not None:
            yield self._piece
        yield from self._pieces
