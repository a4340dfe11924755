"""What of a day is settled already, and what must be sent.

Belongs here: holding the stored events against the ledger. Does not belong here: sending (`delivery`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.arrow_columns import unpack
from posthog_assets.core.uuid_sorter import UuidSorter, halves, whole
from posthog_assets.destination.encoder import encode
from posthog_assets.destination.entries import NO_REASON, Entries
from posthog_assets.destination.entry_join import Joined, SortedEntries, joined
from posthog_assets.destination.person_order import StoredEvents
from posthog_assets.destination.probes import without_overwrites
from posthog_assets.destination.report import DeliveryReport, count_reason
from posthog_assets.storage.scratch import scratch_folder

#: Younger events are billed as live ones: posthog.com/docs/migrate.
RECENT: Final = timedelta(hours=48)

#: Acknowledged events of a batch that are looked at for one that can be sent again.
_PROBES_LOOKED_AT: Final = 500

#: Events that would be stored twice, named by their uuids.
_EXAMPLES: Final = 5


#: What is read of the events to send them, always all of it: so the batches of two readings are the same rows.
SENT: Final = ["uuid", "event", "distinct_id", "timestamp", "properties", "reject_reason"]


@dataclass
class Survey:
    """What a day's events are to a delivery, without its ledger, which need not be in memory while they are sent."""

    #: For each batch, which of its sendable rows are settled as they are (masks); empty where nothing is known.
    settled: list[np.ndarray] = field(default_factory=list)
    #: For each batch, which of its sendable rows PostHog has in another version (masks); empty likewise.
    changed: list[np.ndarray] = field(default_factory=list)
    #: Looks for `acknowledged`.
    look: Callable[[], pa.RecordBatch | None] = lambda: None

    @cached_property
    def acknowledged(self) -> pa.RecordBatch | None:
        """One row: an acknowledged event that can be sent once more without changing a person or a group."""
        return self.look()


#: What an event is, as bits.
_SETTLED, _CHANGED, _DROPPED = 1, 2, 4

#: What goes with an event's uuid: two hashes, its place in the day, and whether it is recent.
_EVENT: Final = (np.uint64, np.uint64, np.int64, np.bool_)


def survey(events: StoredEvents, known: SortedEntries, report: DeliveryReport, since: datetime) -> Survey:
    """Count into *report* what is to be sent of *events*, given what is *known*; those after *since* are recent.

    In memory are, of each event, a byte and its masks: both sides are read in the order of their uuids.
    """
    if known.is_empty:
        for batch in events(["timestamp", "reject_reason"]):
            sendable = sendable_rows(batch)
            report.events += sendable.num_rows
            report.recent += count_recent(sendable, since)
        return Survey()
    with scratch_folder() as folder, UuidSorter(Path(folder) / "events", _EVENT) as sorter:
        counts: list[int] = []
        for batch in events(SENT):
            sendable = sendable_rows(batch)
            if sendable.num_rows:
                _add(sorter, sendable, report.events, since)
            counts.append(sendable.num_rows)
            report.events += sendable.num_rows
        states = _states(sorter, known, report)
    by_batch = np.split(states, np.cumsum(counts, dtype=np.int64))[:-1]
    return Survey(
        [(some & _SETTLED) > 0 for some in by_batch], [(some & _CHANGED) > 0 for some in by_batch],
        lambda: _probe(events, [(some & (_SETTLED | _DROPPED)) == _SETTLED for some in by_batch]),
    )  # fmt: skip


def _add(sorter: UuidSorter, sendable: pa.RecordBatch, start: int, since: datetime) -> None:
    encoded = encode(sendable)
    places = np.arange(start, start + len(encoded))
    recent = pc.greater(sendable["timestamp"], pa.scalar(since)).to_numpy(zero_copy_only=False)
    sorter.add(*halves(encoded.uuids), encoded.hashes, encoded.keys, places, recent)


def _states(sorter: UuidSorter, known: SortedEntries, report: DeliveryReport) -> np.ndarray:
    """Return what each event is, and count it."""
    states = np.zeros(report.events, dtype=np.uint8)
    moved: list[tuple[int, str]] = []
    for piece in joined(sorter, known):
        hashes, keys, places, recent = piece.columns
        entries = piece.known
        found, at = piece.where >= 0, piece.where[piece.where >= 0]
        has_entry = Entries(np.empty(0), entries.hashes[at], entries.keys[at], entries.codes[at], [])
        same = has_entry.hashes == hashes[found]
        acknowledged, dropped = has_entry.acknowledged, same & has_entry.dropped
        clash = acknowledged & (has_entry.keys != keys[found])
        settled = (same & acknowledged) | dropped
        states[places[found]] = settled * _SETTLED | (acknowledged & ~same) * _CHANGED | dropped * _DROPPED
        report.already_acknowledged += int((same & acknowledged).sum())
        report.changed += int((acknowledged & ~same & ~clash).sum())
        report.moved += int(clash.sum())
        report.dropped += int(dropped.sum())
        for index in at[dropped].tolist():
            count_reason(report.drop_reasons, entries.detail(index) or NO_REASON, 1)
        report.recent += int(recent.sum()) - int(recent[found][settled].sum())
        seen = np.zeros(len(entries), dtype=bool)
        seen[at] = True
        report.orphaned += int((entries.acknowledged & ~seen).sum())
        moved = sorted(moved + _named(piece, np.flatnonzero(found)[clash]))[:_EXAMPLES]
    report.acknowledged = report.already_acknowledged
    report.moved_examples = [uuid for _, uuid in moved]
    return states


def _named(piece: Joined, rows: np.ndarray) -> list[tuple[int, str]]:
    """Return the places in the day, and the uuids, of the first of *rows*."""
    places = piece.columns[2][rows]
    first = rows[np.argsort(places)[:_EXAMPLES]]
    uuids = unpack(whole(*(half[first] for half in piece.uuids)))
    return list(zip(piece.columns[2][first].tolist(), uuids, strict=True))


def _probe(events: StoredEvents, acknowledged: list[np.ndarray]) -> pa.RecordBatch | None:
    for batch, mask in zip(events(SENT), acknowledged, strict=True):
        places = np.flatnonzero(mask)[:_PROBES_LOOKED_AT]
        if len(places):
            some = sendable_rows(batch).take(pa.array(places))
            harmless = np.flatnonzero(without_overwrites(encode(some)))
            if len(harmless):
                return some.slice(int(harmless[0]), 1)
    return None


def count_recent(batch: pa.RecordBatch, since: datetime) -> int:
    return int(pc.sum(pc.greater(batch["timestamp"], pa.scalar(since))).as_py() or 0)


def sendable_rows(batch: pa.RecordBatch) -> pa.RecordBatch:
    reasons = batch["reject_reason"]
    return batch if reasons.null_count == len(batch) else batch.filter(reasons.is_null())
