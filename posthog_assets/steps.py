"""What each of the five assets does for one day (or for what has no days: a partition's name), without Dagster.

Belongs here: the order of calls between the rooms, and the reports they give. Does not belong here: anything a room
could do alone, or Dagster (`assets`).

Every step reads what the step before it stored, replaces its own partition atomically, and may run again at any time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from posthog_assets.capture.delivery import DeliveryReport, deliver
from posthog_assets.capture.encoder import Stamp
from posthog_assets.capture.entries import Known
from posthog_assets.capture.ledger import BatchFacts, Ledger
from posthog_assets.capture.query import Group, Landing, QueryClient, look
from posthog_assets.dialects.base import reason_head
from posthog_assets.errors import MissingUpstream
from posthog_assets.hot_loop import hot_loop
from posthog_assets.identity_map import read_identity_map
from posthog_assets.import_file import Import
from posthog_assets.mapping import EventMapper, MappingReport, map_day
from posthog_assets.packed_uuids import pack
from posthog_assets.rejections import REJECTED, rejections
from posthog_assets.schemas import POSTHOG_EVENTS, column
from posthog_assets.scratch import scratch_folder
from posthog_assets.settled import Settled, digest_of, note_landed, settle
from posthog_assets.sources.raw_export import Manifest, RawExport
from posthog_assets.stagers import Stagers
from posthog_assets.step_files import open_step_files
from posthog_assets.storage import ParquetSink, Partition, Store, groups_where, key_of, read_batches

# --- raw_export ---------------------------------------------------------------------------------------------


def export_day(imp: Import, day: Partition, progress: Callable[[int], None] = lambda received: None) -> Manifest:
    """Fetch one day from the source, or keep what is pinned where the source has not changed.

    *progress* gets the bytes received so far.
    """
    with imp.store.lock("raw_export", key_of(day)):
        raw = RawExport(imp.store, day, progress)
        imp.source.export(imp.start_date if isinstance(day, str) else day, raw, imp.start_date)
        return raw.manifest()


# --- staged_events ------------------------------------------------------------------------------------------


@dataclass
class StagingReport:
    """What staging did: `rows` = records read; times are UTC."""

    rows: int = 0
    rejected: int = 0
    reject_reasons: dict[str, int] = field(default_factory=dict)
    first: datetime | None = None
    last: datetime | None = None
    raw_records: int = 0
    bytes: int = 0
    seconds: float = 0.0


def staged_path(day: Partition) -> str:
    return f"staged_events/{key_of(day)}.parquet"


def stage_day(
    imp: Import, day: Partition, progress: Callable[[int, int], None] = lambda done, total: None
) -> StagingReport:
    """Read every raw record of *day* into one row; *progress* gets (rows done, records in all)."""
    began = time.monotonic()
    store, report = imp.store, StagingReport()
    with store.lock("staged_events", key_of(day)), hot_loop():
        raw = RawExport(store, day)
        manifest = raw.manifest()
        report.raw_records = sum(part.records for part in manifest.parts)
        metadata = {_FETCHED_AT.decode(): manifest.fetched_at}
        with (
            store.replace(staged_path(day)) as path,
            ParquetSink(path, imp.dialect.staged_schema, metadata) as sink,
            Stagers(imp.dialect, report.raw_records, imp.processes) as stagers,
        ):
            for part in manifest.parts:
                with raw.open(part) as file:
                    for batch in stagers.stage(file, part.framing, part.name):
                        sink.write(batch)
                        _count(report, batch)
                        progress(report.rows, report.raw_records)
    report.bytes = store.size(staged_path(day))
    report.seconds = time.monotonic() - began
    return report


def _count(report: StagingReport, batch: pa.RecordBatch) -> None:
    report.rows += batch.num_rows
    reasons = batch["reject_reason"]
    if reasons.null_count != len(reasons):
        for reason in reasons.drop_null().to_pylist():
            head = reason_head(reason)
            report.reject_reasons[head] = report.reject_reasons.get(head, 0) + 1
        report.rejected += len(reasons) - reasons.null_count
    span = pc.min_max(batch["timestamp"]).as_py()
    if span["min"] is not None:
        report.first = min(report.first or span["min"], span["min"])
        report.last = max(report.last or span["max"], span["max"])


# --- posthog_events -----------------------------------------------------------------------------------------


#: Where the events' file keeps the version of the mapping that made them, and what they were made from.
_MAPPING: Final = b"posthog_assets.mapping"
_STAGED: Final = b"posthog_assets.staged"
_FETCHED_AT: Final = b"posthog_assets.fetched_at"


def events_path(day: Partition) -> str:
    return f"posthog_events/{key_of(day)}.parquet"


def transform_day(
    imp: Import, day: Partition, progress: Callable[[int, int], None] = lambda done, total: None
) -> MappingReport:
    """Turn the staged rows of *day* into PostHog events, oldest first; *progress* gets (rows done, rows in all)."""
    store = imp.store
    with store.lock("posthog_events", key_of(day)), hot_loop():
        with _open(store, staged_path(day), "staged_events", imp.name, day) as file:
            staged = digest_of(file)
            reader = pq.ParquetFile(file)
            fetched_at = (reader.schema_arrow.metadata or {})[_FETCHED_AT].decode()
            made_from = {_MAPPING: imp.mapping_version, _STAGED: staged, _FETCHED_AT: fetched_at}
            ids = read_identity_map(imp.mapping.identity_map) if imp.mapping.identity_map else None
            told = _Halves(reader.metadata.num_rows, progress)
            with scratch_folder() as spill, open_step_files() as files:
                return map_day(
                    lambda: told.read(read_batches(file)),
                    EventMapper(
                        imp.mapping, imp.name, imp.dialect, day=day,
                        fetched_at=datetime.fromisoformat(fetched_at), identity_map=ids, files=files,
                    ),
                    lambda: _events_sink(store, day, made_from, told),
                    Path(spill),
                    ordered=_is_sorted(reader),
                )  # fmt: skip


@contextmanager
def _events_sink(store: Store, day: Partition, made_from: dict[bytes, str], told: _Halves) -> Iterator[_Halves]:
    metadata = {name.decode(): text for name, text in made_from.items()}
    with store.replace(events_path(day)) as path, ParquetSink(path, POSTHOG_EVENTS, metadata) as sink:
        yield told.writing(sink)


class _Halves:
    """Tells how far a mapping is. Reading is one half, writing the other: what must be sorted is written at the end."""

    def __init__(self, total: int, progress: Callable[[int, int], None]) -> None:
        self._total, self._progress, self._rows = total, progress, 0

    def read(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch
            self._count(batch)

    def writing(self, sink: ParquetSink) -> _Halves:
        self._sink, self._rows = sink, 0
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        self._sink.write(batch)
        self._count(batch)

    def _count(self, batch: pa.RecordBatch) -> None:
        self._rows += batch.num_rows
        self._progress(min(self._rows // 2, self._total), self._total)


def _is_sorted(reader: pq.ParquetFile) -> bool:
    """Whether the timestamps never go back; reads eight bytes a row."""
    last = np.iinfo(np.int64).min
    for batch in reader.iter_batches(batch_size=500_000, columns=["timestamp"]):
        stamps = batch["timestamp"].drop_null().cast(pa.int64()).to_numpy(zero_copy_only=False)
        if len(stamps) and (stamps[0] < last or bool((stamps[1:] < stamps[:-1]).any())):
            return False
        last = stamps[-1] if len(stamps) else last
    return True


# --- imported_batches ---------------------------------------------------------------------------------------


def deliver_day(
    imp: Import,
    day: Partition,
    report: DeliveryReport | None = None,
    progress: Callable[[DeliveryReport], None] = lambda report: None,
) -> DeliveryReport:
    """Send what is owed of *day*; *report* is filled on the way and tells the state where this raises."""
    store = imp.store
    with store.lock("imported_batches", key_of(day)), hot_loop():
        with _open(store, events_path(day), "posthog_events", imp.name, day) as file:
            # Before anything is sent: what another run makes of the day meanwhile is not what was sent.
            digest = digest_of(file)
            noted = {name: text.decode() for name, text in (pq.read_schema(file).metadata or {}).items()}
        version = noted.get(_MAPPING)
        marker = imp.mapping.markers.mapping
        ledger = Ledger(store, key_of(day))
        report = deliver(
            imp.destination,
            ledger,
            lambda columns, names=None: stored_events(store, day, columns, names),
            report=report,
            progress=progress,
            shared=store,
            mapping=version,
            stamp=Stamp(marker, version) if marker and version else None,
        )
        with store.replace(rejected_path(day)) as path, ParquetSink(path, REJECTED) as sink:
            for batch in rejections(store, day, ledger):
                sink.write(batch)
        if report.owed:
            Settled.forget(store, day)
        else:
            settle(
                store, day, events=digest, staged=noted.get(_STAGED), fetched_at=noted.get(_FETCHED_AT),
                sent=report.sent > 0,
            )  # fmt: skip
        return report


def rejected_path(day: Partition) -> str:
    return f"imported_batches/{key_of(day)}/rejected.parquet"


def stored_events(
    store: Store, day: Partition, columns: list[str] | None = None, names: Iterable[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the events of *day*; with *names* those parts of it that have events so called."""
    with store.open(events_path(day)) as file:
        groups = None
        if names is not None:
            wanted = pa.array(names, pa.string())
            groups = groups_where(file, "event", lambda events: bool(pc.any(pc.is_in(events, wanted)).as_py()))
        yield from read_batches(file, columns, groups=groups)


