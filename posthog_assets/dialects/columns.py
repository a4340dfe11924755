"""The dialect of anybody's own table: the import file says which column is what.

Belongs here: reading records by column. Does not belong here: any vendor's conventions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, Final, Literal, Self, TypeVar
from zoneinfo import ZoneInfo

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from posthog_assets.dialects.base import Dialect, content_id
from posthog_assets.dialects.timestamps import read_timestamps
from posthog_assets.errors import shorten
from posthog_assets.formats.records import RecordChunk, Unreadable
from posthog_assets.schemas import STAGED_EVENTS
from posthog_assets.settings import Settings

_INTEGER: Final = re.compile(r"-?(0|[1-9]\d{0,18})")
_FLOAT: Final = re.compile(r"-?(0|[1-9]\d{0,15})\.\d{1,17}")

Made = TypeVar("Made")

#: A column that is not there, in contrast to one that holds null.
_ABSENT: Final = object()


class Column(Settings):
    """The name of a column, or the path `a.b.0.c` into nested values (a column named so literally comes first)."""

    column: str = Field(min_length=1)

    def values(self, records: list[dict[str, Any]]) -> list[Any]:
        """Return the value in each record, `_ABSENT` where there is none."""
        name = self.column
        if "." not in name:
            return [record.get(name, _ABSENT) for record in records]
        keys = name.split(".")
        return [record[name] if name in record else _descend(record, keys) for record in records]


class Value(Settings):
    """A constant."""

    value: str = Field(min_length=1)


class TimestampColumn(Column):
    """Where the time of an event stands, and how it reads."""

    timezone: str = Field("UTC", description="Zone of times that have none")
    format: str | None = Field(None, description="strptime pattern; absent: ISO 8601, or an epoch")
    unit: Literal["s", "ms", "us", "ns"] | None = Field(None, description="Absent: told by the magnitude")

    @field_validator("timezone")
    @classmethod
    def _exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("is no time zone; use a name such as Europe/Berlin or UTC") from error
        return value


def _descend(value: Any, keys: list[str]) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, _ABSENT)
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return _ABSENT
    return value


class Columns(Dialect):
    """Records whose columns the import file names. A column used for an id, the name or the time is no property."""

    type: str = "columns"
    timezone_setting: ClassVar[str | None] = "timestamp.timezone"

    event: Value | Column
    user_id: Column | None = None
    anonymous_id: Column | None = None
    timestamp: TimestampColumn
    source_id: Column | None = Field(None, description="Absent: derived from the record's content")
    properties: Literal["all"] | list[str] = Field("all", description="Columns that become properties")
    person_properties: list[str] = Field(default_factory=list, description="Columns that are the person's")
    groups: dict[str, Column] = Field(default_factory=dict, description="Group type -> column of the group's key")
    required: list[str] = Field(default_factory=list, description="Columns a record must have a value in")
    nulls: list[str] = Field(default_factory=lambda: [""], description="Texts of CSV that mean nothing is there")
    types: Literal["infer", "text"] = Field("infer", description="Whether numbers and booleans in CSV become such")

    @model_validator(mode="after")
    def _has_somebody(self) -> Columns:
        if self.user_id is None and self.anonymous_id is None:
            raise ValueError("needs user_id or anonymous_id, such as user_id: {column: user}")
        return self

    @property
    def links_identities(self) -> bool:
        return self.user_id is not None and self.anonymous_id is not None

    @property
    def time_column(self) -> str:
        return self.timestamp.column

    @property
    def given_timezone(self) -> str | None:
        return self.timestamp.timezone if "timezone" in self.timestamp.model_fields_set else None

    def with_timezone(self, zone: str) -> Self:
        return self.model_copy(update={"timestamp": self.timestamp.model_copy(update={"timezone": zone})})

    def timestamps(self, records: list[dict[str, Any]]) -> tuple[pa.Array, dict[int, str]]:
        """Return each record's instant and the reasons of those that have none; subclasses may compute it."""
        values = self.timestamp.values(records)
        if _ABSENT in values:
            values = [None if value is _ABSENT else value for value in values]
        return read_timestamps(values, self.timestamp.timezone, self.timestamp.format, self.timestamp.unit)

    def stage(self, chunk: RecordChunk, part: str) -> pa.RecordBatch:
        """Return one `STAGED_EVENTS` row per record of *chunk*; the records are used up."""
        count = len(chunk.records)
        reasons: dict[int, str] = {}
        records = self._readable(chunk, reasons)
        columns = self._read(records, chunk.untyped, reasons)
        if reasons:
            columns = _without(columns, reasons, count)
        return pa.RecordBatch.from_arrays(
            [
                *columns,
                pa.array([part], pa.string()).take(pa.array([0] * count, pa.int32())),
                pa.array(chunk.positions, pa.int64()),
                pa.array([reasons.get(i) for i in range(count)] if reasons else pa.nulls(count), pa.string()),
            ],
            schema=STAGED_EVENTS,
        )

    def _readable(self, chunk: RecordChunk, reasons: dict[int, str]) -> list[dict[str, Any]]:
        records: list[Any] = chunk.records
        if Unreadable in set(map(type, records)):
            reasons.update((i, record.reason) for i, record in enumerate(records) if isinstance(record, Unreadable))
            records = [{} if isinstance(record, Unreadable) else record for record in records]
        if chunk.untyped:
            nulls = set(self.nulls)
            return [{key: value for key, value in record.items() if value not in nulls} for record in records]
        return records

    def _read(self, records: list[dict[str, Any]], untyped: bool, reasons: dict[int, str]) -> list[Any]:
        """Return the columns from source_id to group_set; adds to *reasons*."""
        for column in self.required:
            _require(column, Column(column=column).values(records), records, reasons)
        stamps, flaws = self.timestamps(records)
        if flaws:
            self._explain_times(flaws, records, reasons)
        events = self._names(records, reasons)
        users = _ids(self.user_id, records, "user_id", reasons)
        anonymous = _ids(self.anonymous_id, records, "anonymous_id", reasons)
        sources = _ids(self.source_id, records, "source_id", reasons, optional=False)
        if sources is None:
            sources = _each(content_id, records, reasons)
        person = self._person(records, untyped, reasons)
        groups = self._groups(records)
        count = len(records)
        return [
            pa.array(sources, pa.string()),
            pa.array(["event"], pa.string()).take(pa.array([0] * count, pa.int32())),
            pa.array(events, pa.string()),
            pa.array(users, pa.string()) if users else pa.nulls(count, pa.string()),
            pa.array(anonymous, pa.string()) if anonymous else pa.nulls(count, pa.string()),
            stamps,
            self._properties(records, untyped, reasons),
            pa.array(person, pa.string()) if person else pa.nulls(count, pa.string()),
            pa.nulls(count, pa.string()),
            pa.array(groups, pa.string()) if groups else pa.nulls(count, pa.string()),
            pa.nulls(count, pa.string()),
        ]

    def _explain_times(self, flaws: dict[int, str], records: list[dict[str, Any]], reasons: dict[int, str]) -> None:
        values = self.timestamp.values(records)
        for index, flaw in flaws.items():
            absent = values[index] is _ABSENT and flaw == "timestamp is empty"
            reasons.setdefault(index, _missing(self.timestamp.column, records[index]) if absent else flaw)

    def _names(self, records: list[dict[str, Any]], reasons: dict[int, str]) -> list[str | None]:
        if isinstance(self.event, Value):
            return [self.event.value] * len(records)
        names = _ids(self.event, records, "event", reasons, optional=False)
        return names or []

    def _person(self, records: list[dict[str, Any]], untyped: bool, reasons: dict[int, str]) -> list[bytes | None]:
        if not self.person_properties:
            return []
        chosen = [{key: record[key] for key in self.person_properties if key in record} for record in records]
        return _each(lambda it: _dumps(self._typed(it) if untyped else it) if it else None, chosen, reasons)

    def _groups(self, records: list[dict[str, Any]]) -> list[bytes | None]:
        if not self.groups:
            return []
        by_type = {kind: column.values(records) for kind, column in self.groups.items()}
        rows = [
            {kind: str(values[i]) for kind, values in by_type.items() if values[i] not in (None, "", _ABSENT)}
            for i in range(len(records))
        ]
        return [orjson.dumps(row) if row else None for row in rows]

    def _properties(self, records: list[dict[str, Any]], untyped: bool, reasons: dict[int, str]) -> pa.Array:
        if self.properties == "all":
            used = {c.column for c in (self.event, self.user_id, self.anonymous_id, self.timestamp, self.source_id)
                    if isinstance(c, Column)} | set(self.person_properties)  # fmt: skip
            for name in used:
                for record in records:
                    record.pop(name, None)
        else:
            records = [{key: record[key] for key in self.properties if key in record} for record in records]
        if untyped and self.types == "infer":
            records = [self._typed(record) for record in records]
        return _json_texts(records, reasons)

    def _typed(self, record: dict[str, Any]) -> dict[str, Any]:
        return {key: _inferred(value) for key, value in record.items()} if self.types == "infer" else record


