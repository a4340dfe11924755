"""One batch of events, sent until PostHog has said what becomes of each of them.

Belongs here: what follows from each answer - splitting, waiting, trying again, falling back, giving up. Does not belong
here: HTTP (`client`), the meaning of an answer (`verdicts`), which events are sent when (`lane`).
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np

from posthog_assets.core.errors import DeliveryError, Refused, Unavailable
from posthog_assets.destination.client import CaptureClient, Request, compressed
from posthog_assets.destination.encoder import EncodedEvents
from posthog_assets.destination.entries import CODES
from posthog_assets.destination.gate import Gate
from posthog_assets.destination.settings import Destination, Protocol
from posthog_assets.destination.verdicts import BILLING, Answer, Consequence, Verdict
from posthog_assets.storage.rates import Pace, Stopped

#: Single events refused in a row, none accepted ever, before the request itself is held to be what is refused.
_REFUSED_IN_A_ROW: Final = 10

_OWED: Final = CODES[Verdict.OWED]


@dataclass
class Outcome:
    """What became of one batch, whole or in pieces.

    `codes` has a `ledger.CODES` number for each event; an event that is still owed there was answered `retry`, or was
    absent from the answer, unless `failure` says that there was none. `retry_after` is in seconds.
    """

    codes: np.ndarray
    details: list[str | None]
    request: Request
    requests: int = 0
    retries: int = 0
    raw_bytes: int = 0
    sent_bytes: int = 0
    retry_after: float = 0.0
    failure: DeliveryError | Stopped | None = None

    @property
    def owed(self) -> np.ndarray:
        """Which events have no verdict (boolean mask)."""
        return self.codes == _OWED


@dataclass
class Sender:
    """Sends batches into one project; several lanes may use it at the same time."""

    destination: Destination
    client: CaptureClient
    pace: Pace
    gate: Gate
    stopped: threading.Event
    protocol: Protocol = Protocol.V1
    _accepted: bool = field(default=False, init=False)
    _refused: int = field(default=0, init=False)

    def request(self, batch: EncodedEvents) -> Request:
        """Return *batch* as a compressed request."""
        protocol = self.protocol
        body = batch.body(
            protocol, self.client.key, datetime.now(UTC), historical=self.destination.historical_migration
        )
        return compressed(protocol, body, len(batch))

    def settle(self, batch: EncodedEvents, request: Request | None = None) -> Outcome:
        """Send *batch* until every event has a verdict or was answered `retry`; *request* is it, made before.

        Never raises for what PostHog does: what ends the delivery is in the outcome, beside the verdicts that came.
        """
        if request is None or request.protocol is not self.protocol:
            request = self.request(batch)
        outcome = Outcome(np.full(len(batch), _OWED, dtype=np.int8), [None] * len(batch), request)
        try:
            self._settle(batch, request, outcome, 0)
        except (DeliveryError, Stopped) as failure:
            self.stopped.set()
            outcome.failure = failure
        return outcome

    def _settle(self, batch: EncodedEvents, request: Request, outcome: Outcome, origin: int) -> None:
        """Fill *outcome* from event *origin* on."""
        answer = self._answered(batch, request, outcome)
        if answer.consequence is Consequence.SPLIT:
            self._split(batch, answer, outcome, origin)
            return
        self._accepted = True
        if answer.all_ok:
            outcome.codes[origin : origin + len(batch)] = CODES[Verdict.OK]
            return
        outcome.retry_after = max(outcome.retry_after, answer.retry_after or 0.0)
        outcome.codes[origin : origin + len(batch)] = CODES[Verdict.OK]
        for index, uuid in enumerate(batch.text_uuids.to_pylist(), origin):
            if uuid not in answer.plain:
                verdict, detail = answer.verdicts.get(uuid, (Verdict.OWED, ""))
                outcome.codes[index], outcome.details[index] = CODES[verdict], detail or None
        if any(detail == BILLING for _, detail in answer.verdicts.values()):
            raise Refused("PostHog drops events because the project is over its billing limit")

    def _split(self, batch: EncodedEvents, answer: Answer, outcome: Outcome, origin: int) -> None:
        if len(batch) > 1:
            middle = len(batch) // 2
            for half, start in ((batch.slice(0, middle), 0), (batch.slice(middle, len(batch)), middle)):
                self._settle(half, self.request(half), outcome, origin + start)
            return
        if not self._accepted:
            self._refused += 1
            if self._refused >= _REFUSED_IN_A_ROW:
                raise Refused(f"PostHog refuses every event alike (HTTP {answer.status}): {answer.words}")
        outcome.codes[origin] = CODES[Verdict.DROP]
        outcome.details[origin] = f"HTTP {answer.status}: {answer.words}"

    def _answered(self, batch: EncodedEvents, request: Request, outcome: Outcome) -> Answer:
        """Send the same bytes until there is an answer that settles or splits the batch."""
        spent, attempt = 0.0, 0
        while True:
            attempt += 1
            answer, used = self._send(batch, request, attempt)
            outcome.requests += 1
            outcome.raw_bytes += request.raw_bytes
            outcome.sent_bytes += len(request.body)
            if answer.consequence in (Consequence.SETTLED, Consequence.SPLIT):
                return answer
            if answer.consequence is Consequence.STOP:
                raise Refused(f"PostHog refuses the import (HTTP {answer.status}): {answer.words}")
            if answer.consequence is Consequence.FALL_BACK:
                request = outcome.request = self._fall_back(batch, answer)
                continue
            spent += used
            if spent > self.destination.retry_seconds or self.gate.exhausted:
                raise Unavailable(
                    f"PostHog did not take a batch in {attempt} tries over "
                    f"{self.destination.retry_seconds:.0f} s; the last answer: {answer.words or answer.status}",
                    retry_after=answer.retry_after,
                )
            outcome.retries += 1

    def _send(self, batch: EncodedEvents, request: Request, attempt: int) -> tuple[Answer, float]:
        """Send once, when rates and earlier answers allow it; return the answer and the seconds of budget it cost."""
        self.pace.wait(len(batch), self.stopped)
        with self.gate.passage():
            began = time.monotonic()
            answer = self.client.send(request, attempt)
            # The gate learns of the answer before the next lane may leave.
            match answer.consequence:
                case Consequence.SETTLED if answer.mostly_owed(len(batch)):
                    self.gate.failed(answer.retry_after or 0.0, 0.0)
                case Consequence.SETTLED | Consequence.SPLIT:
                    self.gate.open()
                case Consequence.WAIT:
                    self.gate.wait_as_asked(answer.retry_after)
                case Consequence.RETRY:
                    return answer, self.gate.failed(answer.retry_after or 0.0, time.monotonic() - began)
                case Consequence.STOP:
                    self.stopped.set()
        return answer, 0.0

    def _fall_back(self, batch: EncodedEvents, answer: Answer) -> Request:
        if self.destination.protocol == "v1":
            raise Refused(
                f"this PostHog does not serve /i/v1/analytics/events (HTTP {answer.status}: {answer.words}); "
                "set destination.protocol to auto or batch"
            )
        self.protocol = Protocol.BATCH
        return self.request(batch)
