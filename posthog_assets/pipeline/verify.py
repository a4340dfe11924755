"""What `landed_events` does to one day.

Belongs here: holding what PostHog has against the ledger. Does not belong here: the queries (`destination.landing`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from posthog_assets.core.arrow_columns import pack
from posthog_assets.core.errors import MissingUpstream
from posthog_assets.core.partitions import Partition, key_of
from posthog_assets.core.schemas import INGESTION_WARNINGS, LANDED_EVENTS
from posthog_assets.core.uuid_sorter import UuidSorter, halves
from posthog_assets.destination.entries import Known
from posthog_assets.destination.entry_join import joined
from posthog_assets.destination.ingestion_warnings import IngestionWarning, find_warnings
from posthog_assets.destination.landing import Group, LandedReport, count_marked, find_landed
from posthog_assets.destination.ledger import BatchFacts, Ledger
from posthog_assets.destination.query_client import QueryClient
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.day_state.settled import Settled, note_landed
from posthog_assets.pipeline.upstream import absent_upstream, materialize_first, stored_events
from posthog_assets.storage.layout import events_path, landed_path, ledger_path, warnings_path
from posthog_assets.storage.parquet import read_table
from posthog_assets.storage.scratch import scratch_folder
from posthog_assets.storage.store import Store


def verify_day(
    imp: Import, day: Partition, progress: Callable[[int, int], None] = lambda found, expected: None
) -> LandedReport | None:
    """Look which acknowledged events of *day* PostHog has; what is missing is owed again.

    *progress* gets (events found, events acknowledged) after each look.

    Returns None where there is no personal key to query with: then nothing is verified, and nothing is claimed.
    """
    store = imp.store
    if not store.exists(ledger_path(day)):
        raise MissingUpstream(materialize_first("imported_batches", imp.name, day))
    if not imp.destination.verifies:
        return None
    if not store.exists(events_path(day)):
        raise absent_upstream(store, "posthog_events", imp.name, day)
    with store.lock("imported_batches", key_of(day)) as holding:
        ledger = Ledger(store, key_of(day), holding)
        expected = _Acknowledged(store, day, ledger, ambiguous=imp.destination.allow_duplicates)
        client = QueryClient(imp.destination)
        landing = find_landed(
            client, imp.name, key_of(day), expected, imp.destination.landing_seconds, markers=imp.mapping.markers,
            progress=progress,
        )  # fmt: skip
        if not expected.counts and ledger.batches:
            # Whatever PostHog has of such a day should not be there: what was taken back is not deleted yet.
            left = count_marked(client, imp.name, key_of(day), imp.mapping.markers)
            landing.by_event = {event: (0, count) for event, count in left.items()}
        if expected.counts:
            landing.warnings = _warnings(client, store, day, ledger, landing)
        _note_warnings(store, day, landing.warnings)
        if landing.missing:
            Settled.forget(store, day)
            _owe_again(ledger, [uuid for uuids in landing.missing.values() for uuid in uuids])
        store.sweep_beside(landed_path(day))
        with store.atomic_write(landed_path(day)) as path:
            rows = [
                {"event": event, "acknowledged": a, "landed": n, "missing_uuids": landing.missing.get(event, [])}
                for event, (a, n) in landing.by_event.items()
            ]
            pq.write_table(pa.Table.from_pylist(rows, schema=LANDED_EVENTS), path)
        if not landing.missing:
            note_landed(store, day)
    return landing


class _Acknowledged:
    """The stored events of a day that the ledger shows as acknowledged (`destination.landing.Expected`)."""

    def __init__(self, store: Store, day: Partition, ledger: Ledger, *, ambiguous: bool) -> None:
        self._store, self._day = store, day
        #: Which of the sendable rows are acknowledged.
        self._taken, acknowledged = _acknowledged(self._sendable(["uuid", "reject_reason"]), ledger)
        self.counts: dict[Group, int] = {}
        self.span: tuple[datetime, datetime] | None = None
        for batch in self._batches():
            for item in (
                pa.Table.from_batches([batch]).group_by(["day", "event"]).aggregate([([], "count_all")]).to_pylist()
            ):
                group = (item["day"].isoformat(), item["event"])
                self.counts[group] = self.counts.get(group, 0) + item["count_all"]
            ends = pc.min_max(batch["timestamp"]).as_py()
            first, last = self.span or (ends["min"], ends["max"])
            self.span = min(first, ends["min"]), max(last, ends["max"])
        # What was acknowledged and is no event of the day any more is counted by PostHog all the same.
        self.ambiguous = ambiguous or sum(self.counts.values()) != acknowledged

    def _sendable(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        for batch in stored_events(self._store, self._day, columns):
            yield batch.filter(batch["reject_reason"].is_null())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        start = 0
        for sendable in self._sendable(["uuid", "event", "timestamp", "reject_reason"]):
            taken = sendable.filter(pa.array(self._taken[start : start + len(sendable)]))
            start += len(sendable)
            if taken.num_rows:
                yield taken.append_column("day", taken["timestamp"].cast(pa.timestamp("us")).cast(pa.date32()))

    def uuids(self, groups: AbstractSet[Group]) -> Iterator[tuple[Group, np.ndarray]]:
        """Yield the packed uuids of the events in *groups*, batch by batch."""
        for batch in self._batches():
            coded = pc.binary_join_element_wise(batch["day"].cast(pa.string()), batch["event"], " ")
            for place in pc.unique(coded).to_pylist():
                day, _, event = place.partition(" ")
                if (day, event) in groups:
                    yield (day, event), pack(batch["uuid"].filter(pc.equal(coded, place)))


def _acknowledged(batches: Iterable[pa.RecordBatch], ledger: Ledger) -> tuple[np.ndarray, int]:
    """Return which rows of *batches* the ledger shows as acknowledged, and how many uuids in all.

    A row takes a byte of memory; what the ledger knows is read in the order of the uuids.
    """
    rows = 0
    with (
        ledger.sorted_entries() as entries,
        scratch_folder() as folder,
        UuidSorter(Path(folder) / "events", [np.int64]) as sorter,
    ):
        for batch in batches:
            sorter.add(*halves(pack(batch["uuid"])), np.arange(rows, rows + len(batch)))
            rows += len(batch)
        taken, count = np.zeros(rows, dtype=bool), 0
        for piece in joined(sorter, entries):
            taken[piece.columns[0]] = piece.known.are_acknowledged(piece.where)
            count += int(piece.known.acknowledged.sum())
    return taken, count


def _warnings(
    client: QueryClient, store: Store, day: Partition, ledger: Ledger, landing: LandedReport
) -> list[IngestionWarning] | None:
    """Return what PostHog says of the day's events since the first of them was sent."""
    answers = [datetime.fromisoformat(facts.answered_at) for _, facts in ledger.batch_facts() if facts.requests]

    def describe(uuids: set[str]) -> dict[str, tuple[str, str]]:
        found: dict[str, tuple[str, str]] = {}
        if not uuids:
            return found
        some = pa.array(sorted(uuids), pa.string())
        for batch in stored_events(store, day, ["uuid", "event", "distinct_id", "reject_reason"]):
            hit = batch.filter(pc.and_(pc.is_in(batch["uuid"], value_set=some), pc.is_null(batch["reject_reason"])))
            for row in hit.to_pylist():
                found[row["uuid"]] = row["event"], row["distinct_id"]
        return found

    return find_warnings(client, min(answers), landing.missing, describe) if answers else None


