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
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.errors import KeyWouldChange
from posthog_assets.core.json_members import without
from posthog_assets.destination import person_order as persons
from posthog_assets.destination.batches import BatchCutter
from posthog_assets.destination.client import CaptureClient
from posthog_assets.destination.encoder import EncodedEvents, Stamp, encode
from posthog_assets.destination.entries import CODES, Entries
from posthog_assets.destination.gate import Gate
from posthog_assets.destination.lane import Lane
from posthog_assets.destination.ledger import BatchFacts, Ledger
from posthog_assets.destination.person_order import Persons, StoredEvents
from posthog_assets.destination.probes import Probes
from posthog_assets.destination.report import DeliveryReport, count_reason
from posthog_assets.destination.sender import Outcome, Sender
from posthog_assets.destination.settings import Destination, Protocol
from posthog_assets.destination.survey import RECENT, SENT, Survey, sendable_rows, survey
from posthog_assets.destination.verdicts import Verdict
from posthog_assets.storage.rates import Stopped, pace
from posthog_assets.storage.store import Store

#: At a limited rate a batch holds the events of this many seconds at most.
_BATCH_SECONDS: Final = 5.0


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
    before: Callable[[], None] = lambda: None,
    now: datetime | None = None,
) -> DeliveryReport:
    """Send what *ledger* does not show as acknowledged, each person's events oldest first, and record every answer.

    *events* opens the day's events each time it is called: batches of the `POSTHOG_EVENTS` schema, sorted by
    timestamp. *report* is filled while the work goes on, so that it tells the state even where this raises. All
    processes whose *shared* is the same folder keep the destination's rates together. *mapping* is the version of the
    mapping that made the events, for the ledger, and *stamp* a property of every event that does not count as a change
    of it. *before* is called before the first event is sent, where one is, and may refuse by raising. *now* (UTC)
    decides what is recent.

    Raises:
        Refused: PostHog refuses the request itself (key, quota, host).
        Unavailable: PostHog did not take a batch within `destination.retry_seconds`.
        KeyWouldChange: an acknowledged event would be stored a second time; nothing was sent.
        StorageError: the ledger cannot be written; what was in flight is sent again by the next run.
        PartitionLost: another run may have the day now; nothing more is sent or recorded.
    """
    report = report if report is not None else DeliveryReport()
    since = (now or datetime.now(UTC)) - RECENT
    with ledger.sorted_entries() as known:
        found = survey(events, known, report, since)
        if report.moved and not destination.allow_duplicates:
            raise KeyWouldChange(
                f"{report.moved:,} of {report.events:,} events were acknowledged by PostHog under another day, event "
                f"name or distinct_id (for example uuid {', '.join(report.moved_examples)}). PostHog would keep both "
                "versions for ever, so nothing was sent. Undo the change of the mapping (posthog-assets changes shows "
                "what it does), or set destination.allow_duplicates: true to send them anyway"
            )
        if not report.owed:
            ledger.fold(known)
    hold_back = destination.recent_events == "hold_back"
    report.held_back = report.recent if hold_back else 0
    if report.owed > report.held_back:
        before()
        with CaptureClient(destination) as client:
            probe = None if found.acknowledged is None else encode(found.acknowledged, stamp=stamp)
            delivery = _Delivery(destination, client, ledger, report, progress, shared, mapping, probe)
            people = persons.of_day(events)
            owed = _owed_events(
                events, found, people, since if hold_back else None, stamp, report,
                resend_persons=destination.resend_persons,
            )  # fmt: skip
            delivery.run(owed)
    ledger.summarize()
    if not report.owed:
        ledger.fold()
    return report


def _owed_events(
    events: StoredEvents,
    found: Survey,
    people: Persons,
    until: datetime | None,
    stamp: Stamp | None,
    report: DeliveryReport,
    *,
    resend_persons: bool,
) -> Iterator[EncodedEvents]:
    """Yield the events that are not settled (as the survey *found*) and not younger than *until*.

    Those that PostHog has in another version say nothing of their person any more, unless *resend_persons*.
    """
    for number, batch in enumerate(events(SENT)):
        sendable = sendable_rows(batch)
        owed = ~found.settled[number] if found.settled else np.ones(sendable.num_rows, dtype=bool)
        if until is not None:
            owed &= pc.less_equal(sendable["timestamp"], pa.scalar(until)).to_numpy(zero_copy_only=False)
        if not owed.any():
            continue
        changed = found.changed[number][owed] if found.changed else np.zeros(0, dtype=bool)
        some = sendable if owed.all() else sendable.filter(pa.array(owed))
        encoded = encode(some, people.of(some), stamp)
        if changed.any() and not resend_persons:
            encoded, count = _without_persons(some, encoded, changed, stamp)
            report.without_person += count
        yield encoded


def _without_persons(
    events: pa.RecordBatch, encoded: EncodedEvents, changed: np.ndarray, stamp: Stamp | None
) -> tuple[EncodedEvents, int]:
    """Return events whose *changed* ones set nothing of their person, and how many these are.

    Their hashes stay those of the whole events: the next run must not take them for changed again.
    """
    texts = events["properties"]
    sets = pc.match_substring_regex(texts, '"[$]set(_once)?":').to_numpy(zero_copy_only=False) & changed
    if not sets.any():
        return encoded, 0
    bare = without(without(texts.filter(pa.array(sets)), "$set"), "$set_once")
    place = events.schema.get_field_index("properties")
    stripped = events.set_column(place, events.schema.field(place), pc.replace_with_mask(texts, pa.array(sets), bare))
    return replace(encode(stripped, encoded.persons, stamp), hashes=encoded.hashes), int(sets.sum())


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
        probe: EncodedEvents | None,
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
            pace(destination.events_per_second, destination.max_requests_per_second, shared),
            Gate(destination.retry_seconds, self._stopped),
            self._stopped,
            Protocol.BATCH if destination.protocol == "batch" else Protocol.V1,
            Probes(probe),
            ledger.holding,
        )
        self._limit = destination.batch_events
        if destination.events_per_second:
            self._limit = min(self._limit, math.ceil(destination.events_per_second * _BATCH_SECONDS))

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
        cutters = [BatchCutter(self._limit, self._destination.batch_bytes) for _ in lanes]
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
        report.batches += len(events) > 0
        report.acknowledged += acknowledged
        report.dropped += dropped
        report.sent += acknowledged + dropped
        report.warnings += int((outcome.codes == CODES[Verdict.WARNING]).sum())
        report.requests += outcome.requests
        report.retries += outcome.retries
        report.raw_bytes += outcome.raw_bytes
        report.sent_bytes += outcome.sent_bytes
        for reason, count in entries.drop_reasons().items():
            count_reason(report.drop_reasons, reason, count)


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
