"""Events of a lane that may not leave yet.

Belongs here: which of them wait for which others, and what may leave. Does not belong here: sending (`lane`).

Two kinds are held. What PostHog answered `retry` is *owed*: it leaves after its pause, as the same request again (same
id, attempt counted up), since that is the contract of PostHog's clients, and so never together with other events. What
was not sent yet *waits* while an earlier event of its person is owed; after that it leaves before the next batch, in
one request with it. No person has events in two owed requests, because none of its events leaves while one is owed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import numpy as np

from posthog_assets.destination.client import Origin
from posthog_assets.destination.encoder import EncodedEvents

#: A lane that holds this many batches, of events or of bytes, takes no new ones.
_HELD_BATCHES: Final = 4

_NOBODY: Final = np.empty(0, dtype=np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class Owed:
    """Events of one request that were answered `retry`: when they are due, and since when (monotonic seconds)."""

    events: EncodedEvents
    #: The request in which they were sent.
    origin: Origin
    due: float
    since: float
    #: How often they were sent.
    tries: int


class Held:
    """What a lane holds; memory is bounded as long as it is given nothing more while it is `full`."""

    def __init__(self, most_events: int, most_bytes: int) -> None:
        """Make one for requests of at most so many events and bytes (one event always fits)."""
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._owed: list[Owed] = []
        #: Whose events are owed, sorted.
        self._persons = _NOBODY
        #: Not sent yet, in the order of each person.
        self._waiting: EncodedEvents | None = None
        #: Which of them may leave (a mask), and how many.
        self._free = np.empty(0, dtype=bool)
        self._free_count = 0
        self._events = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._events

    @property
    def full(self) -> bool:
        """Whether it must not be given more."""
        return self._events >= _HELD_BATCHES * self._most_events or self._bytes >= _HELD_BATCHES * self._most_bytes

    @property
    def crowded(self) -> bool:
        """Whether what may leave should do so before another batch comes."""
        return self.full or self._free_count >= self._most_events

    @property
    def owing(self) -> bool:
        """Whether events are owed, and not only waiting."""
        return bool(self._owed)

    def hold(self, owed: Owed) -> None:
        """Hold events that were answered `retry`, and with them the later ones of their persons."""
        self._owed.append(owed)
        self._changed()

    def seconds_left(self) -> float:
        """Return how long it takes until owed events are due; 0 where none are owed."""
        return max(0.0, min(owed.due for owed in self._owed) - time.monotonic()) if self._owed else 0.0

    def take_due(self) -> Owed | None:
        """Remove the owed events that have been due for longest, if there are any."""
        first = min(self._owed, key=lambda owed: owed.due, default=None)
        if first is None or first.due > time.monotonic():
            return None
        self._owed.remove(first)
        self._changed()
        return first

    def take_free(self, batch: EncodedEvents | None = None) -> EncodedEvents | None:
        """Return as many of the waiting events, and of *batch* behind them, as may leave in one request; None: none.

        The others wait. It is *batch* itself where all of it may leave alone.
        """
        if batch is not None:
            if self._waiting is None and not self._blocked(batch).any():
                return batch
            self._waiting = batch if self._waiting is None else EncodedEvents.joined([self._waiting, batch])
            self._changed()
        if self._waiting is None or not self._free_count:
            return None
        waiting, leaving = self._waiting, self._fitting(np.flatnonzero(self._free))
        stay = np.ones(len(waiting), dtype=bool)
        stay[leaving] = False
        self._waiting = waiting.take(stay) if stay.any() else None
        self._changed()
        return waiting.take(leaving)

    def _fitting(self, places: np.ndarray) -> np.ndarray:
        """Return the first of *places* among the waiting events that fit into one request."""
        assert self._waiting is not None
        sizes = np.cumsum(self._waiting.sizes[places] + 64)
        fit = int(np.searchsorted(sizes, self._most_bytes, side="right"))
        return places[: min(max(fit, 1), self._most_events)]

    def _blocked(self, events: EncodedEvents) -> np.ndarray:
        """Return which of *events* are behind an owed one of their person (a mask)."""
        if not len(self._persons):
            return np.zeros(len(events), dtype=bool)
        at = np.minimum(np.searchsorted(self._persons, events.persons), len(self._persons) - 1)
        return self._persons[at] == events.persons

    def _changed(self) -> None:
        self._persons = np.sort(np.concatenate([_NOBODY, *(owed.events.persons for owed in self._owed)]))
        every = [owed.events for owed in self._owed]
        if self._waiting is None:
            self._free_count = 0
        else:
            every.append(self._waiting)
            self._free = ~self._blocked(self._waiting)
            self._free_count = int(self._free.sum())
        self._events = sum(map(len, every))
        self._bytes = sum(int(events.sizes.sum()) for events in every)