def _note_warnings(store: Store, day: Partition, warnings: list[IngestionWarning] | None) -> None:
    """Keep the warnings for `posthog-assets rejected`; those of an earlier look are of no use any more."""
    if not warnings:
        store.delete(warnings_path(day))
        return
    rows = [warning.as_row() for warning in warnings]
    with store.atomic_write(warnings_path(day)) as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=INGESTION_WARNINGS), path)


def read_warnings(store: Store, day: Partition) -> list[dict[str, str]]:
    """Return why events of *day* are missing or were changed, as the last `landed_events` found."""
    if not store.exists(warnings_path(day)):
        return []
    with store.open(warnings_path(day)) as file:
        return read_table(file, schema=INGESTION_WARNINGS).to_pylist()


def _owe_again(ledger: Ledger, missing: list[str]) -> None:
    """Take back the acknowledgement of events that a query did not find, so that the next run sends them again."""
    with (
        ledger.sorted_entries() as entries,
        scratch_folder() as folder,
        UuidSorter(Path(folder) / "missing", []) as sorter,
    ):
        sorter.add(*halves(pack(pa.array(sorted(missing), pa.string()))))
        found = [piece.known.at(np.sort(piece.where[piece.where >= 0])) for piece in joined(sorter, entries)]
    known = Known.joined(found)
    count = len(known)
    taken_back = known.taken_back(np.arange(count), "acknowledged, but not found by a query")
    now = datetime.now(UTC).isoformat()
    ledger.append(taken_back, BatchFacts(now, "query", "", 0, count, 0, 0, count, 0, 0, None, None))
    ledger.summarize()
