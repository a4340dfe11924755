"""Events of a day and what PostHog said of each, as columns of numbers.

Belongs here: the entries of one batch, those of a whole day, and finding a uuid among them. Does not belong here: the
files they are kept in (`batch_files`).

A day of 10 million events must fit beside everything else, so nothing here is a Python object per event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from posthog_assets.core.uuid_sorter import halves, whole
from posthog_assets.destination.verdicts import Verdict

#: Verdicts as the small integers that `Entries` holds.
CODES: Final = {verdict: code for code, verdict in enumerate(Verdict)}
VERDICTS: Final = tuple(Verdict)

#: What stands for words where PostHog dropped an event without any.
NO_REASON: Final = "no reason given"


@dataclass(frozen=True, slots=True)
class Entries:
    """The events of one batch and what is known of each: parallel arrays, uuids as 16 bytes each (`S16`)."""

    uuids: np.ndarray
    hashes: np.ndarray
    keys: np.ndarray
    codes: np.ndarray
    details: list[str | None]

    def __len__(self) -> int:
        return len(self.uuids)

    @property
    def acknowledged(self) -> np.ndarray:
        """Which entries PostHog acknowledged (boolean mask)."""
        return _acknowledged(self.codes)

    @property
    def dropped(self) -> np.ndarray:
        return self.codes == CODES[Verdict.DROP]

    def drop_reasons(self) -> dict[str, int]:
        """Return how many events PostHog dropped, by its reason."""
        reasons: dict[str, int] = {}
        for index in np.flatnonzero(self.dropped):
            reason = self.details[index] or NO_REASON
            reasons[reason] = reasons.get(reason, 0) + 1
        return reasons


@dataclass(frozen=True, slots=True)
class Known:
    """The newest entry of every uuid of a day, sorted by uuid: 33 bytes an event, 4 more where PostHog said words.

    A uuid is two numbers, its first and its last eight bytes: numbers are found several times as fast as texts.
    """

    high: np.ndarray
    low: np.ndarray
    hashes: np.ndarray
    keys: np.ndarray
    codes: np.ndarray
    #: Each entry's place in `texts`, where 0 says nothing; None where no entry says anything.
    words: np.ndarray | None
    texts: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.high)

    @property
    def acknowledged(self) -> np.ndarray:
        """Which entries PostHog acknowledged (boolean mask)."""
        return _acknowledged(self.codes)

    @property
    def dropped(self) -> np.ndarray:
        return self.codes == CODES[Verdict.DROP]

    @property
    def places(self) -> np.ndarray:
        """Each entry's place in `texts`."""
        return np.zeros(len(self), np.int32) if self.words is None else self.words

    def detail(self, index: int) -> str | None:
        """Return PostHog's own words about an entry."""
        return None if self.words is None else self.texts[self.words[index]]

    def find(self, uuids: np.ndarray) -> np.ndarray:
        """Return the index of each uuid (`S16`), -1 where there is none."""
        return self.find_halves(*halves(uuids))

    def find_halves(self, high: np.ndarray, low: np.ndarray) -> np.ndarray:
        """Return the index of each uuid, given as `halves` returns it, -1 where there is none."""
        found = np.full(len(high), -1)
        if not len(self) or not len(high):
            return found
        # Neighbours are looked for one after the other: most of what is read is in the processor's cache.
        order = np.argsort(high)
        where = np.empty(len(high), dtype=np.int64)
        where[order] = np.searchsorted(self.high, high[order])
        open_ = np.flatnonzero(where < len(self))
        open_ = open_[self.high[where[open_]] == high[open_]]
        hit = self.low[where[open_]] == low[open_]
        found[open_[hit]] = where[open_[hit]]
        # Others with the same first half stand after it, in the order of their last ones; of some days these are all.
        open_ = open_[~hit]
        begin, end = where[open_] + 1, np.searchsorted(self.high, high[open_], side="right")
        found[open_] = _found_between(self.low, low[open_], begin, end)
        return found

    def are_acknowledged(self, where: np.ndarray) -> np.ndarray:
        """Return which of the entries at *where* (-1: none) PostHog acknowledged; the cost is theirs, not the day's."""
        if not len(self):
            return np.zeros(len(where), dtype=bool)
        return (where >= 0) & _acknowledged(self.codes[where])

    def newest(self) -> Known:
        """Return the last of each uuid's entries, sorted by uuid."""
        return self.at(newest_of(self.high, self.low))

    def at(self, where: np.ndarray | slice) -> Known:
        """Return the entries at *where*."""
        words = None if self.words is None else self.words[where]
        return Known(
            self.high[where], self.low[where], self.hashes[where], self.keys[where], self.codes[where], words,
            self.texts,
        )  # fmt: skip

    @classmethod
    def joined(cls, pieces: list[Known]) -> Known:
        """Return as one the entries of *pieces*, each of uuids after those of the one before.

        The longer of two pieces' texts begin with the shorter ones.
        """
        if len(pieces) == 1:
            return pieces[0]
        if not pieces:
            numbers = np.empty(0, np.uint64)
            return cls(numbers, numbers, numbers, numbers, np.empty(0, np.int8), None, (None,))

        def column(name: str) -> np.ndarray:
            return np.concatenate([getattr(piece, name) for piece in pieces])

        return cls(
            column("high"), column("low"), column("hashes"), column("keys"), column("codes"), column("places"),
            max((piece.texts for piece in pieces), key=len),
        )  # fmt: skip

    def taken_back(self, where: np.ndarray, why: str) -> Entries:
        """Return the entries at *where* as owed, which *why* explains."""
        uuids, codes = whole(self.high[where], self.low[where]), np.full(len(where), CODES[Verdict.OWED], dtype=np.int8)
        return Entries(uuids, self.hashes[where], self.keys[where], codes, [why] * len(where))


