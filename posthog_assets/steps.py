"""What each of the five assets does for one day, without Dagster.

Belongs here: the order of calls between the rooms, and the reports they give. Does not belong here: anything a room
could do alone, or Dagster (`assets`).

Every step reads what the step before it stored, replaces its own partition atomically, and may run again at any time.
"""

from __future__ import annotations

import gc
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from posthog_assets.capture.delivery import DeliveryReport, deliver
from posthog_assets.capture.ledger import CODES, BatchFacts, Entries, Ledger
from posthog_assets.capture.query import Landing, QueryClient, look
from posthog_assets.capture.verdicts import Verdict
from posthog_assets.dialects.base import reason_head
from posthog_assets.errors import MissingUpstream
from posthog_assets.formats import read_records
from posthog_assets.import_file import Import
from posthog_assets.mapping import EventMapper, MappingReport, map_day
from posthog_assets.packed_uuids import pack
from posthog_assets.schemas import POSTHOG_EVENTS, STAGED_EVENTS
from posthog_assets.sources.raw_export import Manifest, RawExport
from posthog_assets.storage import ParquetSink, Store, read_batches


def key_of(day: date) -> str:
    """Return a day as its partition key and file name, `2015-09-12`."""
    return day.isoformat()


@contextmanager
def _hot_loop() -> Iterator[None]:
    """Make a loop over millions of rows cheap.

    The cyclic garbage collector is kept out: the loop makes millions of small dicts, none of them cyclic. Arrow's
    memory comes from jemalloc where there is one: mimalloc keeps what was freed, half as much again.
    """
    was_on, pool = gc.isenabled(), pa.default_memory_pool()
    gc.disable()
    if "jemalloc" in pa.supported_memory_backends():
        pa.set_memory_pool(pa.jemalloc_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(pool)
        if was_on:
            gc.enable()


# --- raw_export ---------------------------------------------------------------------------------------------


def export_day(imp: Import, day: date) -> Manifest:
    """Fetch one day from the source, or keep what is pinned where the source has not changed."""
    with imp.store.lock("raw_export", key_of(day)):
        raw = RawExport(imp.store, day)
        imp.source.export(day, raw, imp.start_date)
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


def staged_path(day: date) -> str:
    return f"staged_events/{key_of(day)}.parquet"


def stage_day(imp: Import, day: date, progress: Callable[[int, int], None] = lambda done, total: None) -> StagingReport:
    """Read every raw record of *day* into one row; *progress* gets (rows done, records in all)."""
    began = time.monotonic()
    store, report = imp.store, StagingReport()
    with store.lock("staged_events", key_of(day)), _hot_loop():
        raw = RawExport(store, day)
        manifest = raw.manifest()
        report.raw_records = sum(part.records for part in manifest.parts)
        metadata = {"posthog_assets.fetched_at": manifest.fetched_at}
        with store.replace(staged_path(day)) as path, ParquetSink(path, STAGED_EVENTS, metadata) as sink:
            for part in manifest.parts:
                with raw.open(part) as file:
                    for chunk in read_records(file, part.framing, part.name):
                        batch = imp.dialect.stage(chunk, part.name)
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


def events_path(day: date) -> str:
    return f"posthog_events/{key_of(day)}.parquet"


def transform_day(
    imp: Import, day: date, progress: Callable[[int, int], None] = lambda done, total: None
) -> MappingReport:
    """Turn the staged rows of *day* into PostHog events, oldest first; *progress* gets (rows done, rows in all)."""
    store = imp.store
    with store.lock("posthog_events", key_of(day)), _hot_loop():
        with _open(store, staged_path(day), "staged_events", imp.name, day) as file:
            reader = pq.ParquetFile(file)
            fetched_at = (reader.schema_arrow.metadata or {})[b"posthog_assets.fetched_at"].decode()
            mapper = EventMapper(
                imp.mapping, imp.name, imp.dialect, day=day, fetched_at=datetime.fromisoformat(fetched_at)
            )
            spill = Path(tempfile.mkdtemp(prefix="posthog-assets-"))
            try:
                return map_day(
                    lambda: _counted(read_batches(file), reader.metadata.num_rows, progress),
                    mapper,
                    lambda: _events_sink(store, day),
                    spill,
                    ordered=_is_sorted(reader),
                )
            finally:
                shutil.rmtree(spill, ignore_errors=True)


@contextmanager
def _events_sink(store: Store, day: date) -> Iterator[ParquetSink]:
    with store.replace(events_path(day)) as path, ParquetSink(path, POSTHOG_EVENTS) as sink:
        yield sink


def _counted(
    batches: Iterator[pa.RecordBatch], total: int, progress: Callable[[int, int], None]
) -> Iterator[pa.RecordBatch]:
    done = 0
    for batch in batches:
        yield batch
        done += batch.num_rows
        progress(done, total)


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
    day: date,
    report: DeliveryReport | None = None,
    progress: Callable[[DeliveryReport], None] = lambda report: None,
) -> DeliveryReport:
    """Send what is owed of *day*; *report* is filled on the way and tells the state where this raises."""
    store = imp.store
    with store.lock("imported_batches", key_of(day)), _hot_loop():
        _open(store, events_path(day), "posthog_events", imp.name, day).close()
        ledger = Ledger(store, key_of(day))
        return deliver(
            imp.destination,
            ledger,
            lambda columns: _stored_events(store, day, columns),
            report=report,
            progress=progress,
            pace_file=store.local_path(".locks/pace"),
        )


