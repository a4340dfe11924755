"""Parquet.

Belongs here: rows as records whose values JSON can hold. Does not belong here: what a value means (`dialects`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from posthog_assets.core.errors import BrokenPart, shorten
from posthog_assets.core.json_text import NO_NUMBER, load_any
from posthog_assets.core.records import RecordChunk, Unreadable
from posthog_assets.sources.formats.csv_rows import distinct
from posthog_assets.sources.formats.json_values import of_bytes, of_decimal
from posthog_assets.sources.formats.parquet_batches import bounded_batches
from posthog_assets.sources.formats.parquet_pages import check_footer

# Arrow makes its functions when it is imported; type checkers cannot see them.
pc: Any = pyarrow.compute

_Remark = Callable[..., None]

#: A remark about a map.
KEY_TWICE: Final = "a map has a key several times: its values became a list"

#: A chunk holds about this many bytes at most, unless a row is larger.
_CHUNK_BYTES: Final = 16 << 20

#: Metadata of a text field that says what its text is: one of the words below.
HOLDS: Final = b"posthog_assets.holds"
#: A JSON value.
HOLDS_JSON: Final = b"json"
#: A decimal of any precision; Parquet's own decimals have the same one in all rows.
HOLDS_DECIMAL: Final = b"decimal"


def read_parquet(file: IO[bytes], name: str, rows: int, first: int = 1) -> Iterator[RecordChunk]:
    """Yield the rows of a seekable Parquet file as dicts; positions count rows.

    Text, integers, booleans, finite floats and dates arrive as they are. Times with a zone are `datetime` in UTC,
    without one they stay naive; nanoseconds are cut to microseconds. A decimal becomes int or float where that is
    exact, else text. Binary becomes its UTF-8 text, else base64. Structs and maps become dicts, lists lists, times of
    day ISO 8601 text, durations seconds. NaN and infinity become None: JSON has no word for them. Text whose field says
    that it `HOLDS` JSON or a decimal becomes that.

    Raises:
        BrokenPart: the file has no footer, or a column cannot be decoded.
    """
    noticed = Noticed()
    with _readable(file, name):
        check_footer(file, name)
        schema = pq.read_schema(file)
        clean, names = _cleaners(schema, noticed.remark), distinct(schema.names)
        for batch in bounded_batches(file, name, rows, _CHUNK_BYTES):
            if isinstance(batch, pa.RecordBatch):
                records = _records(batch.rename_columns(names), clean, noticed.remark)
            else:
                records = [batch]
            yield RecordChunk(range(first, first + len(records)), records, remarks=noticed.taken())
            first += len(records)


def count_parquet(file: IO[bytes], name: str) -> int:
    """Return the number of rows the file's footer states."""
    with _readable(file, name):
        check_footer(file, name)
        return pq.read_metadata(file).num_rows


@contextmanager
def _readable(file: IO[bytes], name: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise BrokenPart(f"{name} cannot be read as Parquet: {shorten(str(error))}") from error


class Noticed:
    """Counts what reading notices of values."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def remark(self, sentence: str, count: int = 1) -> None:
        self._counts[sentence] = self._counts.get(sentence, 0) + count

    def taken(self) -> dict[str, int]:
        """Return the counts since they were taken last."""
        counts, self._counts = self._counts, {}
        return counts


def _records(
    batch: pa.RecordBatch, clean: dict[int, Callable[[Any], Any]], remark: _Remark
) -> list[dict[str, Any] | Unreadable]:
    for index, column in enumerate(batch.columns):
        batch = batch.set_column(index, batch.schema.field(index).name, _plain(column, remark))
    try:
        records: list[Any] = batch.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):
        records = [_one(batch.slice(index, 1)) for index in range(batch.num_rows)]
    for index, function in clean.items():
        column = batch.schema.field(index).name
        for record in records:
            if isinstance(record, dict):
                record[column] = function(record[column])
    return records


def _one(row: pa.RecordBatch) -> dict[str, Any] | Unreadable:
    try:
        return row.to_pylist()[0]
    except (ValueError, OverflowError, pa.ArrowException) as error:
        return Unreadable(shorten(f"a value that Python cannot hold: {error}"))


def _plain(column: pa.Array, remark: _Remark) -> pa.Array:
    """Return the column with what Arrow changes faster than Python: zones, nanoseconds, NaN."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", "UTC" if kind.tz else None), safe=False)
    if pa.types.is_float32(kind) or pa.types.is_float64(kind):
        finite = pc.is_finite(column)
        if pc.all(finite).as_py() is False:
            remark(NO_NUMBER, pc.sum(pc.invert(finite)).as_py())
            return pc.if_else(finite, column, pa.scalar(None, kind))
    return column


_SIMPLE: Final = (
    pa.types.is_string, pa.types.is_large_string, pa.types.is_boolean, pa.types.is_integer, pa.types.is_timestamp,
    pa.types.is_float32, pa.types.is_float64, pa.types.is_date,
)  # fmt: skip


def _cleaners(schema: pa.Schema, remark: _Remark) -> dict[int, Callable[[Any], Any]]:
    """Return the columns, by place, whose values need a look before JSON can hold them."""
    held: dict[bytes, Callable[[Any], Any]] = {HOLDS_JSON: partial(_json, remark=remark), HOLDS_DECIMAL: _decimal}
    marked = {index: held.get((field.metadata or {}).get(HOLDS, b"")) for index, field in enumerate(schema)}
    return {index: function for index, function in marked.items() if function} | {
        index: partial(_clean_map if pa.types.is_map(field.type) else _clean, remark=remark)
        for index, field in enumerate(schema)
        if not any(test(field.type) for test in _SIMPLE)
    }


def _json(text: str | None, remark: _Remark) -> Any:
    try:
        return None if text is None else load_any(text, remark)
    except ValueError:
        return text


def _decimal(text: str | None) -> int | float | str | None:
    return None if text is None else of_decimal(Decimal(text))


def _clean_map(value: Any, remark: _Remark) -> Any:
    """Return a map as an object; of a key that is there several times all values, as a list."""
    if value is None:
        return None
    found: dict[str, Any] = {}
    several: dict[str, list[Any]] = {}
    for key, item in value:
        name, item = str(key), _clean(item, remark)
        if name in found:
            several.setdefault(name, [found[name]]).append(item)
        else:
            found[name] = item
    for name, items in several.items():
        found[name] = items
        remark(KEY_TWICE)
    return found


def _clean(value: Any, remark: _Remark) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else remark(NO_NUMBER)
        case datetime():
            return _time(value)
        case Decimal():
            return of_decimal(value)
        case bytes():
            return of_bytes(value)
        case dict():
            return {str(key): _clean(item, remark) for key, item in value.items()}
        case list():
            # Arrow gives a map inside other values as a list of pairs.
            if value and all(isinstance(item, tuple) for item in value):
                return _clean_map(value, remark)
            return [_clean(item, remark) for item in value]
        case timedelta():
            return value.total_seconds()
        case time():
            return value.isoformat()
        case date():
            return value
    return str(value)


def _time(value: datetime) -> datetime:
    if type(value) is not datetime:
        # pandas' own, where Arrow has nanoseconds inside other values.
        value = datetime.fromisoformat(value.isoformat()[:26] + value.strftime("%z"))
    return value.astimezone(UTC) if value.tzinfo else value