# --- landed_events ------------------------------------------------------------------------------------------

LANDED_EVENTS = pa.schema(
    [
        column("event", pa.string(), "Name of the event in PostHog"),
        column("acknowledged", pa.int64(), "Events PostHog took, as the ledger says"),
        column("landed", pa.int64(), "Of those, the events a query found"),
        column("missing_uuids", pa.list_(pa.string()), "Those it did not find; they are owed again"),
    ]
)


def landed_path(day: Partition) -> str:
    return f"landed_events/{key_of(day)}.parquet"


def verify_day(
    imp: Import, day: Partition, progress: Callable[[int, int], None] = lambda found, expected: None
) -> Landing | None:
    """Look which acknowledged events of *day* PostHog has; what is missing is owed again.

    *progress* gets (events found, events acknowledged) after each look.

    Returns None where there is no personal key to look with: then nobody looked, and nothing is claimed.
    """
    store = imp.store
    if not store.exists(f"imported_batches/{key_of(day)}/ledger.parquet"):
        raise MissingUpstream(_materialize_first("imported_batches", imp.name, day))
    if not imp.destination.verifies:
        return None
    if not store.exists(events_path(day)):
        raise _absent(store, "posthog_events", imp.name, day)
    with store.lock("imported_batches", key_of(day)):
        ledger = Ledger(store, key_of(day))
        known = ledger.load()
        expected = _Acknowledged(store, day, known, ambiguous=imp.destination.allow_duplicates)
        landing = look(
            QueryClient(imp.destination), imp.name, key_of(day), expected, imp.destination.landing_seconds,
            markers=imp.mapping.markers, progress=progress,
        )  # fmt: skip
        if landing.missing:
            Settled.forget(store, day)
            _owe_again(ledger, known, [uuid for uuids in landing.missing.values() for uuid in uuids])
    with store.replace(landed_path(day)) as path:
        rows = [
            {"event": event, "acknowledged": a, "landed": n, "missing_uuids": landing.missing.get(event, [])}
            for event, (a, n) in landing.by_event.items()
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=LANDED_EVENTS), path)
    if not landing.missing:
        note_landed(store, day)
    return landing


