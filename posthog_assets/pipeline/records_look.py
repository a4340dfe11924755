"""What becomes of some records of a source, before a day of it is imported.

Belongs here: a few records through dialect and mapping, in memory. Does not belong here: getting the records
(`source_look`, `api_sample`), a whole day (`preview`), or what is printed.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.errors import PosthogAssetsError
from posthog_assets.core.field_errors import meant
from posthog_assets.core.instants import Window
from posthog_assets.core.records import RecordChunk
from posthog_assets.core.rejection import reason_head
from posthog_assets.destination.preflight import OK, PROBLEM, WARNING, Finding
from posthog_assets.dialects.column import ABSENT, Column
from posthog_assets.dialects.columns import Columns
from posthog_assets.mapping import EventMapper, Mapping
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.config.rejects import Lost, Verdict
from posthog_assets.pipeline.day_state.other_days import far_from_day
from posthog_assets.pipeline.mapping_files import open_step_files, read_identity_map
from posthog_assets.pipeline.sniffing.sampling import flattened

#: Fewer events may well be of one person.
_ENOUGH: Final = 20
_LEVELS: Final = {Verdict.FINE: OK, Verdict.WARN: WARNING, Verdict.FAIL: PROBLEM}


def look_at_records(
    imp: Import, records: list[dict[str, Any]], untyped: bool, flaws: list[str], day: date | None
) -> Iterator[Finding]:
    """Yield what dialect and mapping make of records, and the columns that are named and none of them has.

    *day* is that of the records, None where they may be of all days; *flaws* is why others cannot be read.
    """
    if not records and not flaws:
        yield Finding(WARNING, "records", "there is no record to look at")
        return
    if isinstance(imp.dialect, Columns):
        yield from _absent(imp.dialect, records)
    now = datetime.now(UTC)
    dialect = imp.dialect.within(Window.of(imp.start_date, now))
    staged = dialect.stage(RecordChunk(range(1, len(records) + 1), copy.deepcopy(records), untyped), "sample")
    good = staged.filter(pc.is_null(staged["reject_reason"]))
    try:
        mapped = _mapped(imp, good, day or imp.start_date, now)
    except PosthogAssetsError as error:
        yield Finding(PROBLEM, "mapping", str(error))
        return
    lost = Lost.of(staged.num_rows + len(flaws), _heads(flaws), _heads(_reasons(staged)), _heads(_reasons(mapped)))
    words = f"{staged.num_rows:,} records were read through the dialect {imp.dialect.type} and the mapping"
    yield Finding(_LEVELS[imp.rejects.judge(lost)], "records", lost.words if lost.count else words)
    yield from _of_times(imp, good, day)
    yield from _of_names(imp, set(good["event"].drop_null().to_pylist()))
    events = mapped.filter(pc.is_null(mapped["reject_reason"]))
    if events.num_rows >= _ENOUGH and pc.count_distinct(events["distinct_id"]).as_py() == 1:
        words = f"all {events.num_rows:,} events that were looked at are of one person: see dialect.user_id"
        yield Finding(WARNING, "persons", words)


def _mapped(imp: Import, good: pa.RecordBatch, day: date, now: datetime) -> pa.RecordBatch:
    ids = read_identity_map(imp.mapping.identity_map) if imp.mapping.identity_map else None
    # Sessions need the records of a whole day, and reject none.
    mapping = imp.mapping.model_copy(update={"sessions": Mapping.model_validate({}).sessions})
    with open_step_files() as files:
        mapper = EventMapper(
            mapping, imp.name, imp.dialect, day=day, fetched_at=now, identity_map=ids, files=files,
            since=imp.since, until=imp.until,
        )  # fmt: skip
        return mapper.map(mapper.prepared(good))


def _reasons(batch: pa.RecordBatch) -> list[str]:
    return batch["reject_reason"].drop_null().to_pylist()


def _heads(reasons: Iterable[str]) -> Counter[str]:
    return Counter(map(reason_head, reasons))


def _of_times(imp: Import, good: pa.RecordBatch, day: date | None) -> Iterator[Finding]:
    """Warn where the times of all records lie far from their day, or outside the import."""
    span = pc.min_max(good["timestamp"]).as_py()
    if span["min"] is None:
        return
    first, last = span["min"].astimezone(UTC), span["max"].astimezone(UTC)
    if day is not None:
        if words := far_from_day(day, first, last):
            yield Finding(WARNING, "times", words)
    elif last.date() < imp.start_date or (imp.end_date and first.date() > imp.end_date):
        days = f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"
        words = (
            f"all records that were looked at are of {days}, outside {imp.start_date} to {imp.end_date or 'today'}; "
            "correct start_date and end_date, or how the times are read"
        )
        yield Finding(WARNING, "times", words)


def _of_names(imp: Import, there: set[str]) -> Iterator[Finding]:
    """Warn of an event that the mapping names and no record has, where one has a name like it."""
    named = imp.mapping.events
    others = sorted(there - named.keys())
    for name in named.keys() - there:
        if words := meant(name, others):
            words = f"mapping.events names the event {name}, which no record that was looked at has{words}"
            yield Finding(WARNING, "events", words)


def _absent(dialect: Columns, records: list[dict[str, Any]]) -> Iterator[Finding]:
    named = {
        f"dialect.{name}": value.column
        for name in ("event", "user_id", "anonymous_id", "timestamp", "source_id")
        if isinstance(value := getattr(dialect, name), Column)
    }
    named |= {f"dialect.groups.{kind}": column.column for kind, column in dialect.groups.items()}
    for setting in ("person_properties", "required", "properties"):
        value = getattr(dialect, setting)
        named |= {f"dialect.{setting}": name for name in (value if isinstance(value, list) else ())}
    there = list(dict.fromkeys(path for record in records[:50] for path, _ in flattened(record)))
    for setting, column in named.items():
        if records and all(value is ABSENT for value in Column(column=column).values(records)):
            words = f"{setting} names the column {column}, which none of {len(records):,} records has"
            yield Finding(WARNING, "columns", words + meant(column, there))