def _found_between(values: np.ndarray, wanted: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return where each *wanted* one is among the sorted *values* from its *begin* to its *end*, -1 where it is not."""
    last = end
    while (is_open := begin < end).any():
        middle = (begin + end) // 2
        is_before = is_open & (values[np.minimum(middle, len(values) - 1)] < wanted)
        begin, end = np.where(is_before, middle + 1, begin), np.where(is_open & ~is_before, middle, end)
    at = np.minimum(begin, len(values) - 1)
    return np.where((begin < last) & (values[at] == wanted), at, -1)


def _acknowledged(codes: np.ndarray) -> np.ndarray:
    return (codes == CODES[Verdict.OK]) | (codes == CODES[Verdict.WARNING])


class Growing:
    """A column that grows in one piece: many small ones would leave memory in crumbs that nothing else can use."""

    def __init__(self, kind: type, room: int = 0) -> None:
        """Make an empty column; where *room* values will be enough it is never copied."""
        # What is not written to yet takes no memory.
        self._held: np.ndarray = np.empty(room, dtype=kind)
        self._count = 0

    @property
    def values(self) -> np.ndarray:
        return self._held[: self._count]

    def add(self, more: np.ndarray) -> None:
        end = self._count + len(more)
        if end > len(self._held):
            wider = np.empty(max(end, 2 * len(self._held)), dtype=self._held.dtype)
            wider[: self._count] = self.values
            self._held = wider
        self._held[self._count : end] = more
        self._count = end

    def taken(self, where: np.ndarray | slice) -> np.ndarray:
        """Return the values at *where*, and forget all of them."""
        values = self.values[where]
        self._held, self._count = self._held[:0].copy(), 0
        return values


class Words:
    """PostHog's words, each kept once."""

    def __init__(self) -> None:
        self._places: dict[str | None, int] = {None: 0}

    def places(self, details: pa.ChunkedArray) -> np.ndarray:
        """Return the place in `known` of each entry's words."""
        if details.null_count == len(details):
            return np.zeros(len(details), dtype=np.int32)
        texts = details.to_pylist()
        return np.array([self._places.setdefault(text, len(self._places)) for text in texts], np.int32)

    @property
    def known(self) -> tuple[str | None, ...]:
        return tuple(self._places)


class Texts(Words):
    """For every entry of a day which of PostHog's words it has."""

    def __init__(self) -> None:
        super().__init__()
        self._entries = Growing(np.int32)
        #: Entries without words that came before the first ones with some.
        self._silent = 0

    def add(self, details: pa.ChunkedArray) -> None:
        is_silent = details.null_count == len(details)
        if is_silent and len(self._places) == 1:
            self._silent += len(details)
            return
        if self._silent:
            self._entries.add(np.zeros(self._silent, dtype=np.int32))
            self._silent = 0
        self._entries.add(self.places(details))

    def taken(self, where: np.ndarray | slice) -> np.ndarray | None:
        """Return the place in `known` of the words of the entries at *where*; None where PostHog said nothing."""
        return None if len(self._places) == 1 else self._entries.taken(where)


def newest_of(high: np.ndarray, low: np.ndarray) -> np.ndarray | slice:
    """Return where the last of each uuid's entries is, in the order of the uuids."""
    if bool((high[1:] > high[:-1]).all()):
        # As in a folded file. Sorting, and a copy of what is sorted, would take as much memory once more.
        return slice(None)
    order = np.argsort(high, kind="stable")
    sorted_high = high[order]
    equal = sorted_high[1:] == sorted_high[:-1]
    if not equal.any():
        return order
    # Stable, so the last of equal uuids is the newest.
    order = np.lexsort((low, high))
    sorted_high, sorted_low = high[order], low[order]
    return order[np.append((sorted_high[1:] != sorted_high[:-1]) | (sorted_low[1:] != sorted_low[:-1]), True)]
