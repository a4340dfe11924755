"""One batch of events, sent until PostHog has said what becomes of each of them.

Belongs here: what follows from each answer - splitting, waiting, trying again, falling back, giving up. Does not belong
here: HTTP (`client`), the meaning of an answer (`verdicts`), which events are sent when (`lane`).

No event is dropped because it was refused once. A whole request that is refused (400, 413), and an answer that drops
every event in it, count for nothing until PostHog has taken an event in a request that left later (`probes`); then the
refused ones are sent again, and only what is refused three times is believed. Where PostHog takes nothing any more,
the run stops and everything without a verdict stays owed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from posthog_assets.core.errors import DeliveryError, Refused, Unavailable
from posthog_assets.destination.client import CaptureClient, Origin, Request, compressed
from posthog_assets.destination.encoder import EncodedEvents
from posthog_assets.destination.entries import CODES, NO_REASON
from posthog_assets.destination.gate import Gate
from posthog_assets.destination.probes import LOOKED_AT, LaneProbe, Probes
from posthog_assets.destination.settings import Destination, Protocol
from posthog_assets.destination.taken_uuids import TakenUuids
from posthog_assets.destination.verdicts import BILLING, Answer, Consequence, Verdict
from posthog_assets.storage.leases import Holding
from posthog_assets.storage.rates import Pace, Stopped

#: Looks in a row at which PostHog took no event, before the run stops, where it took some earlier.
_LOOKS: Final = 8

#: Where it never took one: single events refused in a row, over all batches, or attempts at one batch.
_FIRST_REFUSED: Final = 10
_FIRST_ATTEMPTS: Final = 6

#: How often a refused event is sent again, after PostHog took another one; more often where that was to no avail once.
_SENT_AGAIN: Final = 2
_SENT_AGAIN_WAVERING: Final = 6

#: A batch that PostHog refuses while it takes nothing, and again after that has passed, so often: neither is true.
_OUTAGES: Final = 5

#: Answers in a row that deny the protocol, before one that was served earlier is believed to be gone.
_DENIED: Final = 4

_OWED: Final = CODES[Verdict.OWED]
_DROP: Final = CODES[Verdict.DROP]


@dataclass
class Outcome:
    """What became of one batch, whole or in pieces.

    `codes` has an `entries.CODES` number for each event; an event that is still owed there was answered `retry`, or was
    absent from the answer, unless `failure` says that there was none. `retry_after` is in seconds.
    """

    codes: np.ndarray
    details: list[str | None]
    request: Request
    #: What its lane sent last.
    lane: LaneProbe = field(default_factory=LaneProbe)
    requests: int = 0
    retries: int = 0
    raw_bytes: int = 0
    sent_bytes: int = 0
    retry_after: float = 0.0
    failure: DeliveryError | Stopped | None = None
    #: Which events' verdicts were recorded with a half of the batch already (mask).
    recorded: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.recorded = np.zeros(len(self.codes), dtype=bool)

    def taken(self, rows: np.ndarray | slice, request: Request) -> Outcome:
        """Return what became of some events, with all that was counted since the last call; they count as recorded."""
        places = np.arange(len(self.codes))[rows]
        part = Outcome(
            self.codes[places], [self.details[place] for place in places.tolist()], request, self.lane, self.requests,
            self.retries, self.raw_bytes, self.sent_bytes,
        )  # fmt: skip
        self.recorded[places] = True
        self.requests = self.retries = self.raw_bytes = self.sent_bytes = 0
        return part

    @property
    def owed(self) -> np.ndarray:
        """Which events have no verdict (boolean mask)."""
        return self.codes == _OWED


#: Writes down what became of some events.
Record = Callable[[EncodedEvents, Outcome], None]


class _Undecided(Exception):
    """A batch is refused, and PostHog has not taken an event by which to tell whether it is the batch's fault."""


