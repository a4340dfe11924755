"""CSV and Parquet.

Belongs here: rows of tables as records. Does not belong here: what a text value means (`dialects`).
"""

from __future__ import annotations

import base64
import csv
import io
import math
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from posthog_assets.errors import BrokenPart, shorten
from posthog_assets.formats.framing import Framing
from posthog_assets.formats.records import RecordChunk, Unreadable

csv.field_size_limit(64 << 20)


def read_csv(stream: IO[bytes], framing: Framing, name: str, rows: int, first: int = 1) -> Iterator[RecordChunk]:
    """Yield the rows below the header as dicts of text, at most *rows* at a time.

    A position is the line the row starts on, the header's line being *first*.
    """
    lines = _Lines(stream, framing.encoding)
    reader = csv.reader(lines, delimiter=framing.delimiter, quotechar=framing.quote, strict=True)
    header = _header(reader, name)
    positions: list[int] = []
    records: list[dict[str, Any] | Unreadable] = []
    for line, row in _rows(reader, name):
        if not row:
            continue
        positions.append(first + line - 1)
        records.append(_record(header, row, lines))
        if len(records) == rows:
            yield RecordChunk(positions, records, untyped=True)
            positions, records = [], []
    if records:
        yield RecordChunk(positions, records, untyped=True)


def count_csv(stream: IO[bytes], framing: Framing, name: str) -> int:
    """Return the number of rows below the header."""
    reader = csv.reader(
        _Lines(stream, framing.encoding), delimiter=framing.delimiter, quotechar=framing.quote, strict=True
    )
    _header(reader, name)
    return sum(1 for _, row in _rows(reader, name) if row)


class _Lines:
    """Text lines of a byte stream, ends kept; remembers whether the last ones could not be decoded."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self._text = io.TextIOWrapper(
            io.BufferedReader(_Raw(stream), 1 << 20),
            encoding="utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding,
            errors="surrogateescape",
            newline="",
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._text)


class _Raw(io.RawIOBase):
    """Any object with `read` as a raw stream."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _header(reader: Any, name: str) -> list[str]:
    for _, row in _rows(reader, name):
        if row:
            twice = sorted({column for column in row if row.count(column) > 1})
            if twice:
                raise BrokenPart(f"{name}: the header names {', '.join(map(repr, twice))} more than once")
            return row
    return []


def _rows(reader: Any, name: str) -> Iterator[tuple[int, list[str]]]:
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BrokenPart(
                f"{name}, line {line}: not CSV ({error}); records after it cannot be told apart"
            ) from error
        yield line, row


def _record(header: list[str], row: list[str], lines: _Lines) -> dict[str, Any] | Unreadable:
    if len(row) != len(header):
        return Unreadable(f"wrong number of fields: {len(row)} where the header has {len(header)}")
    record = dict(zip(header, row, strict=True))
    # surrogateescape keeps bytes that are no text as lone surrogates.
    if any(not value.isascii() and _undecodable(value) for value in row):
        return Unreadable("not valid text: bytes that are not in the file's encoding")
    return record


def _undecodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False


def read_parquet(file: IO[bytes], name: str, rows: int, first: int = 1) -> Iterator[RecordChunk]:
    """Yield the rows of a Parquet file as dicts whose values JSON can hold; positions count rows.

    Times stay `datetime` (µs; aware where the column has a zone); a decimal becomes int or float where that is exact,
    else text; binary becomes its UTF-8 text, else base64; NaN and infinity become None.
    """
    try:
        reader = pq.ParquetFile(file)
        clean = _cleaners(reader.schema_arrow)
        for batch in reader.iter_batches(batch_size=rows):
            records = _cut_nanoseconds(batch).to_pylist()
            for column, function in clean.items():
                for record in records:
                    record[column] = function(record[column])
            yield RecordChunk(range(first, first + len(records)), records)
            first += len(records)
    except (pa.ArrowException, OSError) as error:
        raise BrokenPart(f"{name} cannot be read as Parquet: {shorten(str(error))}") from error


def count_parquet(file: IO[bytes], name: str) -> int:
    """Return the number of rows the file's footer states."""
    try:
        return pq.ParquetFile(file).metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise BrokenPart(f"{name} cannot be read as Parquet: {shorten(str(error))}") from error


def _cut_nanoseconds(batch: pa.RecordBatch) -> pa.RecordBatch:
    for index, field in enumerate(batch.schema):
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns":
            cut = batch.column(index).cast(pa.timestamp("us", field.type.tz), safe=False)
            batch = batch.set_column(index, field.name, cut)
    return batch


def _cleaners(schema: pa.Schema) -> dict[str, Callable[[Any], Any]]:
    """Return the columns whose values need a look before JSON can hold them."""
    simple = (pa.types.is_string, pa.types.is_large_string, pa.types.is_boolean, pa.types.is_integer)
    zoned = [field for field in schema if pa.types.is_timestamp(field.type)]
    plain = {field.name for field in schema if any(test(field.type) for test in simple)} | {f.name for f in zoned}
    return {field.name: _clean for field in schema if field.name not in plain}


def _clean(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return _number(value)
        case bytes():
            return _text(value)
        case dict():
            return {str(key): _clean(item) for key, item in value.items()}
        case list():
            if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
                return {str(key): _clean(item) for key, item in value}
            return [_clean(item) for item in value]
        case datetime():
            return value
    return value


def _number(value: Decimal) -> int | float | str:
    if not value.is_finite():
        return str(value)
    if value == value.to_integral_value() and abs(value) < 2**63:
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()
