"""A day's events, from Parquet to PostHog's acknowledgement.

Belongs here: which events are sent, in which batches, what follows from each answer, and the accounting. Does not
belong here: HTTP (`client`), the meaning of an answer (`verdicts`), files (`ledger`).

Four things run at the same time, each on a thread of its own: encoding the next batch, compressing one, sending one,
and recording the last answer. One request is in flight, so PostHog gets the events in their order.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa

from posthog_assets.capture.client import CaptureClient, Request, compressed
from posthog_assets.capture.destination import Destination, Protocol
from posthog_assets.capture.encoder import EncodedEvents
from posthog_assets.capture.ledger import BatchFacts, Entries, Ledger, codes_of
from posthog_assets.capture.verdicts import BILLING, Answer, Consequence, Verdict
from posthog_assets.errors import DeliveryError, KeyWouldChange, Refused, Unavailable
from posthog_assets.packed_uuids import unpack

#: The longest pause between two tries of the same bytes, seconds.
_LONGEST_PAUSE: Final = 30.0

#: Single events refused in a row, none accepted, before the request itself is held to be what is refused.
_REFUSED_IN_A_ROW: Final = 10

#: How often an event may be answered `retry` before it stays owed until the next run.
_ASK_AGAIN: Final = 8


#: Opens the stored events of a day; takes the names of the columns that are needed, or None for all.
StoredEvents = Callable[[list[str] | None], Iterable[pa.RecordBatch]]


@dataclass
class DeliveryReport:
    """What a delivery did: `events` = `acknowledged` + `dropped` + `owed`, at any moment."""

    events: int = 0
    #: Acknowledged by an earlier run, unchanged since, not sent again.
    already_acknowledged: int = 0
    acknowledged: int = 0
    warnings: int = 0
    dropped: int = 0
    drop_reasons: dict[str, int] = field(default_factory=dict)
    #: Events handed to PostHog at least once in this run.
    sent: int = 0
    batches: int = 0
    requests: int = 0
    retries: int = 0
    raw_bytes: int = 0
    sent_bytes: int = 0
    seconds: float = 0.0
    protocol: str = ""
    #: Acknowledged earlier, but not among the day's events any more; PostHog cannot delete them.
    orphaned: int = 0

    @property
    def owed(self) -> int:
        return self.events - self.acknowledged - self.dropped


@dataclass(frozen=True, slots=True)
class _Batch:
    """Events *start* to *stop* of *events*."""

    events: EncodedEvents
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def halves(self) -> tuple[_Batch, _Batch]:
        middle = (self.start + self.stop) // 2
        return _Batch(self.events, self.start, middle), _Batch(self.events, middle, self.stop)


@dataclass
class _Outcome:
    """What became of one batch, whole or in pieces."""

    verdicts: list[Verdict]
    details: list[str | None]
    request: Request
    requests: int = 0
    raw_bytes: int = 0
    sent_bytes: int = 0
    failure: DeliveryError | None = None


def deliver(
    destination: Destination,
    ledger: Ledger,
    events: StoredEvents,
    *,
    allow_duplicates: bool = False,
    report: DeliveryReport | None = None,
    progress: Callable[[DeliveryReport], None] = lambda report: None,
) -> DeliveryReport:
    """Send what *ledger* does not show as acknowledged, oldest first, and record every answer.

    *events* opens the day's events anew each time it is called: batches of the `POSTHOG_EVENTS` schema, sorted by
    timestamp. *report* is filled while the work goes on, so that it tells the state even where this raises.

    Raises:
        Refused: PostHog refuses the request itself (key, quota, host).
        Unavailable: PostHog did not take a batch within `destination.retry_seconds`.
        KeyWouldChange: an acknowledged event would be stored a second time; nothing was sent.
    """
    report = report if report is not None else DeliveryReport()
    known = ledger.load()
    _survey(events, known, report, allow_duplicates=allow_duplicates)
    if report.owed:
        with CaptureClient(destination) as client:
            _Delivery(destination, client, ledger, report, progress).run(_owed_events(events, known))
    ledger.summarize()
    return report


def _survey(events: StoredEvents, known: Entries, report: DeliveryReport, *, allow_duplicates: bool) -> None:
    """Count what is to be sent, and refuse before the first byte what could never be taken back."""
    if not len(known):
        report.events = sum(batch["reject_reason"].null_count for batch in events(["reject_reason"]))
        return
    seen = np.zeros(len(known), dtype=bool)
    moved: list[str] = []
    moved_count = 0
    for batch in events(None):
        sendable = _sendable(batch)
        report.events += sendable.num_rows
        if not sendable.num_rows:
            continue
        encoded = EncodedEvents(sendable)
        where = known.find(encoded.uuids)
        found = where >= 0
        seen[where[found]] = True
        at = np.maximum(where, 0)
        same = found & (known.hashes[at] == encoded.hashes)
        report.already_acknowledged += int((same & known.acknowledged[at]).sum())
        dropped = same & known.dropped[at]
        report.dropped += int(dropped.sum())
        for index in at[dropped]:
            reason = known.details[index] or "no reason given"
            report.drop_reasons[reason] = report.drop_reasons.get(reason, 0) + 1
        clash = found & known.acknowledged[at] & (known.keys[at] != encoded.keys)
        moved_count += int(clash.sum())
        moved += unpack(encoded.uuids[clash][: max(0, 5 - len(moved))])
    report.acknowledged = report.already_acknowledged
    report.orphaned = int((known.acknowledged & ~seen).sum())
    if moved_count and not allow_duplicates:
        raise KeyWouldChange(
            f"{moved_count} of {report.events} events were acknowledged by PostHog under another day, event name or "
            f"distinct_id (for example uuid {', '.join(moved)}). PostHog would keep both versions for ever, so nothing "
            "was sent. Undo the change of the mapping, or set destination.allow_duplicates: true to send them anyway"
        )


def _owed_events(events: StoredEvents, known: Entries) -> Iterator[EncodedEvents]:
    settled = known.acknowledged | known.dropped
    for batch in events(None):
        sendable = _sendable(batch)
        if not sendable.num_rows:
            continue
        encoded = EncodedEvents(sendable)
        if not len(known):
            yield encoded
            continue
        where = known.find(encoded.uuids)
        at = np.maximum(where, 0)
        done = (where >= 0) & settled[at] & (known.hashes[at] == encoded.hashes)
        if not done.any():
            yield encoded
        elif not done.all():
            yield EncodedEvents(sendable.filter(pa.array(~done)))


def _sendable(batch: pa.RecordBatch) -> pa.RecordBatch:
    reasons = batch["reject_reason"]
    return batch if reasons.null_count == len(batch) else batch.filter(reasons.is_null())


class _Delivery:
    """One run of `deliver` over the events that are owed."""

    def __init__(
        self,
        destination: Destination,
        client: CaptureClient,
        ledger: Ledger,
        report: DeliveryReport,
        progress: Callable[[DeliveryReport], None],
    ) -> None:
        self._destination = destination
        self._client = client
        self._ledger = ledger
        self._report = report
        self._progress = progress
        self._protocol = Protocol.BATCH if destination.protocol == "batch" else Protocol.V1
        self._stopped = threading.Event()
        self._pace = _Pace(destination.max_events_per_second)
        report.protocol = self._protocol.value

    def run(self, events: Iterable[EncodedEvents]) -> None:
        began = time.monotonic()
        pending: deque[tuple[_Batch, Future[_Outcome]]] = deque()
        recording: Future[None] | None = None
        with (
            ThreadPoolExecutor(1, "record") as record,
            ThreadPoolExecutor(1, "compress") as compress,
            ThreadPoolExecutor(1, "send") as send,
        ):

            def settle_one() -> None:
                nonlocal recording
                if recording is not None:
                    recording.result()
                    self._progress(self._report)
                recording = record.submit(self._record, *pending.popleft()) if pending else None
                self._report.seconds = time.monotonic() - began

            try:
                for batch in self._cut(events):
                    request = compress.submit(self._request, batch, self._protocol)
                    pending.append((batch, send.submit(self._settle_first, batch, request)))
                    if len(pending) > 2:
                        settle_one()
                while pending or recording is not None:
                    settle_one()
            except BaseException:
                # What is not sent yet must not be: order, and a stop that means it.
                self._stopped.set()
                raise
            finally:
                self._report.seconds = time.monotonic() - began

    def _cut(self, events: Iterable[EncodedEvents]) -> Iterator[_Batch]:
        """Cut into batches of at most `batch_events` events and `batch_bytes` bytes (one event always fits)."""
        for encoded in events:
            ends = np.cumsum(encoded.sizes + 64)
            start = 0
            while start < len(encoded):
                before = ends[start - 1] if start else 0
                fit = int(np.searchsorted(ends, before + self._destination.batch_bytes, side="right"))
                stop = min(max(fit, start + 1), start + self._destination.batch_events, len(encoded))
                yield _Batch(encoded, start, stop)
                start = stop

    def _request(self, batch: _Batch, protocol: Protocol) -> Request:
        body = batch.events.body(protocol, batch.start, batch.stop, self._client.key, datetime.now(UTC))
        return compressed(protocol, body, len(batch))

    def _record(self, batch: _Batch, outcome: Future[_Outcome]) -> None:
        """Write down what became of a batch, then count it; raises the failure that came with it."""
        result = outcome.result()
        events, where = batch.events, slice(batch.start, batch.stop)
        codes = codes_of(result.verdicts)
        entries = Entries(events.uuids[where], events.hashes[where], events.keys[where], codes, result.details)
        acknowledged, dropped = int(entries.acknowledged.sum()), int(entries.dropped.sum())
        if acknowledged or dropped:
            self._ledger.append(entries, self._facts(batch, result, acknowledged, dropped))
        report = self._report
        report.batches += 1
        report.sent += len(batch)
        report.acknowledged += acknowledged
        report.dropped += dropped
        report.warnings += result.verdicts.count(Verdict.WARNING)
        report.raw_bytes += result.raw_bytes
        report.sent_bytes += result.sent_bytes
        for reason, count in entries.drop_reasons().items():
            report.drop_reasons[reason] = report.drop_reasons.get(reason, 0) + count
        if result.failure:
            raise result.failure

    def _facts(self, batch: _Batch, result: _Outcome, acknowledged: int, dropped: int) -> BatchFacts:
        first, last = (int(batch.events.timestamps[i]) for i in (batch.start, batch.stop - 1))
        return BatchFacts(
            answered_at=datetime.now(UTC).isoformat(),
            protocol=result.request.protocol.value,
            request_id=result.request.request_id,
            requests=result.requests,
            events=len(batch),
            acknowledged=acknowledged,
            dropped=dropped,
            owed=len(batch) - acknowledged - dropped,
            raw_bytes=result.raw_bytes,
            sent_bytes=result.sent_bytes,
            first_timestamp=_instant(first),
            last_timestamp=_instant(last),
        )

    # From here on: the sending thread.

    def _settle_first(self, batch: _Batch, request: Future[Request]) -> _Outcome:
        if self._stopped.is_set():
            raise Unavailable("not sent: an earlier batch failed")
        first = request.result()
        if first.protocol is not self._protocol:
            first = self._request(batch, self._protocol)
        outcome = _Outcome([Verdict.OWED] * len(batch), [None] * len(batch), first)
        try:
            self._settle(batch, first, outcome, batch.start, [0])
        except DeliveryError as failure:
            # The verdicts that did arrive are recorded before the failure is raised.
            self._stopped.set()
            outcome.failure = failure
        return outcome

    def _settle(self, batch: _Batch, request: Request, outcome: _Outcome, origin: int, refused: list[int]) -> None:
        """Send until every event of *batch* has a verdict; fills *outcome*, whose first event is *origin*."""
        answer, request = self._answered(batch, request, outcome)
        if answer.consequence is Consequence.SPLIT:
            self._split(batch, answer, outcome, origin, refused)
            return
        refused[0] = -1
        if answer.all_ok:
            outcome.verdicts[batch.start - origin : batch.stop - origin] = [Verdict.OK] * len(batch)
            return
        self._read_verdicts(batch, request, answer, outcome, origin)

    def _split(self, batch: _Batch, answer: Answer, outcome: _Outcome, origin: int, refused: list[int]) -> None:
        if len(batch) > 1:
            for half in batch.halves():
                self._settle(half, self._request(half, self._protocol), outcome, origin, refused)
            return
        # refused[0] counts single refusals while nothing was ever accepted; -1 once something was.
        if refused[0] >= 0:
            refused[0] += 1
            if refused[0] >= _REFUSED_IN_A_ROW:
                raise Refused(f"PostHog refuses every event alike (HTTP {answer.status}): {answer.words}")
        outcome.verdicts[batch.start - origin] = Verdict.DROP
        outcome.details[batch.start - origin] = f"HTTP {answer.status}: {answer.words}"

    def _read_verdicts(self, batch: _Batch, request: Request, answer: Answer, outcome: _Outcome, origin: int) -> None:
        """Take over v1 verdicts; events answered `retry`, or not at all, are asked again with the same bytes."""
        for again in range(_ASK_AGAIN):
            owed = self._take(batch, answer, outcome, origin)
            if not owed:
                return
            if any(detail == BILLING for _, detail in answer.verdicts.values()):
                raise Refused("PostHog drops events because the project is over its billing limit")
            self._pause(max(answer.retry_after or 0.0, _backoff(again)))
            answer, _ = self._answered(batch, request, outcome)
            if answer.consequence is Consequence.SPLIT:
                self._split(batch, answer, outcome, origin, [-1])
                return
        if self._take(batch, answer, outcome, origin):
            raise Unavailable(f"PostHog answered `retry` {_ASK_AGAIN} times for the same events")

    @staticmethod
    def _take(batch: _Batch, answer: Answer, outcome: _Outcome, origin: int) -> int:
        owed = 0
        uuids = batch.events.text_uuids.slice(batch.start, len(batch)).to_pylist()
        for index, uuid in enumerate(uuids, batch.start - origin):
            if outcome.verdicts[index] is not Verdict.OWED:
                continue
            verdict, detail = (Verdict.OK, "") if answer.all_ok else answer.verdicts.get(uuid, (Verdict.OWED, ""))
            outcome.verdicts[index], outcome.details[index] = verdict, detail or None
            owed += verdict is Verdict.OWED
        return owed

    def _answered(self, batch: _Batch, request: Request, outcome: _Outcome) -> tuple[Answer, Request]:
        """Send the same bytes until there is an answer that settles or splits the batch."""
        deadline = time.monotonic() + self._destination.retry_seconds
        failures, attempt = 0, 0
        while True:
            self._pace.wait(len(batch), self._stopped)
            attempt += 1
            answer = self._client.send(request, attempt)
            outcome.requests += 1
            outcome.raw_bytes += request.raw_bytes
            outcome.sent_bytes += len(request.body)
            self._report.requests += 1
            match answer.consequence:
                case Consequence.SETTLED | Consequence.SPLIT:
                    return answer, request
                case Consequence.STOP:
                    raise Refused(f"PostHog refuses the import (HTTP {answer.status}): {answer.words}")
                case Consequence.FALL_BACK:
                    request = outcome.request = self._fall_back(batch, answer)
                    continue
                case Consequence.WAIT:
                    pause = min(answer.retry_after if answer.retry_after is not None else _backoff(failures), 3600.0)
                    deadline += pause
                case Consequence.RETRY:
                    pause = max(_backoff(failures), answer.retry_after or 0.0)
                    failures += 1
            if time.monotonic() + pause > deadline:
                raise Unavailable(
                    f"PostHog did not take a batch in {attempt} tries over "
                    f"{self._destination.retry_seconds:.0f} s; the last answer: {answer.words or answer.status}"
                )
            self._report.retries += 1
            self._pause(pause)

    def _fall_back(self, batch: _Batch, answer: Answer) -> Request:
        if self._destination.protocol == "v1":
            raise Refused(
                f"this PostHog does not serve /i/v1/analytics/events (HTTP {answer.status}: {answer.words}); "
                "set destination.protocol to auto or batch"
            )
        self._protocol = Protocol.BATCH
        self._report.protocol = self._protocol.value
        return self._request(batch, self._protocol)

    def _pause(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise Unavailable("stopped")


def _backoff(failures: int) -> float:
    """Return a pause in seconds that doubles with each failure, with jitter so that lanes do not march in step."""
    return min(0.5 * 2.0**failures, _LONGEST_PAUSE) * random.uniform(0.5, 1.0)


def _instant(microseconds: int) -> str:
    return str(np.datetime64(microseconds, "us")) + "+00:00"


class _Pace:
    """Spreads events so that no second sees more than *rate* of them on average."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._free_at = 0.0

    def wait(self, events: int, stopped: threading.Event) -> None:
        if self._rate is None:
            return
        now = time.monotonic()
        start = max(now, self._free_at)
        self._free_at = start + events / self._rate
        if start > now and stopped.wait(start - now):
            raise Unavailable("stopped")
