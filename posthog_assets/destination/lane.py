"""One of the ordered streams in which a day's events leave.

Belongs here: the order of one person's events, whatever PostHog answers. Does not belong here: what an answer leads to
(`sender`), which person an event belongs to (`person_order`).

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

from posthog_assets.core.errors import Unavailable
from posthog_assets.core.http import backoff
from posthog_assets.destination.client import Origin, Request
from posthog_assets.destination.encoder import EncodedEvents
from posthog_assets.destination.gate import LONGEST_WAIT
from posthog_assets.destination.probes import LaneProbe
from posthog_assets.destination.sender import Outcome, Sender
from posthog_assets.storage.rates import Stopped

#: Due events wait this long for company, so that they do not leave in many small requests, seconds.
_COMPANY: Final = 0.5

#: A lane that holds this many batches of events takes no new ones.
_HELD_BATCHES: Final = 4


@dataclass(frozen=True, slots=True)
class Taken:
    """Held events that leave now: since when they were held, how often they were sent, and in which request."""

    events: EncodedEvents
    since: float
    tries: int
    origin: Origin | None


class Held:
    """Events of a lane that may not leave yet; those of one person stand in their order.

    The columns are parallel: whose each event is, when it is due, since when it is held (monotonic seconds), how often
    it was sent, and in which request. An event that was never sent is due at once, but follows others of its person.
    """

    def __init__(self) -> None:
        self._parts: list[EncodedEvents] = []
        self._persons = np.empty(0, dtype=np.uint64)
        self._due = np.empty(0)
        self._since = np.empty(0)
        self._tries = np.empty(0, dtype=np.int64)
        self._origins = np.empty(0, dtype=object)

    def __len__(self) -> int:
        return len(self._persons)

    def seconds_left(self) -> float:
        """Return how long it takes until more of them are due."""
        left = self._due - time.monotonic()
        return float(left[left > 0].min()) if bool((left > 0).any()) else 0.0

    def hold(
        self,
        events: EncodedEvents,
        due: float,
        since: float,
        tries: int,
        *,
        first: bool,
        origin: Origin | None = None,
    ) -> None:
        """Hold events that were answered `retry` in the request *origin*, or were not sent yet.

        *first* puts them before what followed them when they were held.
        """

        def joined(old: np.ndarray, new: np.ndarray) -> np.ndarray:
            return np.concatenate((new, old) if first else (old, new))

        self._parts.insert(0 if first else len(self._parts), events)
        self._persons = joined(self._persons, events.persons)
        self._due = joined(self._due, np.full(len(events), due))
        self._since = joined(self._since, np.full(len(events), since))
        self._tries = joined(self._tries, np.full(len(events), tries))
        self._origins = joined(self._origins, np.full(len(events), origin, dtype=object))

    def hold_back_blocked(self, batch: EncodedEvents) -> EncodedEvents:
        """Keep the events of *batch* whose person has a held event; return the others."""
        blocked = np.isin(batch.persons, self._persons)
        if not blocked.any():
            return batch
        now = time.monotonic()
        self.hold(batch.take(blocked), now, now, 0, first=False)
        return batch.take(~blocked)

    def ready_to_send(self, limit: int, *, ending: bool) -> bool:
        """Whether what is due should leave now: it fills half a batch of *limit* events, or has waited for company."""
        now = time.monotonic()
        due = self._leaving(now)
        count = int(due.sum())
        return count > 0 and (ending or 2 * count >= limit or now - float(self._due[due].min()) >= _COMPANY)

    def take(self, limit: int) -> Taken:
        """Remove at most *limit* of the due events that were sent in the same request, or not yet, in their order."""
        due = self._leaving(time.monotonic())
        origin = self._origins[np.argmax(due)]
        due &= np.fromiter((one is origin for one in self._origins), dtype=bool, count=len(due))
        due &= ~self._behind(~due)
        leaves = due & (np.cumsum(due) <= limit)
        taken, kept, start = [], [], 0
        for part in self._parts:
            mask = leaves[start : start + len(part)]
            start += len(part)
            if mask.any():
                taken.append(part.take(mask))
            if not mask.all():
                kept.append(part.take(~mask) if mask.any() else part)
        tries, since = self._tries[leaves], float(self._since[leaves].min())
        self._parts = kept
        self._persons, self._due = self._persons[~leaves], self._due[~leaves]
        self._since, self._tries = self._since[~leaves], self._tries[~leaves]
        self._origins = self._origins[~leaves]
        least = int(tries[tries > 0].min()) if tries.any() else 0
        return Taken(EncodedEvents.joined(taken), since, least, origin)

    def _behind(self, stays: np.ndarray) -> np.ndarray:
        """Return which events stand behind one of their person that stays."""
        persons, firsts = np.unique(self._persons[stays], return_index=True)
        if not len(persons):
            return np.zeros(len(stays), dtype=bool)
        at = np.minimum(np.searchsorted(persons, self._persons), len(persons) - 1)
        first = np.flatnonzero(stays)[firsts][at]
        return (persons[at] == self._persons) & (np.arange(len(stays)) > first)

    def _leaving(self, now: float) -> np.ndarray:
        """Return which events may leave: those that are due, unless another one of their person is not."""
        late = self._due > now
        return ~late & np.isin(self._persons, np.unique(self._persons[late]), invert=True)


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
        self._probe = LaneProbe()
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
        except BaseException as failure:  # The thread that joins the lane raises it.
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
            if self._held.ready_to_send(self._limit, ending=ending):
                self._send_held()
            elif ending or len(self._held) >= _HELD_BATCHES * self._limit:
                self._sender.stopped.wait(self._held.seconds_left() or 0.01)
            else:
                ending = self._take_one()

    def _take_one(self) -> bool:
        """Send the next batch of the queue, if one comes soon; True at the end."""
        with contextlib.suppress(queue.Empty):
            queued = self._queue.get(timeout=0.05)
            if queued is None:
                return True
            events = self._held.hold_back_blocked(queued.events) if len(self._held) else queued.events
            if len(events):
                ready = queued.request.result() if queued.request and len(events) == len(queued.events) else None
                self._settle(events, ready)
        return False

    def _send_held(self) -> None:
        held = self._held.take(self._limit)
        if held.tries and held.since + self._sender.destination.retry_seconds < time.monotonic():
            raise Unavailable(
                f"PostHog kept answering `retry` for {len(held.events):,} events, over "
                f"{self._sender.destination.retry_seconds:.0f} s"
                + (f"; it refused some ({self._sender.undecided})" if self._sender.undecided else "")
            )
        self._settle(held.events, None, held)

    def _settle(self, events: EncodedEvents, request: Request | None, held: Taken | None = None) -> None:
        outcome = self._sender.settle(events, request, self._probe, held.origin if held else None, self._note)
        owed = outcome.owed
        if outcome.failure is None and owed.any():
            if outcome.retry_after > LONGEST_WAIT:
                outcome.failure = Unavailable(
                    f"PostHog asks to wait for {outcome.retry_after:,.0f} s before {int(owed.sum()):,} events are sent "
                    "again: they stay owed until a later run",
                    retry_after=outcome.retry_after,
                )
            now, tries = time.monotonic(), held.tries if held else 0
            self._held.hold(
                events.take(owed), now + max(outcome.retry_after, backoff(tries)), held.since if held else now,
                tries + 1, first=held is not None, origin=outcome.request.origin,
            )  # fmt: skip
            outcome.retries += 1
        left = ~outcome.recorded
        if left.all():
            self._note(events, outcome)
        elif left.any() or outcome.requests or outcome.retries:
            self._note(events.take(left), outcome.taken(left, outcome.request))
        if outcome.failure is not None:
            raise outcome.failure

    def _note(self, events: EncodedEvents, outcome: Outcome) -> None:
        """Have the verdicts recorded, once those before them are."""
        if self._recording is not None:
            self._recording.result()
        self._recording = self._recorder.submit(self._record, events, outcome)
