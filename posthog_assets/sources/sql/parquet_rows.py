"""Rows of a database as Parquet parts that lose nothing.

Belongs here: which column type holds a driver's values exactly. Does not belong here: connecting and asking
(`database`), or what a column means (`dialects`).

| value | column |
|---|---|
| boolean, whole number of 64 bits, float, text, bytes, date | as such |
| time with, without a zone | timestamp in µs, UTC; in µs, without a zone; text where Python has no such time |
| decimal, larger whole number | its digits as text, marked as decimal (their scale differs from row to row) |
| JSON, array, object; values of several types in one column | JSON text, marked as such |
| UUID, time of day, and anything else | text |
| interval | seconds |
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, auto
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from posthog_assets.sources.formats import Format, Framing
from posthog_assets.sources.formats.parquet import HOLDS, HOLDS_DECIMAL, HOLDS_JSON
from posthog_assets.sources.manifest import RawExport

#: Most rows of a part; a part that is written is not written again when another one fails.
PART_ROWS: Final = 1_000_000

#: Rows and bytes of a row group.
_GROUP_ROWS: Final = 50_000
_GROUP_BYTES: Final = 16 << 20

_LARGEST: Final = 2**63

Rows = Sequence[Sequence[Any]]


class JsonText(str):
    """The text of a JSON value, as the database has it."""


class Kind(Enum):
    """What the values of a column are."""

    NOTHING = auto()
    BOOLEAN = auto()
    INTEGER = auto()
    FLOAT = auto()
    DECIMAL = auto()
    TEXT = auto()
    BINARY = auto()
    DATE = auto()
    NAIVE = auto()
    AWARE = auto()
    SECONDS = auto()
    JSON = auto()


_KINDS: Final = {
    bool: Kind.BOOLEAN, float: Kind.FLOAT, Decimal: Kind.DECIMAL, str: Kind.TEXT, bytes: Kind.BINARY,
    bytearray: Kind.BINARY, memoryview: Kind.BINARY, date: Kind.DATE, timedelta: Kind.SECONDS, JsonText: Kind.JSON,
    dict: Kind.JSON, list: Kind.JSON, tuple: Kind.JSON,
}  # fmt: skip

_TYPES: Final = {
    Kind.NOTHING: pa.null(), Kind.BOOLEAN: pa.bool_(), Kind.INTEGER: pa.int64(), Kind.FLOAT: pa.float64(),
    Kind.DECIMAL: pa.string(), Kind.TEXT: pa.string(), Kind.BINARY: pa.binary(), Kind.DATE: pa.date32(),
    Kind.NAIVE: pa.timestamp("us"), Kind.AWARE: pa.timestamp("us", "UTC"), Kind.SECONDS: pa.float64(),
    Kind.JSON: pa.string(),
}  # fmt: skip

_MARKS: Final = {Kind.DECIMAL: HOLDS_DECIMAL, Kind.JSON: HOLDS_JSON}


def write_parts(
    raw: RawExport,
    name: str,
    origin: str,
    columns: Sequence[str],
    batches: Iterator[Rows],
    *,
    json_columns: Collection[str] = (),
    without_day: bool = False,
) -> None:
    """Write rows as parts `<name>-0001.parquet` and so on; no rows are no part.

    A part ends after `PART_ROWS` rows, and where a column turns out to hold something else than its rows so far. Text
    in *json_columns* is JSON.
    """
    kinds = [Kind.NOTHING] * len(columns)
    as_json = [index for index, column in enumerate(columns) if column in json_columns]
    filled = (batch for batch in batches if batch)
    batch = next(filled, None)
    number = 0
    while batch is not None:
        number += 1
        values = _columns(batch, as_json)
        kinds = _widened(kinds, values)
        schema = _schema(columns, kinds)
        part = f"{name}-{number:04d}.parquet"
        with raw.part(part, Framing(Format.PARQUET), origin, without_day=without_day) as sink:
            with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
                group, rows = _Group(writer), 0
                while batch is not None and rows < PART_ROWS and _widened(kinds, values) == kinds:
                    group.add(_encoded(values, schema, kinds))
                    rows += len(batch)
                    batch = next(filled, None)
                    values = _columns(batch, as_json) if batch is not None else []
                group.flush()


class _Group:
    """Collects batches until they are worth a row group."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._held: list[pa.RecordBatch] = []

    def add(self, batch: pa.RecordBatch) -> None:
        self._held.append(batch)
        if sum(map(len, self._held)) >= _GROUP_ROWS or sum(held.nbytes for held in self._held) >= _GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_batches(self._held))
            self._held = []


def _columns(batch: Rows, as_json: list[int]) -> list[Sequence[Any]]:
    columns: list[Sequence[Any]] = list(zip(*batch, strict=True))
    for index in as_json:
        columns[index] = [JsonText(value) if type(value) is str else value for value in columns[index]]
    return columns


def _widened(kinds: list[Kind], values: list[Sequence[Any]]) -> list[Kind]:
    return [_joined(kind, _kind(column)) for kind, column in zip(kinds, values, strict=True)]


def _joined(one: Kind, other: Kind) -> Kind:
    both = {one, other} - {Kind.NOTHING}
    if len(both) < 2:
        return both.pop() if both else Kind.NOTHING
    return Kind.DECIMAL if both == {Kind.INTEGER, Kind.DECIMAL} else Kind.JSON


def _kind(values: Sequence[Any]) -> Kind:
    kind = Kind.NOTHING
    for found in set(map(type, values)) - {type(None)}:
        if found is int:
            numbers = [value for value in values if type(value) is int]
            fits = min(numbers) >= -_LARGEST and max(numbers) < _LARGEST
            kind = _joined(kind, Kind.INTEGER if fits else Kind.DECIMAL)
        elif issubclass(found, datetime):
            for value in values:
                if type(value) is found:
                    kind = _joined(kind, Kind.NAIVE if value.tzinfo is None else Kind.AWARE)
        else:
            kind = _joined(kind, _KINDS.get(found, Kind.TEXT))
    return kind


def _schema(columns: Sequence[str], kinds: list[Kind]) -> pa.Schema:
    return pa.schema(
        [
            pa.field(name, _TYPES[kind], metadata={HOLDS: _MARKS[kind]} if kind in _MARKS else None)
            for name, kind in zip(columns, kinds, strict=True)
        ]
    )


def _encoded(values: list[Sequence[Any]], schema: pa.Schema, kinds: list[Kind]) -> pa.RecordBatch:
    columns = []
    for column, field, kind in zip(values, schema, kinds, strict=True):
        written: Sequence[Any] = column
        if kind in (Kind.DECIMAL, Kind.TEXT):
            written = [value if value is None or type(value) is str else str(value) for value in column]
        elif kind is Kind.JSON:
            written = [None if value is None else _json(value) for value in column]
        elif kind is Kind.SECONDS:
            written = [None if value is None else value.total_seconds() for value in column]
        columns.append(pa.array(written, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _json(value: Any) -> str:
    if isinstance(value, JsonText):
        return str(value)
    if isinstance(value, datetime) and value.tzinfo:
        # As in a column that holds nothing else.
        value = value.astimezone(UTC)
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # Whole numbers of more than 64 bits, which Python's own encoder writes with all their digits.
        return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        content = bytes(value)
        try:
            return content.decode()
        except UnicodeDecodeError:
            return base64.b64encode(content).decode()
    return value.total_seconds() if isinstance(value, timedelta) else str(value)
