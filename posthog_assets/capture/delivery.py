"""A day's events, from Parquet to PostHog's acknowledgement.

Belongs here: which events are sent, in which batches, and the accounting. Does not belong here: what follows from an
answer (`sender`), the order of one person's events (`lane`), files (`ledger`).

Several things run at the same time: encoding the next batches, compressing them, sending one in each lane, and
recording the answers. A person's events are all in one lane, so they reach PostHog in the order of time.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.capture import persons
from posthog_assets.capture.client import CaptureClient
from posthog_assets.capture.destination import Destination, Protocol
from posthog_assets.capture.encoder import EncodedEvents, Stamp, encode
from posthog_assets.capture.entries import CODES, NO_REASON, Entries, Known
from posthog_assets.capture.lane import Lane
from posthog_assets.capture.ledger import BatchFacts, Ledger
from posthog_assets.capture.pace import Gate, Stopped, pace
from posthog_assets.capture.persons import Persons, StoredEvents
from posthog_assets.capture.sender import Outcome, Sender
from posthog_assets.capture.verdicts import Verdict
from posthog_assets.errors import KeyWouldChange
from posthog_assets.packed_uuids import unpack
from posthog_assets.storage import Store

#: Younger events are billed as live ones: posthog.com/docs/migrate.
RECENT: Final = timedelta(hours=48)

#: At a limited rate a batch holds the events of this many seconds at most.
_BATCH_SECONDS: Final = 5.0


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
    #: Events that got their verdict in this run.
    sent: int = 0
    batches: int = 0
    requests: int = 0
    retries: int = 0
    raw_bytes: int = 0
    sent_bytes: int = 0
    seconds: float = 0.0
    protocol: str = ""
    #: Younger than 48 hours: PostHog bills them as live.
    recent: int = 0
    #: Those of them that are kept back; they stay owed until a later run.
    held_back: int = 0
    #: Acknowledged earlier, but not among the day's events any more; PostHog cannot delete them.
    orphaned: int = 0
    #: Acknowledged earlier, changed since: sent again, and replaced in PostHog.
    changed: int = 0
    #: Acknowledged earlier, under another day, name or distinct_id: PostHog would keep both versions.
    moved: int = 0
    #: Some of their uuids.
    moved_examples: list[str] = field(default_factory=list)

    @property
    def owed(self) -> int:
        return self.events - self.acknowledged - self.dropped


def deliver(
    destination: Destination,
    ledger: Ledger,
    events: StoredEvents,
    *,
    report: DeliveryReport | None = None,
    progress: Callable[[DeliveryReport], None] = lambda report: None,
    shared: Store | None = None,
    mapping: str | None = None,
    stamp: Stamp | None = None,
    now: datetime | None = None,
) -> DeliveryReport:
    """Send what *ledger* does not show as acknowledged, each person's events oldest first, and record every answer.

    *events* opens the day's events anew each time it is called: batches of the `POSTHOG_EVENTS` schema, sorted by
    timestamp. *report* is filled while the work goes on, so that it tells the state even where this raises. All
    processes whose *shared* is the same folder keep the destination's rates together. *mapping* is the version of the
    mapping that made the events, for the ledger, and *stamp* a property of every event that does not count as a change
    of it. *now* (UTC) decides what is recent.

    Raises:
        Refused: PostHog refuses the request itself (key, quota, host).
        Unavailable: PostHog did not take a batch within `destination.retry_seconds`.
        KeyWouldChange: an acknowledged event would be stored a second time; nothing was sent.
        StorageError: the ledger cannot be written; what was in flight is sent again by the next run.
    """
    report = report if report is not None else DeliveryReport()
    since = (now or datetime.now(UTC)) - RECENT
    settled = survey(events, ledger.load(), report, since)
    if report.moved and not destination.allow_duplicates:
        raise KeyWouldChange(
            f"{report.moved:,} of {report.events:,} events were acknowledged by PostHog under another day, event name "
            f"or distinct_id (for example uuid {', '.join(report.moved_examples)}). PostHog would keep both versions "
            "for ever, so nothing was sent. Undo the change of the mapping (posthog-assets changes shows what it "
            "does), or set destination.allow_duplicates: true to send them anyway"
        )
    hold_back = destination.recent_events == "hold_back"
    report.held_back = report.recent if hold_back else 0
    if report.owed > report.held_back:
        with CaptureClient(destination) as client:
            delivery = _Delivery(destination, client, ledger, report, progress, shared, mapping)
            people = persons.of_day(events)
            delivery.run(_owed_events(events, settled, people, since if hold_back else None, stamp))
    ledger.summarize()
    return report


def survey(events: StoredEvents, known: Known, report: DeliveryReport, since: datetime) -> list[np.ndarray]:
    """Count into *report* what is to be sent of *events*, given what is *known*; those after *since* are recent.

    Return, for each batch of *events*, which of its sendable rows are settled as they are: a byte an event, so that the
    ledger need not be in memory while the others are sent. Where nothing is known there is nothing to return.
    """
    if not len(known):
        for batch in events(["timestamp", "reject_reason"]):
            sendable = _sendable(batch)
            report.events += sendable.num_rows
            report.recent += _recent(sendable, since)
        return []
    settled = []
    seen = np.zeros(len(known), dtype=bool)
    for batch in events(None):
        sendable = _sendable(batch)
        report.events += sendable.num_rows
        if not sendable.num_rows:
            settled.append(np.zeros(0, dtype=bool))
            continue
        encoded = encode(sendable)
        where = known.find(encoded.uuids)
        found = where >= 0
        seen[where[found]] = True
        at = np.maximum(where, 0)
        was = Entries(encoded.uuids, known.hashes[at], known.keys[at], known.codes[at], [])
        same = found & (was.hashes == encoded.hashes)
        acknowledged, dropped = found & was.acknowledged, same & was.dropped
        report.already_acknowledged += int((same & acknowledged).sum())
        report.dropped += int(dropped.sum())
        for index in at[dropped]:
            _count(report.drop_reasons, known.detail(index) or NO_REASON, 1)
        settled.append((same & acknowledged) | dropped)
        report.recent += _recent(sendable.filter(pa.array(~settled[-1])), since)
        clash = acknowledged & (was.keys != encoded.keys)
        report.changed += int((acknowledged & ~same & ~clash).sum())
        report.moved += int(clash.sum())
        report.moved_examples += unpack(encoded.uuids[clash][: max(0, 5 - len(report.moved_examples))])
    report.acknowledged = report.already_acknowledged
    report.orphaned = int((known.acknowledged & ~seen).sum())
    return settled


def _recent(batch: pa.RecordBatch, since: datetime) -> int:
    return int(pc.sum(pc.greater(batch["timestamp"], pa.scalar(since))).as_py() or 0)


def _owed_events(
    events: StoredEvents, settled: list[np.ndarray], people: Persons, until: datetime | None, stamp: Stamp | None
) -> Iterator[EncodedEvents]:
    """Yield the events that are not *settled* (as `survey` found) and not younger than *until*."""
    for number, batch in enumerate(events(None)):
        sendable = _sendable(batch)
        if settled and settled[number].any():
            sendable = sendable.filter(pa.array(~settled[number]))
        if until is not None:
            sendable = sendable.filter(pc.less_equal(sendable["timestamp"], pa.scalar(until)))
        if sendable.num_rows:
            yield encode(sendable, people.of(sendable), stamp)


def _sendable(batch: pa.RecordBatch) -> pa.RecordBatch:
    reasons = batch["reject_reason"]
    return batch if reasons.null_count == len(batch) else batch.filter(reasons.is_null())


def _count(counts: dict[str, int], key: str, more: int) -> None:
    counts[key] = counts.get(key, 0) + more


class _Cutter:
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


class _Delivery:
    """One run of `deliver` over the events that are owed."""

    def __init__(
        self,
        destination: Destination,
        client: CaptureClient,
        ledger: Ledger,
        report: DeliveryReport,
        progress: Callable[[DeliveryReport], None],
        shared: Store | None,
        mapping: str | None,
    ) -> None:
        self._mapping = mapping
        self._destination = destination
        self._ledger = ledger
        self._report = report
        self._progress = progress
        self._stopped = threading.Event()
        self._sender = Sender(
            destination,
            client,
            pace(destination.max_events_per_second, destination.max_requests_per_second, shared),
            Gate(destination.retry_seconds, self._stopped),
            self._stopped,
            Protocol.BATCH if destination.protocol == "batch" else Protocol.V1,
        )
        self._limit = destination.batch_events
        if destination.max_events_per_second:
            self._limit = min(self._limit, math.ceil(destination.max_events_per_second * _BATCH_SECONDS))

    def run(self, events: Iterable[EncodedEvents]) -> None:
        """Send *events*; raises what ended the first lane that ended before its time."""
        began = time.monotonic()
        # More lanes than batches would only make the batches smaller.
        count = min(self._destination.concurrency, math.ceil(self._report.owed / self._limit))
        with ExitStack() as stack:
            record = stack.enter_context(ThreadPoolExecutor(1, "record"))
            compress = stack.enter_context(ThreadPoolExecutor(1, "compress"))
            ahead = 2 if count == 1 else 1
            lanes = [Lane(self._sender, record, self._record, self._limit, ahead) for _ in range(count)]
            # Runs before the executors are closed: lanes use both.
            stack.callback(self._end, lanes, began)
            with suppress(Stopped):
                for lane, batch in self._batches(events, lanes):
                    request = None if lane.holding else compress.submit(self._sender.request, batch)
                    while not lane.put(batch, request, 0.1):
                        self._breathe(began)
                    self._breathe(began)
                for lane in lanes:
                    while not lane.put(None, None, 0.1):
                        self._breathe(began)
                for lane in lanes:
                    while not lane.join(0.1):
                        self._breathe(began)
        self._raise_first(lanes)

    def _breathe(self, began: float) -> None:
        """Report; raises Stopped where a lane has ended before its time."""
        self._report.seconds = time.monotonic() - began
        self._progress(self._report)
        if self._stopped.is_set():
            raise Stopped

    def _end(self, lanes: list[Lane], began: float) -> None:
        # Whatever ended this: what is not sent yet must not be, what is answered is recorded.
        self._stopped.set()
        for lane in lanes:
            lane.join()
        self._report.seconds = time.monotonic() - began
        self._report.protocol = self._sender.protocol.value

    @staticmethod
    def _raise_first(lanes: list[Lane]) -> None:
        failures = [lane.failure for lane in lanes if lane.failure is not None]
        for failure in failures:
            if not isinstance(failure, Stopped):
                raise failure
        if failures:
            raise failures[0]

    def _batches(self, events: Iterable[EncodedEvents], lanes: list[Lane]) -> Iterator[tuple[Lane, EncodedEvents]]:
        """Yield batches, each with its lane: all events of a person go to the same one."""
        cutters = [_Cutter(self._limit, self._destination.batch_bytes) for _ in lanes]
        for encoded in events:
            for lane, cutter, mine in zip(lanes, cutters, encoded.shared_out(len(lanes)), strict=True):
                if len(mine):
                    for batch in cutter.add(mine):
                        yield lane, batch
        for lane, cutter in zip(lanes, cutters, strict=True):
            for batch in cutter.end():
                yield lane, batch

    def _record(self, events: EncodedEvents, outcome: Outcome) -> None:
        """Write down what became of a batch, then count it; what is still owed will be in a later batch."""
        report = self._report
        entries = Entries(events.uuids, events.hashes, events.keys, outcome.codes, outcome.details)
        acknowledged, dropped = int(entries.acknowledged.sum()), int(entries.dropped.sum())
        if acknowledged or dropped:
            self._ledger.append(entries, _facts(events, outcome, acknowledged, dropped, self._mapping))
        report.batches += 1
        report.acknowledged += acknowledged
        report.dropped += dropped
        report.sent += acknowledged + dropped
        report.warnings += int((outcome.codes == CODES[Verdict.WARNING]).sum())
        report.requests += outcome.requests
        report.retries += outcome.retries
        report.raw_bytes += outcome.raw_bytes
        report.sent_bytes += outcome.sent_bytes
        for reason, count in entries.drop_reasons().items():
            _count(report.drop_reasons, reason, count)


def _facts(events: EncodedEvents, outcome: Outcome, acknowledged: int, dropped: int, mapping: str | None) -> BatchFacts:
    return BatchFacts(
        answered_at=datetime.now(UTC).isoformat(),
        protocol=outcome.request.protocol.value,
        request_id=outcome.request.request_id,
        requests=outcome.requests,
        events=len(events),
        acknowledged=acknowledged,
        dropped=dropped,
        owed=len(events) - acknowledged - dropped,
        raw_bytes=outcome.raw_bytes,
        sent_bytes=outcome.sent_bytes,
        first_timestamp=_instant(int(events.timestamps[0])),
        last_timestamp=_instant(int(events.timestamps[-1])),
        mapping=mapping,
    )


def _instant(microseconds: int) -> str:
    return str(np.datetime64(microseconds, "us")) + "+00:00"
