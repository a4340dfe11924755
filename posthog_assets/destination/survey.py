"""What of a day is settled already, and what must be sent.

Belongs here: holding the stored events against the ledger. Does not belong here: sending (`delivery`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.arrow_columns import unpack
from posthog_assets.destination.encoder import EncodedEvents, encode
from posthog_assets.destination.entries import NO_REASON, Entries, Known
from posthog_assets.destination.person_order import StoredEvents
from posthog_assets.destination.probes import without_overwrites
from posthog_assets.destination.report import DeliveryReport, count_reason

#: Younger events are billed as live ones: posthog.com/docs/migrate.
RECENT: Final = timedelta(hours=48)

#: Acknowledged events of a batch that are looked at for one that can be sent again.
_PROBES_LOOKED_AT: Final = 500


#: What is read of the events to send them, always all of it: so the batches of two readings are the same rows.
SENT: Final = ["uuid", "event", "distinct_id", "timestamp", "properties", "reject_reason"]


@dataclass
class Survey:
    """What a day's events are to a delivery, without its ledger, which need not be in memory while they are sent."""

    #: For each batch, which of its sendable rows are settled as they are (masks); empty where nothing is known.
    settled: list[np.ndarray] = field(default_factory=list)
    #: For each batch, which of its sendable rows PostHog has in another version (masks); empty likewise.
    changed: list[np.ndarray] = field(default_factory=list)
    #: One row: an acknowledged event that can be sent once more without changing a person or a group.
    acknowledged: pa.RecordBatch | None = None


def survey(events: StoredEvents, known: Known, report: DeliveryReport, since: datetime) -> Survey:
    """Count into *report* what is to be sent of *events*, given what is *known*; those after *since* are recent."""
    if not len(known):
        for batch in events(["timestamp", "reject_reason"]):
            sendable = sendable_rows(batch)
            report.events += sendable.num_rows
            report.recent += count_recent(sendable, since)
        return Survey()
    result = Survey()
    settled = result.settled
    seen = np.zeros(len(known), dtype=bool)
    for batch in events(SENT):
        sendable = sendable_rows(batch)
        report.events += sendable.num_rows
        if not sendable.num_rows:
            settled.append(np.zeros(0, dtype=bool))
            result.changed.append(np.zeros(0, dtype=bool))
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
            count_reason(report.drop_reasons, known.detail(index) or NO_REASON, 1)
        settled.append((same & acknowledged) | dropped)
        if result.acknowledged is None:
            result.acknowledged = _first_probe(sendable, encoded, same & acknowledged)
        report.recent += count_recent(sendable.filter(pa.array(~settled[-1])), since)
        clash = acknowledged & (was.keys != encoded.keys)
        result.changed.append(acknowledged & ~same)
        report.changed += int((acknowledged & ~same & ~clash).sum())
        report.moved += int(clash.sum())
        report.moved_examples += unpack(encoded.uuids[clash][: max(0, 5 - len(report.moved_examples))])
    report.acknowledged = report.already_acknowledged
    report.orphaned = int((known.acknowledged & ~seen).sum())
    return result


def _first_probe(sendable: pa.RecordBatch, encoded: EncodedEvents, settled: np.ndarray) -> pa.RecordBatch | None:
    places = np.flatnonzero(settled)[:_PROBES_LOOKED_AT]
    harmless = places[without_overwrites(encoded.take(places))] if len(places) else places
    return sendable.slice(int(harmless[0]), 1) if len(harmless) else None


def count_recent(batch: pa.RecordBatch, since: datetime) -> int:
    return int(pc.sum(pc.greater(batch["timestamp"], pa.scalar(since))).as_py() or 0)


def sendable_rows(batch: pa.RecordBatch) -> pa.RecordBatch:
    reasons = batch["reject_reason"]
    return batch if reasons.null_count == len(batch) else batch.filter(reasons.is_null())