def _stored_events(store: Store, day: date, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    with store.open(events_path(day)) as file:
        yield from read_batches(file, columns)


# --- landed_events ------------------------------------------------------------------------------------------

LANDED_EVENTS = pa.schema(
    [
        pa.field("event", pa.string()),
        pa.field("acknowledged", pa.int64()),
        pa.field("landed", pa.int64()),
        pa.field("missing_uuids", pa.list_(pa.string())),
    ]
)


def landed_path(day: date) -> str:
    return f"landed_events/{key_of(day)}.parquet"


def verify_day(imp: Import, day: date) -> Landing | None:
    """Look which acknowledged events of *day* PostHog has; what is missing is owed again.

    Returns None where there is no personal key to look with: then nobody looked, and nothing is claimed.
    """
    store = imp.store
    if not store.exists(f"imported_batches/{key_of(day)}/ledger.parquet"):
        raise MissingUpstream(_materialize_first("imported_batches", imp.name, day))
    if not imp.destination.verifies:
        return None
    with store.lock("imported_batches", key_of(day)):
        ledger = Ledger(store, key_of(day))
        known = ledger.load()
        expected, span = _acknowledged(store, day, known)
        landing = look(QueryClient(imp.destination), imp.name, lambda: expected, span, imp.destination.landing_seconds)
        if landing.missing:
            _owe_again(ledger, known, [uuid for uuids in landing.missing.values() for uuid in uuids])
    with store.replace(landed_path(day)) as path:
        rows = [
            {"event": event, "acknowledged": a, "landed": n, "missing_uuids": landing.missing.get(event, [])}
            for event, (a, n) in landing.by_event.items()
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=LANDED_EVENTS), path)
    return landing


def _acknowledged(
    store: Store, day: date, known: Entries
) -> tuple[list[tuple[str, str]], tuple[datetime, datetime] | None]:
    expected: list[tuple[str, str]] = []
    first: datetime | None = None
    last: datetime | None = None
    for batch in _stored_events(store, day, ["uuid", "event", "timestamp", "reject_reason"]):
        sendable = batch.filter(batch["reject_reason"].is_null())
        where = known.find(pack(sendable["uuid"]))
        taken = sendable.filter(
            pa.array((where >= 0) & (known.acknowledged[np.maximum(where, 0)] if len(known) else False))
        )
        if not taken.num_rows:
            continue
        expected += zip(taken["uuid"].to_pylist(), taken["event"].to_pylist(), strict=True)
        span = pc.min_max(taken["timestamp"]).as_py()
        first, last = min(first or span["min"], span["min"]), max(last or span["max"], span["max"])
    return expected, (first, last) if first and last else None


def _owe_again(ledger: Ledger, known: Entries, missing: list[str]) -> None:
    """Take back the acknowledgement of events that a query did not find, so that the next run sends them again."""
    where = known.find(pack(pa.array(sorted(missing), pa.string())))
    where.sort()
    count = len(where)
    entries = Entries(
        known.uuids[where],
        known.hashes[where],
        known.keys[where],
        np.full(count, CODES[Verdict.OWED], dtype=np.int8),
        ["acknowledged, but not found by a query"] * count,
    )
    now = datetime.now(UTC).isoformat()
    ledger.append(entries, BatchFacts(now, "query", "", 0, count, 0, 0, count, 0, 0, None, None))
    ledger.summarize()


# --- shared -------------------------------------------------------------------------------------------------


def _open(store: Store, relative: str, asset: str, name: str, day: date) -> IO[bytes]:
    try:
        return store.open(relative)
    except FileNotFoundError:
        raise MissingUpstream(_materialize_first(asset, name, day)) from None


def _materialize_first(asset: str, name: str, day: date) -> str:
    return f"{name}/{asset} has no partition {key_of(day)} yet: materialize {asset} for {key_of(day)} first"
