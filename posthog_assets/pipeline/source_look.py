"""What can be known of an import's source before its first day is exported.

Belongs here: which days there are, and some of their records. Does not belong here: what becomes of the records
(`records_look`), the destination (`destination.preflight`), exporting (`export`), or what is printed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, Final

from posthog_assets.core.counted import counted, sized
from posthog_assets.core.errors import NoExport, PosthogAssetsError
from posthog_assets.destination.preflight import OK, PROBLEM, WARNING, Finding
from posthog_assets.pipeline.api_sample import sample_day
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.records_look import look_at_records
from posthog_assets.pipeline.sniffing.sampling import read_sample
from posthog_assets.sources.files.locations import Location
from posthog_assets.sources.files.source import Files
from posthog_assets.sources.formats.unfold import first_unfolded
from posthog_assets.sources.sql.source import Sql

_ROWS: Final = 200
#: Days named one by one.
_NAMED: Final = 5
#: So many days of a table are asked for at once, for so many seconds: without an index, a day without rows takes long.
_AT_ONCE: Final = 30
_SECONDS: Final = 10.0


def look_at_source(imp: Import) -> Iterator[Finding]:
    """Yield what is known of the source of *imp*: its days, and what its dialect makes of some records.

    Nothing is stored. Of an API the beginning of one or two days is fetched.
    """
    try:
        match imp.source:
            case Files():
                yield from _of_files(imp, imp.source)
            case Sql():
                yield from _of_table(imp, imp.source)
            case _:
                yield from _of_api(imp)
    except PosthogAssetsError as error:
        yield Finding(PROBLEM, "source", str(error))


def _last_day(imp: Import) -> date:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    return min(imp.end_date, yesterday) if imp.end_date else yesterday


def _of_files(imp: Import, source: Files) -> Iterator[Finding]:
    day = imp.start_date
    if not source.day_column:
        last = max(_last_day(imp), day)
        days = [day + timedelta(days=number) for number in range((last - day).days + 1)]
        there = [seen.day for seen in source.fingerprints(days) if seen.fingerprint] if source.lists else days[:1]
        if not there:
            found = source.location(day)
            raise NoExport(
                f"none of the days {days[0]} to {days[-1]} has a file: there is none at {found.shown}; correct "
                "source.path, start_date or end_date"
            )
        yield _days(imp, source, days, there)
        day = there[0]
    location, files = source.location(day), source.find(day)
    if not files:
        raise NoExport(f"there is no file at {location.shown}; correct source.path")
    if source.day_column:
        size = sum(file.size or 0 for file in files)
        yield Finding(OK, "source", f"{counted(len(files), 'file')} of all days, {sized(size)}")
    yield from look_at_records(imp, *_sampled(location, source, files), None if source.day_column else day)


def _sampled(location: Location, source: Files, files: Sequence[Any]) -> tuple[list[dict[str, Any]], bool, list[str]]:
    sample = read_sample(location, next((file for file in files if file.size), files[0]), source)
    records = sample.records
    if source.unfold:
        records = [record for record in first_unfolded(sample.chunk(), source.unfold) if isinstance(record, dict)]
    return records, sample.untyped, sample.flaws


def _days(imp: Import, source: Files, days: Sequence[date], there: Sequence[date]) -> Finding:
    if not source.lists:
        return Finding(OK, "source", f"cannot be listed; its first day, {days[0]}, was looked at")
    until = there[-1] if imp.end_date is None else days[-1]
    known = set(there)
    gaps = [day for day in days if day <= until and day not in known]
    words = f"{_having(len(there))} files, {there[0]} to {there[-1]}"
    if not gaps:
        return Finding(OK, "source", words)
    words += f"; {_having(len(gaps))} none: {_named(gaps)}"
    if source.missing == "empty":
        return Finding(OK, "source", f"{words} (they count as empty)")
    return Finding(WARNING, "source", f"{words}. They will fail, unless source.missing is set to empty")


def _named(days: Sequence[date]) -> str:
    return ", ".join(map(str, days[:_NAMED])) + (f" and {len(days) - _NAMED:,} more" if len(days) > _NAMED else "")


def _having(days: int) -> str:
    return f"{counted(days, 'day')} {'has' if days == 1 else 'have'}"


def _of_table(imp: Import, source: Sql) -> Iterator[Finding]:
    database = source.database()
    last = _last_day(imp)
    reach = source.reach(imp.start_date, max(last, imp.start_date))
    if reach is not None and reach < imp.start_date:
        yield Finding(PROBLEM, "source", f"{source.table} has no row of {imp.start_date} or later; correct start_date")
        return
    with database.connect() as connection:
        columns, batches = database.read(connection, *source.sample(connection, imp.start_date, _ROWS))
        rows = [dict(zip(columns, row, strict=True)) for row in islice((r for batch in batches for r in batch), _ROWS)]
    what = source.table or "the query"
    words = f"{what} answers" + (f"; its last row is of {reach}" if reach else "")
    if reach is not None:
        words += f"; {_days_of_table(source, imp.start_date, reach)}"
    yield Finding(OK, "source", words)
    yield from look_at_records(imp, rows, False, [], None)


def _days_of_table(source: Sql, first: date, last: date) -> str:
    """Return how many days from *first* to *last* have rows, and which have none: these count as empty."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    there: list[date] = []
    asked, until = 0, time.monotonic() + _SECONDS
    while asked < len(days) and (not asked or time.monotonic() < until):
        some = days[asked : asked + _AT_ONCE]
        there += source.days_with_rows(some)
        asked += len(some)
    known = set(there)
    words = f"{_having(len(there))} rows"
    if gaps := [day for day in days[:asked] if day not in known]:
        words += f", {_having(len(gaps))} none: {_named(gaps)}"
    return words + (f" (of the days until {days[asked - 1]}: more take too long)" if asked < len(days) else "")


def _of_api(imp: Import) -> Iterator[Finding]:
    """Look at the first day, and where that has no record at the last one."""
    now = datetime.now(UTC)
    days = [day for day in (imp.start_date, _last_day(imp)) if imp.source.available_at(day) <= now]
    if not days:
        at = imp.source.available_at(imp.start_date)
        words = f"is asked day by day; its first day, {imp.start_date}, is complete at {at:%Y-%m-%d %H:%M} UTC"
        yield Finding(OK, "source", words)
        return
    for day in dict.fromkeys(days):
        found = sample_day(imp, day, _ROWS)
        if found.too_large:
            words = f"answers; the first part of {day} is too large to be fetched for a look"
            yield Finding(OK, "source", f"{words}: posthog-assets preview {imp.name} --day {day} fetches the day")
            return
        if found.records or found.flaws:
            count = len(found.records) + len(found.flaws)
            words = f"answers; {day} has {count:,} records" if found.is_whole else f"answers; {day} has records"
            yield Finding(OK, "source", words)
            yield from look_at_records(imp, found.records, found.untyped, found.flaws, day)
            return
    looked = " and ".join(map(str, dict.fromkeys(days)))
    words = f"answers, and has no record of {looked}; correct start_date, if that is not so by chance"
    yield Finding(WARNING, "source", words)
