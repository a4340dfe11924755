"""Whether PostHog refuses an event, or everything: events that it takes are sent once more to find out.

Belongs here: which events serve as such probes, and when something was last taken. Does not belong here: sending them,
or what follows (`sender`).

A proxy that answers 400 to whatever it gets must not cost an event. So no event is given up for good on the strength
of its own refusal: PostHog must take another one after it. Sending an acknowledged event again is harmless, because its
uuid makes PostHog keep one of the two. Its side effect on a person is not: `$set` writes the value once more, over any
later one. So a probe is an event without such an effect, or one whose person has had no later event.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow.compute as pc

from posthog_assets.destination.encoder import EncodedEvents

#: What writes over a later value of a person or a group when it is processed again.
_OVERWRITES: Final = r"\$(?:set|unset|group_set|groupidentify)\""

#: Events of a refused batch that are tried alone at each look, beside one that PostHog has taken before.
_PICKS: Final = 3

#: The last events of a batch that are looked at for one that can be sent again.
LOOKED_AT: Final = 500

#: Picks are scattered over the batch, the same ones each time.
_SEED: Final = 0


def without_overwrites(events: EncodedEvents) -> np.ndarray:
    """Return which of *events* can be processed at any later time without changing a person or a group (a mask)."""
    overwrites = pc.match_substring_regex(events.texts, _OVERWRITES)
    return ~overwrites.to_numpy(zero_copy_only=False).astype(bool)


@dataclass
class LaneProbe:
    """The event of one lane that PostHog took last: no later event of its person was sent."""

    event: EncodedEvents | None = None


@dataclass
class Probes:
    """What PostHog has taken, over all lanes; *known* is an event acknowledged by an earlier run."""

    known: EncodedEvents | None = None
    #: When the last request left of which PostHog took an event (monotonic seconds).
    last_taken: float = field(default=float("-inf"), init=False)
    #: Looks in a row, over all lanes, at which PostHog took nothing.
    failures: int = field(default=0, init=False)
    #: Single events refused at these looks.
    refused: int = field(default=0, init=False)
    #: Whether an event was refused and then taken unchanged: a refusal says less than it seems to.
    wavering: bool = field(default=False, init=False)
    _any: EncodedEvents | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    @property
    def ever(self) -> bool:
        """Whether PostHog has taken any event of the day."""
        return self.known is not None or self._any is not None

    def taken(self, events: EncodedEvents, left_at: float, lane: LaneProbe) -> None:
        """Note that PostHog took *events* (at least one), in a request that left at *left_at*."""
        # Copied, since a slice would keep all of them in memory.
        lane.event = events.slice(len(events) - 1, len(events)).take(np.array([0]))
        with self._lock:
            self.failures = self.refused = 0
            self.last_taken = max(self.last_taken, left_at)
            self._any = self._any or lane.event
            if self.known is None:
                last = events.slice(max(0, len(events) - LOOKED_AT), len(events))
                if (harmless := np.flatnonzero(without_overwrites(last))).size:
                    self.known = last.take(harmless[-1:])

    def none_taken(self, tried: int) -> tuple[int, int]:
        """Note a look at which PostHog took none of *tried* events; return how many looks and events that makes."""
        with self._lock:
            self.failures += 1
            self.refused += tried
            return self.failures, self.refused

    def candidates(self, batch: EncodedEvents, lane: LaneProbe, look: int) -> Iterator[EncodedEvents]:
        """Yield events, each alone, of which PostHog should take at least one while it takes anything.

        *look* counts from 0: those that PostHog has taken before are enough at later ones, where there are some.
        """
        before = [event for event in (lane.event, self.known, self._any) if event is not None]
        yield from before[:1]
        if not (before and look):
            for place in _picks(batch.persons, look):
                yield batch.take(np.array([place]))


def _picks(persons: np.ndarray, look: int) -> list[int]:
    """Return the places of events to try at a *look*, others than at the looks before it, given whose each event is.

    They are sent again in their place afterwards, so the first event of a person changes no order. Where there are not
    enough of these, the first events of the batch follow: an event before them was refused alone.
    """
    _, firsts = np.unique(persons, return_index=True)
    np.random.default_rng(_SEED).shuffle(firsts)
    start, end = look * _PICKS, (look + 1) * _PICKS
    return list(dict.fromkeys([*firsts[:end].tolist(), *range(min(end, len(persons)))]))[start:end] or [0]