@dataclass(frozen=True, slots=True)
class _Said:
    """One answer, and what it says of each event of the batch; of none where it refuses the request."""

    answer: Answer
    codes: np.ndarray
    details: list[str | None]

    @property
    def splits(self) -> bool:
        return self.answer.consequence is Consequence.SPLIT

    @property
    def taken(self) -> np.ndarray:
        """Which events PostHog took (boolean mask)."""
        return (self.codes == CODES[Verdict.OK]) | (self.codes == CODES[Verdict.WARNING])

    @property
    def refuses(self) -> bool:
        """Whether events are refused, and nothing shows that PostHog takes any."""
        return self.splits or (bool((self.codes == _DROP).any()) and not self.taken.any())

    @property
    def words(self) -> str:
        if self.splits:
            return f"HTTP {self.answer.status}: {self.answer.words}"
        dropped = np.flatnonzero(self.codes == _DROP)
        return f"drop: {self.details[dropped[0]] or NO_REASON}" if dropped.size else f"HTTP {self.answer.status}"


@dataclass
class Sender:
    """Sends batches into one project; several lanes may use it at the same time."""

    destination: Destination
    client: CaptureClient
    pace: Pace
    gate: Gate
    stopped: threading.Event
    protocol: Protocol = Protocol.V1
    probes: Probes = field(default_factory=Probes)
    #: A run that lost the day to another one sends nothing more.
    holding: Holding = field(default_factory=Holding)
    #: PostHog's words of the last refusal of which it is not known yet whether the events are at fault.
    undecided: str = field(default="", init=False)
    #: The protocol in which PostHog took events, and how often in a row it has denied since that it serves it.
    _served: Protocol | None = field(default=None, init=False)
    _not_served: int = field(default=0, init=False)

    def request(self, batch: EncodedEvents, origin: Origin | None = None) -> Request:
        """Return *batch* as a compressed request; *origin* is that of the batch whose events are sent again."""
        protocol, origin = self.protocol, origin or Origin()
        body = batch.body(
            protocol, self.client.key, origin.created_at, historical=self.destination.historical_migration
        )
        return compressed(protocol, body, len(batch), origin)

    def settle(
        self,
        batch: EncodedEvents,
        request: Request | None = None,
        lane: LaneProbe | None = None,
        origin: Origin | None = None,
        record: Record | None = None,
    ) -> Outcome:
        """Send *batch* until every event has a verdict or was answered `retry`; *request* is it, made before.

        *lane* is what the lane knows of its last events, *origin* the request in which all of these were sent before.
        *record* is called with each part of a batch that is halved, as soon as it is settled: that takes many requests.
        Never raises for what PostHog does: what ends the delivery is in the outcome, beside the verdicts that came.

        Raises:
            PartitionLost: another run may have the day now.
        """
        if request is None or request.protocol is not self.protocol:
            request = self.request(batch, origin)
        outcome = Outcome(np.full(len(batch), _OWED, dtype=np.int8), [None] * len(batch), request, lane or LaneProbe())
        try:
            self._settle(batch, request, outcome, 0, record)
        except _Undecided:
            pass  # Held like events that were answered `retry`, while others leave.
        except (DeliveryError, Stopped) as failure:
            self.stopped.set()
            outcome.failure = failure
        return outcome

    def _settle(
        self,
        batch: EncodedEvents,
        request: Request,
        outcome: Outcome,
        origin: int,
        record: Record | None,
        *,
        half: bool = False,
    ) -> None:
        """Fill *outcome* from event *origin* on; *half* of a batch that was refused while PostHog took other events."""
        said = self._ask(batch, request, outcome)
        divisible = said.splits and len(batch) > 1
        if said.refuses and not (half and divisible):
            said = self._believed(batch, request, outcome, said)
            divisible = said.splits and len(batch) > 1
        if divisible:
            middle = len(batch) // 2
            for part, start in ((batch.slice(0, middle), 0), (batch.slice(middle, len(batch)), middle)):
                self._settle(part, self.request(part), outcome, origin + start, record, half=True)
            if said.answer.status == 400 and not (outcome.codes[origin : origin + len(batch)] == _DROP).any():
                # All of its events are well, so it was not for one of them that it was refused.
                self.probes.wavering = True
            return
        rows = slice(origin, origin + len(batch))
        if said.splits:
            outcome.codes[origin], outcome.details[origin] = _DROP, said.words
        else:
            outcome.retry_after = max(outcome.retry_after, said.answer.retry_after or 0.0)
            outcome.codes[rows] = said.codes
            outcome.details[rows] = said.details
        if half and record is not None:
            record(batch, outcome.taken(rows, request))
        if any(detail == BILLING for _, detail in said.answer.verdicts.values()):
            raise Refused("PostHog drops events because the project is over its billing limit")

    def _ask(self, batch: EncodedEvents, request: Request, outcome: Outcome) -> _Said:
        """Send *batch* until there is an answer; note what PostHog took of it."""
        answer, left_at = self._answered(batch, request, outcome)
        said = _read(answer, batch)
        if (taken := said.taken).any():
            # Copying all of a large batch for its last ones would take longer than reading the answer.
            last = batch if taken.all() else batch.take(np.flatnonzero(taken)[-LOOKED_AT:])
            self.probes.taken(last, left_at, outcome.lane)
        return said

    def _believed(self, batch: EncodedEvents, request: Request, outcome: Outcome, said: _Said) -> _Said:
        """Return what PostHog says of a refused batch at a time at which it takes other events.

        Where the batch can be halved that is enough, since its halves show more. Otherwise the refusal would be a
        verdict: the batch is sent again, and after that PostHog must still take other events.
        """
        for _ in range(_OUTAGES):
            at_once, itself = self._takes_others(batch, outcome, said)
            if itself is not None:
                self.probes.wavering = True
                return itself
            if at_once and said.splits and len(batch) > 1:
                return said
            for _ in range(_SENT_AGAIN_WAVERING if self.probes.wavering else _SENT_AGAIN):
                said = self._ask(batch, request, outcome)
                if not said.refuses:
                    self.probes.wavering = True
                    return said
            if at_once:
                at_once, itself = self._takes_others(batch, outcome, said)
                if itself is not None or at_once:
                    return itself or said
        raise Unavailable(
            f"PostHog refuses the same events at one time and everything at another; its last refusal: {said.words}. "
            "Nothing of that is dropped, the events stay owed"
        )

    def _takes_others(self, batch: EncodedEvents, outcome: Outcome, said: _Said) -> tuple[bool, _Said | None]:
        """Return once PostHog takes an event, after it refused *batch*: whether it did so at once.

        Where that event is all of *batch*, it is not refused: what PostHog says of it now comes second.

        Raises:
            _Undecided: it took nothing, and never took an event of this day.
            Refused: that has happened too often.
            Unavailable: it takes nothing any more.
        """
        refused_at, at_once = time.monotonic(), True
        while self.probes.last_taken < refused_at:
            tried = 0
            for event in self.probes.candidates(batch, outcome.lane, self.probes.failures):
                answered = self._ask(event, self.request(event), outcome)
                tried += 1
                if self.probes.last_taken >= refused_at:
                    is_all = len(batch) == 1 and event.text_uuids[0] == batch.text_uuids[0]
                    return at_once, answered if is_all and bool(answered.taken.all()) else None
            self._none_taken(said, outcome, tried)
            at_once = False
        return at_once, None

    def _none_taken(self, said: _Said, outcome: Outcome, tried: int) -> None:
        """Wait after *tried* events of which PostHog took none; raises what `_takes_others` does."""
        looks, refused = self.probes.none_taken(tried)
        if not self.probes.ever:
            if refused >= _FIRST_REFUSED or outcome.request.origin.attempts >= _FIRST_ATTEMPTS:
                raise Refused(
                    f"PostHog refuses every event ({said.words}). It has taken no other event of this day by which to "
                    "tell whether the events or the requests are at fault, so nothing is dropped and all of them stay "
                    "owed. Check destination.host, the proxies on the way to it, and what its words say of the events"
                )
            self.undecided = said.words
            raise _Undecided
        self.gate.failed(0.0, 0.0)
        if looks >= _LOOKS or self.gate.exhausted:
            raise Unavailable(
                f"PostHog has begun to refuse every event ({said.words}), also one that it took before: nothing of "
                "that is dropped, the events stay owed. When it takes events again, materialize this day again"
            )

    def _answered(self, batch: EncodedEvents, request: Request, outcome: Outcome) -> tuple[Answer, float]:
        """Send the same bytes until an answer settles or splits the batch; return it, and when its request left."""
        spent, attempt = 0.0, 0
        while True:
            attempt += 1
            answer, used, left_at = self._send(batch, request)
            outcome.requests += 1
            outcome.raw_bytes += request.raw_bytes
            outcome.sent_bytes += len(request.body)
            if answer.consequence in (Consequence.SETTLED, Consequence.SPLIT):
                return answer, left_at
            if answer.consequence is Consequence.STOP:
                raise Refused(f"PostHog refuses the import (HTTP {answer.status}): {answer.words}")
            if answer.consequence is Consequence.FALL_BACK and self._is_not_served():
                request = outcome.request = self._fall_back(batch, request, answer)
                continue
            spent += used
            if spent > self.destination.retry_seconds or self.gate.exhausted:
                raise Unavailable(
                    f"PostHog did not take a batch in {attempt} tries over "
                    f"{self.destination.retry_seconds:.0f} s; the last answer: {answer.words or answer.status}",
                    retry_after=answer.retry_after,
                )
            outcome.retries += 1

    def _send(self, batch: EncodedEvents, request: Request) -> tuple[Answer, float, float]:
        """Send once, when rates and earlier answers allow it.

        Return the answer, the seconds of budget it cost, and when the request left (monotonic seconds).
        """
        self.pace.wait(len(batch), self.stopped)
        with self.gate.passage():
            self.holding.check()
            began = time.monotonic()
            answer = self.client.send(request)
            # The gate learns of the answer before the next lane may leave.
            match answer.consequence:
                case Consequence.SETTLED if answer.mostly_owed(len(batch)):
                    self.gate.failed(answer.retry_after or 0.0, 0.0)
                case Consequence.SETTLED if answer.takes_any:
                    self._served, self._not_served = request.protocol, 0
                    self.gate.open()
                case Consequence.SETTLED | Consequence.SPLIT:
                    self.gate.doubt()
                case Consequence.WAIT:
                    self.gate.wait_as_asked(answer.retry_after)
                case Consequence.FALL_BACK if self._served is not request.protocol:
                    self.gate.doubt()
                case Consequence.RETRY | Consequence.FALL_BACK:
                    return answer, self.gate.failed(answer.retry_after or 0.0, time.monotonic() - began), began
                case Consequence.STOP:
                    self.stopped.set()
        return answer, 0.0, began

    def _is_not_served(self) -> bool:
        """Whether PostHog, which has just denied it, does not serve v1: one such answer among good ones is a fault."""
        self._not_served += 1
        return self._served is not Protocol.V1 or self._not_served >= _DENIED

    def _fall_back(self, batch: EncodedEvents, request: Request, answer: Answer) -> Request:
        if self.destination.protocol == "v1":
            raise Refused(
                f"this PostHog does not serve /i/v1/analytics/events (HTTP {answer.status}: {answer.words}); "
                "set destination.protocol to auto or batch"
            )
        self.protocol = Protocol.BATCH
        return self.request(batch, request.origin)


def _read(answer: Answer, batch: EncodedEvents) -> _Said:
    """Return what *answer* says of each event of *batch*."""
    count = len(batch)
    if answer.consequence is Consequence.SPLIT:
        return _Said(answer, np.full(count, _OWED, dtype=np.int8), [None] * count)
    codes = np.full(count, CODES[Verdict.OK], dtype=np.int8)
    details: list[str | None] = [None] * count
    if answer.all_ok or (isinstance(answer.plain, TakenUuids) and answer.plain.are(batch.uuids)):
        return _Said(answer, codes, details)
    uuids = batch.text_uuids.to_pylist()
    if not answer.plain >= set(uuids):
        for index, uuid in enumerate(uuids):
            if uuid not in answer.plain:
                verdict, detail = answer.verdicts.get(uuid, (Verdict.OWED, ""))
                codes[index], details[index] = CODES[verdict], detail or None
    return _Said(answer, codes, details)
