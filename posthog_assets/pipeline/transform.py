"""What `posthog_events` does to one day.

Belongs here: staged rows to PostHog events, and what is noted in their file. Does not belong here: any mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from posthog_assets.core.errors import DamagedFile
from posthog_assets.core.partitions import Partition, key_of
from posthog_assets.core.schemas import (
    FETCHED_AT_KEY,
    GROUP_TYPES_KEY,
    HISTORY_KEY,
    MAPPING_KEY,
    POSTHOG_EVENTS,
    STAGED_KEY,
)
from posthog_assets.dialects.columns import Columns
from posthog_assets.mapping import Around, EventMapper, Floors, MappingReport, Survey, map_day
from posthog_assets.mapping.sessions import COLUMNS as SESSION_COLUMNS
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.history_facts import facts_version
from posthog_assets.pipeline.hot_loop import hot_loop
from posthog_assets.pipeline.mapping_files import open_step_files, read_identity_map
from posthog_assets.pipeline.upstream import open_upstream
from posthog_assets.storage.layout import day_facts_path, events_path, staged_path
from posthog_assets.storage.leases import Holding
from posthog_assets.storage.parquet import ParquetSink, digest_of, read_batches, read_column, read_table
from posthog_assets.storage.scratch import scratch_folder
from posthog_assets.storage.store import Store

#: Fewer records may well have no user.
_MANY: Final = 20


def transform_day(
    imp: Import, day: Partition, progress: Callable[[int, int], None] = lambda done, total: None
) -> MappingReport:
    """Turn the staged rows of *day* into PostHog events, oldest first; *progress* gets (rows done, rows in all)."""
    store = imp.store
    with store.lock("posthog_events", key_of(day)) as holding, hot_loop():
        with open_upstream(store, staged_path(day), "staged_events", imp.name, day) as file:
            staged = digest_of(file)
            reader = pq.ParquetFile(file)
            fetched_at = _fetched_at(imp, day, reader.schema_arrow)
            made_from = {MAPPING_KEY: imp.mapping_version, STAGED_KEY: staged, FETCHED_AT_KEY: fetched_at}
            facts = _history(imp, day)
            if facts is not None:
                made_from[HISTORY_KEY] = facts_version(store, key_of(day)) or ""
            ids = read_identity_map(imp.mapping.identity_map) if imp.mapping.identity_map else None
            phases = TwoPhaseProgress(reader.metadata.num_rows, progress)
            with scratch_folder() as spill, open_step_files() as files, _sessions_around(imp, day, file) as around:
                mapper = EventMapper(
                    imp.mapping, imp.name, imp.dialect, day=day, fetched_at=datetime.fromisoformat(fetched_at),
                    identity_map=ids, files=files, since=imp.since, until=imp.until, facts=facts,
                )  # fmt: skip
                floors = Floors(_stamps(file))
                report = map_day(
                    lambda: phases.read(read_batches(file)),
                    mapper,
                    lambda: _events_sink(store, day, made_from, phases, mapper, holding),
                    Path(spill),
                    ordered=floors.is_sorted,
                    around=around,
                    survey=Survey(
                        floors if _fits(floors, reader.metadata) else None,
                        lambda columns: read_batches(file, columns),
                    ),
                )
            report.lacks_users = _lacks_users(imp, day, file, reader.metadata.num_rows)
            report.knows_history = facts is not None if imp.mapping.asks_history else None
            return report


def _lacks_users(imp: Import, day: Partition, file: IO[bytes], rows: int) -> str | None:
    """Return a sentence where the import file names the column of the user, and no record of the day has one.

    A name that is written wrong gives such days: their events would be of devices only.
    """
    dialect = imp.dialect
    if not isinstance(dialect, Columns) or not dialect.links_identities or rows < _MANY:
        return None
    # Read only as far as a user stands in it, as a rule a few thousand rows.
    if any(column.null_count < len(column) for column in read_column(file, "user_id")):
        return None
    column = dialect.user_id.column if dialect.user_id else ""
    return f"{key_of(day)}: no record has a user in {column} (dialect.user_id), so all events are of anonymous persons"


def _fetched_at(imp: Import, day: Partition, staged: pa.Schema) -> str:
    noted = (staged.metadata or {}).get(FETCHED_AT_KEY)
    if noted is None:
        raise DamagedFile(
            f"{imp.store.path(staged_path(day))} holds no staged rows: materialize staged_events for {key_of(day)} "
            "again"
        )
    return noted.decode()


def _history(imp: Import, day: Partition) -> pa.Table | None:
    """Return what `history_facts` knows of the events of *day*; None where it is not asked or does not know yet."""
    if not imp.mapping.asks_history:
        return None
    try:
        with imp.store.open(day_facts_path(day)) as file:
            return read_table(file)
    except FileNotFoundError:
        return None


@contextmanager
def _sessions_around(imp: Import, day: Partition, file: IO[bytes]) -> Iterator[Around | None]:
    """Give the staged rows in which the sessions of *day* are found; None where they are off."""
    if imp.mapping.sessions.mode == "off":
        yield None
        return

    def rows(of: IO[bytes]) -> Callable[[], Iterator[pa.RecordBatch]]:
        return lambda: read_batches(of, SESSION_COLUMNS)

    if isinstance(day, str) or day <= imp.start_date:
        yield Around(rows(file))
        return
    try:
        earlier = imp.store.open(staged_path(day - timedelta(days=1)))
    except FileNotFoundError:
        yield Around(rows(file), lacks_day_before=True)
        return
    with earlier:
        yield Around(rows(file), rows(earlier))


@contextmanager
def _events_sink(
    store: Store,
    day: Partition,
    made_from: dict[bytes, str],
    phases: TwoPhaseProgress,
    mapper: EventMapper,
    holding: Holding,
) -> Iterator[TwoPhaseProgress]:
    metadata = {name.decode(): text for name, text in made_from.items()}
    with store.atomic_write(events_path(day)) as path:
        with ParquetSink(path, POSTHOG_EVENTS, metadata) as sink:
            yield phases.writing(sink)
            if kinds := sorted(mapper.group_types.names):
                sink.note({GROUP_TYPES_KEY.decode(): orjson.dumps(kinds).decode()})
        holding.confirm()


class TwoPhaseProgress:
    """Tells how far a mapping is. Reading is one half, writing the other: what must be sorted is written at the end."""

    def __init__(self, total: int, progress: Callable[[int, int], None]) -> None:
        self._total, self._progress, self._rows = total, progress, 0

    def read(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch
            self._count(batch)

    def writing(self, sink: ParquetSink) -> TwoPhaseProgress:
        self._sink, self._rows = sink, 0
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        self._sink.write(batch)
        self._count(batch)

    def _count(self, batch: pa.RecordBatch) -> None:
        self._rows += batch.num_rows
        self._progress(min(self._rows // 2, self._total), self._total)


#: Rows that wait for earlier ones hold about this much at most; where it is more, they are sorted on disk.
_WAITING_BYTES: Final = 48 << 20


def _fits(floors: Floors, metadata: pq.FileMetaData) -> bool:
    """Whether so few rows have to wait for earlier ones that memory holds them."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    widest = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=0.0)
    return (floors.most_waiting + floors.most_in_piece) * widest <= _WAITING_BYTES


def _stamps(file: IO[bytes]) -> Iterator[np.ndarray]:
    """Yield the timestamps of all rows that have one, in µs; reads eight bytes a row."""
    for column in read_column(file, "timestamp"):
        yield column.drop_null().cast(pa.int64()).to_numpy(zero_copy_only=False)
