"""What `staged_events` does to one day.

Belongs here: raw export to staged Parquet, and the report. Does not belong here: any dialect.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.instants import Window
from posthog_assets.core.partitions import Partition, key_of
from posthog_assets.core.rejection import reason_head
from posthog_assets.core.schemas import FETCHED_AT_KEY
from posthog_assets.dialects.base import Dialect
from posthog_assets.dialects.column_kinds import ColumnKinds
from posthog_assets.dialects.notes import Notes, notes_of
from posthog_assets.pipeline.column_types import keep_column_types, read_column_types
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.hot_loop import hot_loop
from posthog_assets.pipeline.staging import Stagers
from posthog_assets.sources.manifest import Manifest, RawExport
from posthog_assets.storage.layout import staged_path
from posthog_assets.storage.leases import Holding
from posthog_assets.storage.parquet import ParquetSink


@dataclass
class StagingReport:
    """What staging did: raw_records + further = rows; `notes` is of rows that are not rejected; times are UTC."""

    rows: int = 0
    #: Events beyond the first of a record, where a record becomes several.
    further: int = 0
    rejected: int = 0
    reject_reasons: dict[str, int] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)
    first: datetime | None = None
    last: datetime | None = None
    #: Rows more than a year before the import's first day: more often a clock that was never set than history.
    long_before_start: int = 0
    raw_records: int = 0
    bytes: int = 0
    seconds: float = 0.0


def stage_day(
    imp: Import, day: Partition, progress: Callable[[int, int], None] = lambda done, total: None
) -> StagingReport:
    """Read every raw record of *day* into one row; *progress* gets (rows done, records in all)."""
    began = time.monotonic()
    store = imp.store
    with store.lock("staged_events", key_of(day)) as holding, hot_loop():
        raw = RawExport(store, day)
        columns = ColumnKinds(read_column_types(store).kinds, imp.dialect.texts_of_nothing)
        # Kinds only widen, so this ends: in the second round, unless another day widens one meanwhile.
        while (report := _staged(imp, day, raw, holding, columns, progress)) is None:
            pass
    report.bytes = store.size(staged_path(day))
    report.seconds = time.monotonic() - began
    return report


def _staged(
    imp: Import, day: Partition, raw: RawExport, holding: Holding, columns: ColumnKinds,
    progress: Callable[[int, int], None],
) -> StagingReport | None:  # fmt: skip
    """Write a day's rows; None where columns of CSV have turned out to hold something else than its rows say."""
    store, report, manifest = imp.store, StagingReport(), raw.manifest()
    report.raw_records = sum(part.records for part in manifest.parts)
    metadata = {FETCHED_AT_KEY.decode(): manifest.fetched_at}
    try:
        with (
            store.atomic_write(staged_path(day)) as path,
            ParquetSink(path, imp.dialect.staged_schema, metadata) as sink,
            Stagers(_dialect(imp, manifest), report.raw_records, imp.processes, columns) as stagers,
        ):
            for part in manifest.parts:
                with raw.verified(part) as file:
                    for batch in stagers.stage(file, part.framing, part.name):
                        sink.write(batch)
                        _count(report, batch, _year_before(imp.start_date))
                        progress(report.rows - report.further, report.raw_records)
            holding.confirm()
            if columns.kinds and (not keep_column_types(store, day, columns, is_stored=False) or stagers.is_outdated):
                raise _OtherKinds
    except _OtherKinds:
        return None
    is_current = not columns.kinds or keep_column_types(store, day, columns, is_stored=True)
    return report if is_current else None


class _OtherKinds(Exception):
    """What was written is not to be kept."""


def _dialect(imp: Import, manifest: Manifest) -> Dialect:
    """Return the dialect, knowing which times the records can have."""
    return imp.dialect.within(Window.of(imp.start_date, datetime.fromisoformat(manifest.fetched_at)))


def _year_before(start: date) -> datetime:
    return datetime.combine(start, time_of_day(), UTC) - timedelta(days=366)


def _count(report: StagingReport, batch: pa.RecordBatch, early: datetime) -> None:
    report.rows += batch.num_rows
    report.notes.add(notes_of(batch.schema.metadata))
    if "event_number" in batch.schema.names:
        report.further += int(np.count_nonzero(batch["event_number"].to_numpy(zero_copy_only=False)))
    reasons = batch["reject_reason"]
    if reasons.null_count != len(reasons):
        for reason in reasons.drop_null().to_pylist():
            head = reason_head(reason)
            report.reject_reasons[head] = report.reject_reasons.get(head, 0) + 1
        report.rejected += len(reasons) - reasons.null_count
    span = pc.min_max(batch["timestamp"]).as_py()
    if span["min"] is not None:
        if span["min"] < early:
            before = pc.sum(pc.less(batch["timestamp"], pa.scalar(early, batch["timestamp"].type))).as_py()
            report.long_before_start += before or 0
        report.first = min(report.first or span["min"], span["min"])
        report.last = max(report.last or span["max"], span["max"])