def _json_texts(records: list[dict[str, Any]], reasons: dict[int, str]) -> pa.Array:
    dumps = orjson.dumps
    try:
        texts: list[bytes | None] = [dumps(record) for record in records]
    except TypeError:
        texts = _each(_dumps, records, reasons)
    # orjson writes valid UTF-8, so the bytes are text as they stand.
    return pa.array(texts, pa.binary()).view(pa.string())


def _each(write: Callable[[Any], Made], records: list[dict[str, Any]], reasons: dict[int, str]) -> list[Made | None]:
    """Return what *write* makes of each record; what JSON cannot hold, such as 255 levels of nesting, is rejected."""
    try:
        return [write(record) for record in records]
    except TypeError:
        pass
    made: list[Made | None] = []
    for index, record in enumerate(records):
        try:
            made.append(write(record))
        except TypeError as error:
            reasons.setdefault(index, f"record cannot be written as JSON: {error}")
            made.append(None)
    return made


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)


def _inferred(text: str) -> Any:
    """Return the number or boolean a CSV text plainly is; anything that would not read back the same stays text."""
    if text in ("true", "false", "True", "False", "TRUE", "FALSE"):
        return text[0] in "tT"
    if text[:1].isdigit() or text[:1] == "-":
        if _INTEGER.fullmatch(text):
            return int(text) if -(2**63) <= int(text) < 2**64 else text
        if _FLOAT.fullmatch(text):
            return float(text)
    return text