class _Acknowledged:
    """The stored events of a day that the ledger shows as acknowledged (`capture.query.Expected`)."""

    def __init__(self, store: Store, day: Partition, known: Known, *, ambiguous: bool) -> None:
        self._store, self._day, self._known = store, day, known
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
        self.ambiguous = ambiguous or sum(self.counts.values()) != int(known.acknowledged.sum())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for batch in stored_events(self._store, self._day, ["uuid", "event", "timestamp", "reject_reason"]):
            sendable = batch.filter(batch["reject_reason"].is_null())
            where = self._known.find(pack(sendable["uuid"]))
            taken = sendable.filter(pa.array(self._known.are_acknowledged(where)))
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


def _owe_again(ledger: Ledger, known: Known, missing: list[str]) -> None:
    """Take back the acknowledgement of events that a query did not find, so that the next run sends them again."""
    where = known.find(pack(pa.array(sorted(missing), pa.string())))
    where.sort()
    count = len(where)
    entries = known.taken_back(where, "acknowledged, but not found by a query")
    now = datetime.now(UTC).isoformat()
    ledger.append(entries, BatchFacts(now, "query", "", 0, count, 0, 0, count, 0, 0, None, None))
    ledger.summarize()


# --- shared -------------------------------------------------------------------------------------------------


def _open(store: Store, relative: str, asset: str, name: str, day: Partition) -> IO[bytes]:
    try:
        return store.open(relative)
    except FileNotFoundError:
        raise _absent(store, asset, name, day) from None


def _absent(store: Store, asset: str, name: str, day: Partition) -> MissingUpstream:
    """Return the error that says why *asset* has no partition, and what brings it back."""
    key = key_of(day)
    if Settled.read(store, day) is None:
        return MissingUpstream(_materialize_first(asset, name, day))
    again = [asset]
    if asset == "posthog_events" and not store.exists(staged_path(day)):
        again.insert(0, "staged_events")
    if again[0] == "staged_events" and RawExport(store, day).is_pruned:
        again.insert(0, "raw_export")
    return MissingUpstream(
        f"{name}/{asset} of {key} was pruned after it had been imported: materialize {', '.join(again)} for {key} again"
    )


def _materialize_first(asset: str, name: str, day: Partition) -> str:
    return f"{name}/{asset} has no partition {key_of(day)} yet: materialize {asset} for {key_of(day)} first"
