"""One of the ordered streams in which a day's events leave.

Belongs here: the order of one person's events, whatever PostHog answers. Does not belong here: what an answer leads to
(`sender`), which person an event belongs to (`persons`).

A lane has one request in flight. An event that is answered `retry` is held, and with it every later event of its
person, until it is due; the events of everybody else go on. So a few events PostHog did not persist cost no standstill.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Final

import numpy as np

from posthog_assets.capture.client import Request
from posthog_assets.capture.encoder import EncodedEvents
from posthog_assets.capture.pace import Stopped, backoff
from posthog_assets.capture.sender import Outcome, Sender
from posthog_assets.errors import Unavailable

#: Due events wait this long for company, so that they do not leave in many small requests, seconds.
_COMPANY: Final = 0.5

#: A lane that holds this many batches of events takes no new ones.
_HELD_BATCHES: Final = 4


@dataclass(frozen=True, slots=True)
class _Part:
    """Held events; *due* and *since* (the first `retry`) are monotonic seconds, *tries* how often they were sent."""

    events: EncodedEvents
    due: float
    since: float
    tries: int


class Held:
    """Events of a lane that may not leave yet, oldest first."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []
        self._persons = np.empty(0, dtype=np.uint64)

    def __len__(self) -> int:
        return sum(len(part.events) for part in self._parts)

    @property
    def due(self) -> float:
        """When the first of them may leave (monotonic seconds)."""
        return self._parts[0].due

    def owe(self, events: EncodedEvents, due: float, since: float, tries: int, *, first: bool) -> None:
        """Hold events that were answered `retry`; *first* where they were held before and come before all others."""
        self._parts.insert(0 if first else len(self._parts), _Part(events, due, since, tries))
        self._update()

    def screen(self, batch: EncodedEvents) -> EncodedEvents:
        """Keep the events of *batch* whose person has a held event; return the others."""
        blocked = np.isin(batch.persons, self._persons)
        if not blocked.any():
            return batch
        now = time.monotonic()
        self._parts.append(_Part(batch.take(blocked), now, now, 0))
        return batch.take(~blocked)

    def ripe(self, limit: int, *, ending: bool) -> bool:
        """Whether the due events should leave now: they fill half a batch of *limit*, or have waited for company."""
        now = time.monotonic()
        if not self._parts or self.due > now:
            return False
        due = 0
        for part in self._parts:
            if part.due > now:
                break
            due += len(part.events)
        return ending or 2 * due >= limit or now - self.due >= _COMPANY

    def take(self, limit: int) -> _Part:
        """Remove and return at most *limit* of the due events, in their order."""
        now, count = time.monotonic(), 0
        taken: list[_Part] = []
        while self._parts and self._parts[0].due <= now and count < limit:
            part = self._parts.pop(0)
            room = limit - count
            if len(part.events) > room:
                rest = part.events.slice(room, len(part.events))
                self._parts.insert(0, _Part(rest, part.due, part.since, part.tries))
                part = _Part(part.events.slice(0, room), part.due, part.since, part.tries)
            taken.append(part)
            count += len(part.events)
        self._update()
        return _Part(
            EncodedEvents.joined([part.events for part in taken]),
            now,
            min(part.since for part in taken),
            max(part.tries for part in taken),
        )

    def _update(self) -> None:
        persons = [part.events.persons for part in self._parts]
        self._persons = np.unique(np.concatenate(persons)) if persons else np.empty(0, dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class _Queued:
    events: EncodedEvents
    #: The same, compressed ahead; not used where some of the events must be held.
    request: Future[Request] | None


class Lane:
    """Sends what it is given, in order, on a thread of its own.

    *record* is called with every settled batch on the threads of *recorder*; the next but one request leaves only once
    it has returned.
    """

    def __init__(
        self,
        sender: Sender,
        recorder: Executor,
        record: Callable[[EncodedEvents, Outcome], None],
        limit: int,
        ahead: int,
    ) -> None:
        """Make a lane whose requests have at most *limit* events and which takes *ahead* batches before their turn."""
        self._sender = sender
        self._recorder = recorder
        self._record = record
        self._limit = limit
        self._queue: queue.Queue[_Queued | None] = queue.Queue(ahead)
        self._held = Held()
        self._recording: Future[None] | None = None
        #: What ended the lane before its time.
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="lane")
        self._thread.start()

    @property
    def holding(self) -> bool:
        """Whether a batch that is put now may have to leave without some of its events."""
        return len(self._held) > 0

    def put(self, events: EncodedEvents | None, request: Future[Request] | None, seconds: float) -> bool:
        """Queue a batch, or None for the end; returns False where there was no room for *seconds*."""
        try:
            self._queue.put(None if events is None else _Queued(events, request), timeout=seconds)
        except queue.Full:
            return False
        return True

    def join(self, seconds: float | None = None) -> bool:
        """Wait until the lane has ended; returns False where it has not after *seconds*."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as failure:  # Whoever joins the lane raises it.
            self.failure = failure
            self._sender.stopped.set()
        finally:
            if self._recording is not None:
                try:
                    self._recording.result()
                except BaseException as failure:
                    self.failure = self.failure or failure
                    self._sender.stopped.set()

    def _work(self) -> None:
        ending = False
        while not ending or len(self._held):
            if self._sender.stopped.is_set():
                raise Stopped
            if self._held.ripe(self._limit, ending=ending):
                self._send_held()
            elif ending or len(self._held) >= _HELD_BATCHES * self._limit:
                self._sender.stopped.wait(max(0.0, self._held.due - time.monotonic()) + (0 if ending else _COMPANY))
            else:
                ending = self._take_one()

    def _take_one(self) -> bool:
        """Send the next batch of the queue; True at the end. Gives up early where held events become due meanwhile."""
        wait = max(0.01, min(0.1, self._held.due - time.monotonic())) if len(self._held) else 0.1
        with contextlib.suppress(queue.Empty):
            queued = self._queue.get(timeout=wait)
            if queued is None:
                return True
            events = self._held.screen(queued.events) if len(self._held) else queued.events
            if len(events):
                ready = queued.request.result() if queued.request and len(events) == len(queued.events) else None
                self._settle(events, ready, since=time.monotonic(), tries=0, again=False)
        return False

    def _send_held(self) -> None:
        part = self._held.take(self._limit)
        if part.tries and part.since + self._sender.destination.retry_seconds < time.monotonic():
            raise Unavailable(
                f"PostHog kept answering `retry` for {len(part.events):,} events, over "
                f"{self._sender.destination.retry_seconds:.0f} s"
            )
        self._settle(part.events, None, since=part.since, tries=part.tries, again=True)

    def _settle(self, events: EncodedEvents, request: Request | None, *, since: float, tries: int, again: bool) -> None:
        outcome = self._sender.settle(events, request)
        owed = outcome.owed
        if outcome.failure is None and owed.any():
            due = time.monotonic() + max(outcome.retry_after, backoff(tries))
            self._held.owe(events.take(owed), due, since, tries + 1, first=again)
            outcome.retries += 1
        if self._recording is not None:
            self._recording.result()
        self._recording = self._recorder.submit(self._record, events, outcome)
        if outcome.failure is not None:
            raise outcome.failure
