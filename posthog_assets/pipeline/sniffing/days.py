"""Which days an export has, and what says the day of a record: its file's path, or a column.

Belongs here: the days of records and paths, with the evidence. Does not belong here: how a path names a day
(`layout`), or the import file that is made of it (`draft`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.counted import counted
from posthog_assets.core.errors import BrokenPart, ImportFileError
from posthog_assets.core.records import RecordChunk
from posthog_assets.core.rejection import reason_head
from posthog_assets.dialects import Dialect
from posthog_assets.pipeline.sniffing.column import EARLIEST
from posthog_assets.pipeline.sniffing.evidence import Certainty, Finding
from posthog_assets.pipeline.sniffing.layout import Layout
from posthog_assets.pipeline.sniffing.sampling import Sample, read_on
from posthog_assets.sources.files.locations import Location
from posthog_assets.sources.files.record_days import at_path
from posthog_assets.sources.files.source import Files
from posthog_assets.sources.formats import Compression

#: How long all records are read to find the first and the last day; larger exports are sampled.
_SECONDS: Final = 2.5
#: No machine reads as many bytes in that time, plain or compressed: that is not even begun.
_READABLE: Final = 256 << 20
_READABLE_PACKED: Final = 32 << 20
#: Implausible days that are named.
_NAMED: Final = 3


@dataclass
class Times:
    """The instants of records, as a dialect reads them, by UTC day; `whole` says that no record is left out."""

    days: Counter[date] = field(default_factory=Counter)
    read: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    whole: bool = False

    def add(self, dialect: Dialect, chunk: RecordChunk) -> None:
        staged = dialect.stage(chunk, "sample")
        good = staged.filter(pc.is_null(staged["reject_reason"]))
        self.read += staged.num_rows
        for reason in staged["reject_reason"].drop_null().to_pylist():
            self.rejected[reason_head(reason)] += 1
        days = pc.value_counts(good["timestamp"].cast(pa.timestamp("us")).cast(pa.date32()))
        self.days.update({item["values"]: item["counts"] for item in days.to_pylist()})

    def join(self, other: Times) -> None:
        """Add the records of *other*."""
        self.days.update(other.days)
        self.read += other.read
        self.rejected.update(other.rejected)

    @property
    def span(self) -> tuple[date, date]:
        """The first and the last plausible day, or of all days where none is."""
        known = [day for day in self.days if _is_plausible(day)] or list(self.days)
        return min(known), max(known)

    @property
    def implausible(self) -> dict[date, int]:
        """The days, in order, before 1995 and after tomorrow, with their records."""
        return {day: self.days[day] for day in sorted(self.days) if not _is_plausible(day)}


def _is_plausible(day: date) -> bool:
    return EARLIEST.date() <= day <= datetime.now(UTC).date() + timedelta(days=1)


def paths_say_the_day(layout: Layout, by_sample: Sequence[tuple[Sample, Times]]) -> bool:
    """Whether a path's day is that of most of its records, within a day: of files of a week or a month it is not."""
    if not layout.names_days:
        return False
    near, records = 0, 0
    days: set[date] = set()
    for sample, times in by_sample:
        own = layout.day_of(sample.file)
        near += sum(count for day, count in times.days.items() if abs((day - own).days) <= 1)
        records += times.days.total()
        days |= times.days.keys()
    return near >= 0.5 * records or (len(layout.days) == 1 and len(days) <= 3)


def path_finding(layout: Layout) -> Finding:
    """Say how many days the files' paths name."""
    days, files = layout.days, len(layout.files)
    span = f"{days[0]} to {days[-1]}" if len(days) > 1 else f"{days[0]}"
    gaps = (days[-1] - days[0]).days + 1 - len(days)
    words = f"{counted(files, 'file')} of {counted(len(days), 'day')}, {span}"
    if gaps:
        words += f"; {counted(gaps, 'day')} between {'has' if gaps == 1 else 'have'} no file"
    return Finding("source.path", layout.path, Certainty.SURE, words)


def sample_day_by_path(layout: Layout, samples: Sequence[Sample]) -> date:
    """Return the day of the first sampled file that has records."""
    return layout.day_of(max(samples, key=lambda sample: bool(sample.records)).file)


def day_column(dialect: Dialect, records: Sequence[dict[str, Any]]) -> str:
    """Return the column that says a record's day: the first of the dialect's clocks that most records have.

    Raises:
        ImportFileError: there is none.
    """
    paths = (dialect.time_column,) if dialect.time_column else dialect.day_columns
    for path in paths:
        if sum(at_path(record, path) not in (None, "") for record in records) >= 0.5 * len(records):
            return path
    raise ImportFileError(
        f"the files hold several days, and none of the columns {', '.join(paths)} says the day of most records"
    )


def all_times(sampled: Times, layout: Layout, location: Location, probe: Files, dialect: Dialect) -> Times:
    """Return the days of all records, where they are read in time; else those of the samples and what was read."""
    if sampled.whole or _is_too_large(layout, probe):
        return sampled
    times = Times(whole=True)
    try:
        for chunk in read_on(location, layout.files, probe, _SECONDS):
            if chunk is None:
                times.whole = False
                break
            times.add(dialect, chunk)
    except BrokenPart:
        times.whole = False
    # Most of what was sampled was read once more: a day has the larger number of records, not the sum.
    times.days |= sampled.days
    return times


def _is_too_large(layout: Layout, probe: Files) -> bool:
    """Whether the files cannot be read to their end in the time there is."""
    packed = probe.framing(layout.files[0]).compression is not Compression.NONE
    size = sum(file.size or 0 for file in layout.files)
    return size > (_READABLE_PACKED if packed else _READABLE)


def days_findings(column: str, layout: Layout, times: Times) -> Iterator[Finding]:
    """Say which days the records have, by *column*, and which of them cannot be true."""
    first, last = times.span
    files = "one file holds" if len(layout.files) == 1 else f"{len(layout.files):,} files hold"
    if times.whole:
        days = counted(len(times.days) - len(times.implausible), "day")
        words = f"{files} all days: {days}, {first} to {last}, by {column}"
        yield Finding("source.day_column", column, Certainty.SURE, words)
    else:
        sampled = f"days are {first} to {last}" if last > first else f"only day is {first}"
        words = f"{files} all days; of a sample the {sampled}: earlier and later ones may exist"
        yield Finding("source.day_column", column, Certainty.UNSURE, words)
    if odd := times.implausible:
        named = ", ".join(map(str, list(odd)[:_NAMED])) + (", …" if len(odd) > _NAMED else "")
        words = f"{counted(sum(odd.values()), 'record')} of days that cannot be true ({named}) will not be imported"
        yield Finding("source.day_column", column, Certainty.UNSURE, words)
