"""Cutting one lane's events into batches.

Belongs here: sizes. Does not belong here: sending (`sender`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from posthog_assets.destination.encoder import EncodedEvents


class BatchCutter:
    """Cuts one lane's events into batches of at most so many events and bytes (one event always fits)."""

    def __init__(self, most_events: int, most_bytes: int) -> None:
        self._events = most_events
        self._bytes = most_bytes
        self._rest: list[EncodedEvents] = []
        self._size = 0

    def add(self, events: EncodedEvents) -> Iterator[EncodedEvents]:
        """Take events; yield the batches that are full."""
        self._rest.append(events)
        self._size += len(events)
        if self._size >= self._events or sum(int(part.sizes.sum()) for part in self._rest) >= self._bytes:
            yield from self._cut(EncodedEvents.joined(self._rest), whole=False)

    def end(self) -> Iterator[EncodedEvents]:
        """Yield what is left."""
        if self._size:
            yield from self._cut(EncodedEvents.joined(self._rest), whole=True)

    def _cut(self, events: EncodedEvents, *, whole: bool) -> Iterator[EncodedEvents]:
        ends = np.cumsum(events.sizes + 64)
        start = 0
        while start < len(events):
            before = ends[start - 1] if start else 0
            fit = int(np.searchsorted(ends, before + self._bytes, side="right"))
            stop = min(max(fit, start + 1), start + self._events)
            if stop >= len(events) and not whole and stop - start < self._events:
                break
            stop = min(stop, len(events))
            yield events.slice(start, stop)
            start = stop
        self._rest = [events.slice(start, len(events))] if start < len(events) else []
        self._size = len(events) - start
