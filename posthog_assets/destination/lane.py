"""One of the ordered streams in which a day's events leave.

Belongs here: when which events of a lane leave, whatever PostHog answers. Does not belong here: which of them wait for
others (`held`), what an answer leads to (`sender`), which person an event belongs to (`person_order`).

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

from posthog_assets.core.errors import Unavailable
from posthog_assets.core.http import backoff
from posthog_assets.destination.client import Request
from posthog_assets.destination.encoder import EncodedEvents
from posthog_assets.destination.gate import LONGEST_WAIT
from posthog_assets.destination.held import Held, Owed
from posthog_assets.destination.probes import LaneProbe
from posthog_assets.destination.sender import Outcome, Sender
from posthog_assets.storage.rates import Stopped

#: Events that were held back and are free again leave with the next batch; without one they wait so long for company,
#: seconds, so that they do not leave in many small requests.
_COMPANY: Final = 0.5


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
        self._queue: queue.Queue[_Queued | None] = queue.Queue(ahead)
        self._held = Held(limit, sender.destination.batch_bytes)
        #: When events that had not been sent before left last (monotonic seconds).
        self._left_at = time.monotonic()
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
            if (owed := self._held.take_due()) is not None:
                self._send_again(owed)
            elif self._need_no_batch(ending=ending) and (events := self._held.take_free()) is not None:
                self._settle_first(events, None)
            elif ending or self._held.full:
                self._sender.stopped.wait(min(self._held.seconds_left() or 0.01, _COMPANY))
            else:
                ending = self._take_one()

    def _need_no_batch(self, *, ending: bool) -> bool:
        """Whether events that were held back should leave now, though no batch is there to go with."""
        if self._held.crowded or (ending and not self._held.owing):
            return True
        return time.monotonic() - self._left_at >= _COMPANY and (ending or self._queue.empty())

    def _take_one(self) -> bool:
        """Send the next batch of the queue, with what may leave before it, if one comes soon; True at the end."""
        with contextlib.suppress(queue.Empty):
            queued = self._queue.get(timeout=0.05)
            if queued is None:
                return True
            if (events := self._held.take_free(queued.events)) is not None:
                ready = queued.request if events is queued.events else None
                self._settle_first(events, ready.result() if ready else None)
        return False

    def _settle_first(self, events: EncodedEvents, request: Request | None) -> None:
        self._settle(events, request)
        self._left_at = time.monotonic()

    def _send_again(self, owed: Owed) -> None:
        if owed.since + self._sender.destination.retry_seconds < time.monotonic():
            raise Unavailable(
                f"PostHog kept answering `retry` for {len(owed.events):,} events, over "
                f"{self._sender.destination.retry_seconds:.0f} s"
                + (f"; it refused some ({self._sender.undecided})" if self._sender.undecided else "")
            )
        self._settle(owed.events, None, owed)

    def _settle(self, events: EncodedEvents, request: Request | None, before: Owed | None = None) -> None:
        outcome = self._sender.settle(events, request, self._probe, before.origin if before else None, self._note)
        owed = outcome.owed
        if outcome.failure is None and owed.any():
            if outcome.retry_after > LONGEST_WAIT:
                outcome.failure = Unavailable(
                    f"PostHog asks to wait for {outcome.retry_after:,.0f} s before {int(owed.sum()):,} events are sent "
                    "again: they stay owed until a later run",
                    retry_after=outcome.retry_after,
                )
            now, tries = time.monotonic(), before.tries if before else 0
            due, since = now + max(outcome.retry_after, backoff(tries)), before.since if before else now
            self._held.hold(Owed(events.take(owed), outcome.request.origin, due, since, tries + 1))
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