def _ids(
    column: Column | None, records: list[dict[str, Any]], what: str, reasons: dict[int, str], *, optional: bool = True
) -> list[str | None] | None:
    """Return a column of ids as text; whole numbers become their digits, other types reject their row."""
    if column is None:
        return None
    values = column.values(records)
    if set(map(type, values)) == {str}:
        ids: list[str | None] = values
    else:
        ids = [_id(value, what, column.column, records[i], reasons, i) for i, value in enumerate(values)]
    if not optional and not all(ids):
        for index, text in enumerate(ids):
            if not text:
                reasons.setdefault(index, f"{what} is empty")
    return ids


def _id(value: Any, what: str, column: str, record: dict[str, Any], reasons: dict[int, str], index: int) -> str | None:
    match value:
        case str():
            return value
        case bool():
            pass
        case int():
            return str(value)
        case float() if value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        case None:
            return None
    if value is _ABSENT:
        if record:
            reasons.setdefault(index, _missing(column, record))
        return None
    reasons.setdefault(index, f"{what} is neither text nor a whole number: {shorten(value)}")
    return None


def _missing(column: str, record: dict[str, Any]) -> str:
    there = ", ".join(list(record)[:8]) or "none"
    return f"column {column} is missing: the record has {there}"


def _require(column: str, values: list[Any], records: list[dict[str, Any]], reasons: dict[int, str]) -> None:
    for index, value in enumerate(values):
        if value is None or value is _ABSENT or value == "":
            reasons.setdefault(index, f"required column {column} is empty")


def _without(columns: list[Any], reasons: dict[int, str], count: int) -> list[Any]:
    """Return the columns with rejected rows emptied: nothing half-read is kept, the raw part has it all."""
    mask = [index not in reasons for index in range(count)]
    keep = pa.array(mask)
    return [pc.if_else(keep, column, pa.scalar(None, column.type)) for column in columns]
