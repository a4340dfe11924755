"""What a stored partition looks like at a glance: when its events happened, and its first rows.

Belongs here: reading a few columns or rows of a finished Parquet file. Does not belong here: counting what a step did
(`pipeline`), or how it is shown (`assets.metadata`).
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import IO, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from posthog_assets.core.errors import shorten
from posthog_assets.storage.parquet import read_column, read_footer

_HOUR: Final = 3_600_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: The hours of the calendar, 0001 to 9999, from 1970 on.
_HOURS: Final = [
    (end - _EPOCH) // timedelta(hours=1) for end in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
]

#: A picture has at most this many bars; a day has 24.
BARS: Final = 36
#: How many hours a bar may stand for.
_WIDTHS: Final = (1, 2, 3, 6, 12, 24, 48, 24 * 7, 24 * 28, 24 * 364)

#: Values longer than this are cut in a preview.
_CELL: Final = 80


@dataclass(frozen=True, slots=True)
class Hours:
    """How many events happened when: one count per `width` hours, from `start` to `end` (UTC)."""

    start: datetime = _EPOCH
    end: datetime = _EPOCH
    width: int = 1
    counts: list[int] = field(default_factory=list)


def hours(file: IO[bytes], day: date) -> Hours:
    """Return when the rows of *file* happened; reads eight bytes a row.

    Where everything happened on *day* itself, the picture is the whole day. Rows without a time are left out.
    """
    found: dict[int, int] = {}
    for column in read_column(file, "timestamp"):
        stamps = column.drop_null().cast(pa.int64()).to_numpy(zero_copy_only=False)
        for hour, count in zip(*np.unique(stamps // _HOUR, return_counts=True), strict=True):
            found[int(hour)] = found.get(int(hour), 0) + int(count)
    if not found:
        return Hours()
    midnight = (datetime(day.year, day.month, day.day, tzinfo=UTC) - _EPOCH) // timedelta(hours=1)
    first, last = min(found), max(found)
    if midnight <= first and last < midnight + 24:
        first, last = midnight, midnight + 23
    width = next((width for width in _WIDTHS if last // width - first // width < BARS), last - first + 1)
    counts = [0] * (last // width - first // width + 1)
    for hour, count in found.items():
        counts[hour // width - first // width] += count
    begin = first // width * width
    return Hours(_at(begin), _at(begin + width * len(counts)), width, counts)


def _at(hour: int) -> datetime:
    return _EPOCH + timedelta(hours=min(max(hour, _HOURS[0]), _HOURS[1]))


def span(file: IO[bytes]) -> tuple[datetime, datetime] | None:
    """Return the first and last timestamp in *file*, from its footer alone; None where it has no rows."""
    metadata = read_footer(file)
    at = metadata.schema.names.index("timestamp")
    groups = [metadata.row_group(number).column(at).statistics for number in range(metadata.num_row_groups)]
    ends = [(stats.min, stats.max) for stats in groups if stats is not None and stats.has_min_max]
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None


def first_rows(
    file: IO[bytes], columns: list[str], without: Collection[str] = (), rows: int = 5
) -> list[dict[str, str]]:
    """Return the first *rows* rows of *file* as short texts; the properties among them without those of *without*."""
    batch = next(pq.ParquetFile(file, pre_buffer=False).iter_batches(batch_size=rows, columns=columns), None)
    return [{name: _text(name, row[name], without) for name in columns} for row in batch.to_pylist()] if batch else []


def _text(name: str, value: object, without: Collection[str]) -> str:
    if name == "properties" and isinstance(value, str):
        own = {key: item for key, item in orjson.loads(value).items() if key not in without}
        value = orjson.dumps(own).decode()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
    # One line, and nothing that moves the cursor.
    plain = "" if value is None else str(value)
    return shorten(plain if plain.isprintable() else json.dumps(plain, ensure_ascii=False)[1:-1], _CELL)
