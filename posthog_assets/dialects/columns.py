"""The dialect of anybody's own table: the import file says which column is what.

Belongs here: reading records by column. Does not belong here: any vendor's conventions.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, PrivateAttr, model_validator

from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.json_records import Unparsed
from posthog_assets.core.records import RecordChunk, Unreadable
from posthog_assets.core.rejection import Rejected, reason_head
from posthog_assets.core.timestamps import read_timestamps
from posthog_assets.dialects.base import Dialect
from posthog_assets.dialects.column import ABSENT, Column, TimestampColumn, Value
from posthog_assets.dialects.column_kinds import TYPES_DESCRIPTION, Types, as_declared, as_kind, converters
from posthog_assets.dialects.column_lines import Chosen, lines_of, lines_source, unfilled
from posthog_assets.dialects.column_values import (
    each,
    groups_of,
    ids_of,
    in_order,
    missing,
    nobody,
    one_of_two,
    require,
    take_out,
    without_rejected,
)
from posthog_assets.dialects.notes import Notes
from posthog_assets.dialects.record import PERSONAL, extract_person_properties, read_own_groups
from posthog_assets.dialects.rows import whole_batch


class Columns(Dialect):
    """Records whose columns the import file names. A column used for an id, the name or the time is no property."""

    type: str = "columns"
    timezone_setting: ClassVar[str | None] = "timestamp.timezone"

    #: Whether lines of JSON are read by a function made for the settings (`column_lines`), or column by column, which
    #: is slower and gives the same.
    compiled: ClassVar[bool] = True
    _reads_lines: bool = PrivateAttr(True)
    #: Lines that it was given, and those of them that were read closely.
    _looked_at: int = PrivateAttr(0)
    _others: int = PrivateAttr(0)

    event: Value | Column = Field(description="Name of the event: {column: …}, or {value: …} for all records")
    user_id: Column | None = Field(None, description="Column of the id of a known user")
    anonymous_id: Column | None = Field(None, description="Column of the id of a device, or of a visitor")
    timestamp: TimestampColumn = Field(description="Column of the time of the event")
    source_id: Column | None = Field(None, description="Absent: derived from the record's content")
    properties: Literal["all"] | list[str] = Field("all", description="Columns that become properties")
    person_properties: list[str] = Field(default_factory=list, description="Columns that are the person's")
    groups: dict[str, Column] = Field(default_factory=dict, description="Group type -> column of the group's key")
    required: list[str] = Field(default_factory=list, description="Columns a record must have a value in")
    nulls: list[str] = Field(default_factory=lambda: [""], description="Texts of CSV that mean nothing is there")
    types: Types = Field("infer", description=TYPES_DESCRIPTION)

    @model_validator(mode="after")
    def _has_somebody(self) -> Columns:
        if self.user_id is None and self.anonymous_id is None:
            raise ValueError("needs user_id or anonymous_id, such as user_id: {column: user}")
        return self

    @property
    def links_identities(self) -> bool:
        return self.user_id is not None and self.anonymous_id is not None

    @property
    def texts_of_nothing(self) -> frozenset[str]:
        return frozenset(self.nulls)

    @property
    def time_column(self) -> str:
        return self.timestamp.column

    @property
    def time_form(self) -> tuple[str | None, str | None]:
        return self.timestamp.format, self.timestamp.unit

    @property
    def given_timezone(self) -> str | None:
        return self.timestamp.timezone if "timezone" in self.timestamp.model_fields_set else None

    def with_timezone(self, zone: str) -> Self:
        return self.model_copy(update={"timestamp": self.timestamp.model_copy(update={"timezone": zone})})

    def timestamps(self, records: list[dict[str, Any]]) -> tuple[pa.Array, dict[int, str]]:
        """Return each record's instant and the reasons of those that have none; subclasses may compute it."""
        values = self.timestamp.values(records)
        if ABSENT in values:
            values = [None if value is ABSENT else value for value in values]
        how = self.timestamp
        return read_timestamps(values, how.timezone, how.format, how.unit, self._window)

    def stage(self, chunk: RecordChunk, part: str) -> pa.RecordBatch:
        """Return one `STAGED_EVENTS` row per record of *chunk*; the records are used up."""
        records = chunk.records
        if (
            not (self._reads_lines and self.compiled and _reads_alike(type(self)))
            or not isinstance(records, Unparsed) or records.has_long_numbers or chunk.untyped
        ):  # fmt: skip
            return self._stage_closely(chunk, part)
        batch, others = self._stage_lines(records.texts, chunk.positions, part)
        self._looked_at, self._others = self._looked_at + len(records), self._others + len(others)
        if not others:
            return batch
        # Records of a kind that is always read closely are not read twice for ever.
        self._reads_lines = self._looked_at < _TELLING or 2 * self._others < self._looked_at
        rest = records.chosen(others)
        positions = [chunk.positions[index] for index in others]
        closely = self._stage_closely(RecordChunk(positions, rest, remarks=rest.remarks), part)
        return in_order(batch, closely, others)

    @property
    def _chosen(self) -> Chosen:
        return Chosen(
            event=self.event.column if isinstance(self.event, Column) else None,
            user_id=self.user_id.column if self.user_id else None,
            anonymous_id=self.anonymous_id.column if self.anonymous_id else None,
            timestamp=self.timestamp.column,
            source_id=self.source_id.column if self.source_id else None,
            properties=None if self.properties == "all" else tuple(self.properties),
            person_properties=tuple(self.person_properties),
            required=tuple(self.required),
            has_groups=bool(self.groups),
            takes_out=self.edition > 1,
        )

    def lines_source(self) -> str:
        """Return the source of the function that reads lines of JSON; raises ImportFileError where none is made."""
        if not (self.compiled and _reads_alike(type(self))):
            raise ImportFileError(f"{type(self).__name__} reads records column by column, by no compiled function")
        return lines_source(self._chosen)

    def _stage_lines(self, texts: list[bytes], positions: Sequence[int], part: str) -> tuple[pa.RecordBatch, list[int]]:
        """Return the rows of those lines that are as most are, and the indices of the others."""
        columns = unfilled()
        others, noted = lines_of(self._chosen)(self, texts, columns)
        places = np.delete(np.asarray(positions), others) if others else positions
        source_ids, events, users, anonymous, times, *objects = columns
        how, notes = self.timestamp, Notes()
        stamps, flaws = read_timestamps(times, how.timezone, how.format, how.unit, self._window)
        count, nothing = len(source_ids), pa.nulls(len(source_ids), pa.string())
        name = self.event.value if isinstance(self.event, Value) else None
        properties, people, groups = (column.array() if column.ends else nothing for column in objects)
        arrays = [
            pa.array(source_ids, pa.string()),
            pa.repeat(pa.scalar("event", pa.string()), count),
            pa.array(events, pa.string()) if name is None else pa.repeat(pa.scalar(name, pa.string()), count),
            pa.array(users, pa.string()) if users else nothing,
            pa.array(anonymous, pa.string()) if anonymous else nothing,
            stamps, properties, people, nothing, groups, nothing,
        ]  # fmt: skip
        batch = whole_batch(arrays, {}, part, places)
        if flaws:
            # Why a time cannot be read is said by whoever reads the record closely.
            kept = np.delete(np.arange(len(texts)), others)
            flawed = [int(kept[place]) for place in flaws]
            batch = batch.filter(pa.array([place not in flaws for place in range(count)]))
            others = sorted([*others, *flawed])
            noted = [note for note in noted if note[0] not in flawed]
        for _, names in noted:
            for left_out in names:
                notes.leave_out(left_out)
        return notes.on(batch), others

    def _stage_closely(self, chunk: RecordChunk, part: str) -> pa.RecordBatch:
        """Return the rows of any records, column by column."""
        count = len(chunk.records)
        reasons: dict[int, str] = {}
        notes = Notes()
        records = self._readable(chunk, reasons)
        columns = self._read(records, chunk.untyped, reasons, notes)
        if reasons:
            columns = without_rejected(columns, reasons, count)
        batch = whole_batch(columns, reasons, part, chunk.positions)
        notes.add(Notes(remarks=chunk.remarks))
        return notes.on(batch)

    def _readable(self, chunk: RecordChunk, reasons: dict[int, str]) -> list[dict[str, Any]]:
        records: list[Any] = list(chunk.used_up())
        if Unreadable in set(map(type, records)):
            reasons.update((i, record.reason) for i, record in enumerate(records) if isinstance(record, Unreadable))
            records = [{} if isinstance(record, Unreadable) else record for record in records]
        if chunk.untyped:
            nulls = set(self.nulls)
            return [{key: value for key, value in record.items() if value not in nulls} for record in records]
        return records

    def _read(self, records: list[dict[str, Any]], untyped: bool, reasons: dict[int, str], notes: Notes) -> list[Any]:
        """Return the columns from source_id to group_set; adds to *reasons* and *notes*."""
        for column in self.required:
            require(column, Column(column=column).values(records), records, reasons)
        stamps, flaws = self.timestamps(records)
        if flaws:
            self._explain_times(flaws, records, reasons)
        events = self._names(records, reasons)
        users, anonymous = self._people(records, reasons, notes)
        sources = ids_of(self.source_id, records, "source_id", reasons, optional=False)
        if sources is None:
            sources = each(self.id_of_content, records, reasons)
        groups = self._groups(records, reasons)
        if self.properties != "all":
            self._count_left_out(records, reasons, notes)
        last, first = self._person(records, untyped, reasons)
        count = len(records)
        return [
            pa.array(sources, pa.string()),
            pa.array(["event"], pa.string()).take(pa.array([0] * count, pa.int32())),
            pa.array(events, pa.string()),
            pa.array(users, pa.string()) if users else pa.nulls(count, pa.string()),
            pa.array(anonymous, pa.string()) if anonymous else pa.nulls(count, pa.string()),
            stamps,
            self._properties(records, untyped, reasons),
            pa.array(last, pa.string()) if last else pa.nulls(count, pa.string()),
            pa.array(first, pa.string()) if first else pa.nulls(count, pa.string()),
            pa.array(groups, pa.string()) if groups else pa.nulls(count, pa.string()),
            pa.nulls(count, pa.string()),
        ]

    def _explain_times(self, flaws: dict[int, str], records: list[dict[str, Any]], reasons: dict[int, str]) -> None:
        values = self.timestamp.values(records)
        for index, flaw in flaws.items():
            absent = values[index] is ABSENT and flaw == "timestamp is empty"
            if " as " in flaw and "since 1970" in flaw:
                flaw = f"{flaw}; dialect.timestamp.format or dialect.timestamp.unit settles it"
            reasons.setdefault(index, missing(self.timestamp.column, records[index]) if absent else flaw)

    def _names(self, records: list[dict[str, Any]], reasons: dict[int, str]) -> list[str | None]:
        if isinstance(self.event, Value):
            return [self.event.value] * len(records)
        names = ids_of(self.event, records, "event", reasons, optional=False)
        return names or []

    def _person(
        self, records: list[dict[str, Any]], untyped: bool, reasons: dict[int, str]
    ) -> tuple[list[bytes | None], list[bytes | None]]:
        """Return what is set and what is set once of each record's person, as JSON text; no list where nothing is."""
        last: list[dict[str, Any]] = []
        if self.person_properties:
            last = [{key: record[key] for key in self.person_properties if key in record} for record in records]
            last = [self._typed(said) for said in last] if untyped else last
        first: list[dict[str, Any]] = []
        has_groups = self.properties == "all" or "$groups" in self.properties
        for index, record in enumerate(records):
            if has_groups and "$groups" in record:
                try:
                    read_own_groups(record)
                except Rejected as reason:
                    reasons.setdefault(index, str(reason))
            if "$set" in record or "$set_once" in record or "$unset" in record:
                last, first = last or [{} for _ in records], first or [{} for _ in records]
                self._set_apart(index, record, last, first, reasons)
        return each(self._object_text, last, reasons), each(self._object_text, first, reasons)

    def _set_apart(
        self,
        index: int,
        record: dict[str, Any],
        last: list[dict[str, Any]],
        first: list[dict[str, Any]],
        reasons: dict[int, str],
    ) -> None:
        """Add what the columns `$set` and `$set_once` say, if they are chosen, to what is known of the person."""
        chosen = [name for name in PERSONAL if self.properties == "all" or name in self.properties]
        said = {name: record.pop(name) for name in chosen if name in record}
        try:
            told, told_first = extract_person_properties(said, self.keep_unset)
        except Rejected as reason:
            reasons.setdefault(index, str(reason))
            return
        record.update(said)
        first[index] = {name: value for name, value in told_first.items() if name not in told}
        last[index] = {name: value for name, value in last[index].items() if name not in first[index]} | told

    def _people(
        self, records: list[dict[str, Any]], reasons: dict[int, str], notes: Notes
    ) -> tuple[list[str | None] | None, list[str | None] | None]:
        """Return the user and the anonymous ids; of two columns a record needs an id in one."""
        if self.user_id is None or self.anonymous_id is None:
            return (
                ids_of(self.user_id, records, "user_id", reasons),
                ids_of(self.anonymous_id, records, "anonymous_id", reasons),
            )
        flaws: list[tuple[int, str]] = []
        users = one_of_two(self.user_id, records, "user_id", flaws)
        anonymous = one_of_two(self.anonymous_id, records, "anonymous_id", flaws)
        for index, flaw in flaws:
            if users[index] is None and anonymous[index] is None:
                reasons.setdefault(index, flaw)
            elif index not in reasons:
                notes.remark(f"{reason_head(flaw)}, so it counts as absent")
        if None in users and None in anonymous:
            columns = self.user_id, self.anonymous_id
            for index, both in enumerate(zip(users, anonymous, strict=True)):
                if both == (None, None):
                    reasons.setdefault(index, nobody(columns, records[index]))
        return users, anonymous

    def _count_left_out(self, records: list[dict[str, Any]], reasons: dict[int, str], notes: Notes) -> None:
        """Count the columns that the import file neither chooses nor uses."""
        known = self._known_columns
        for index, record in enumerate(records):
            if not record.keys() <= known and index not in reasons:
                for name in record.keys() - known:
                    if record[name] not in (None, ""):
                        notes.leave_out(name)

    @property
    def _known_columns(self) -> set[str]:
        """The columns that the import file chooses or uses, where it does not choose all."""
        used = [c for c in (self.event, self.user_id, self.anonymous_id, self.timestamp, self.source_id)
                if isinstance(c, Column)]  # fmt: skip
        paths = [column.column for column in (*used, *self.groups.values())]
        heads = (path.partition(".")[0] for path in paths)
        return {*paths, *heads, *self.properties, *self.person_properties, *self.required, *PERSONAL}

    def unknown_columns(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return which of a record's *names* the import file neither chooses nor uses, where it does not choose all."""
        known = self._known_columns
        return tuple(name for name in names if name not in known)

    def _groups(self, records: list[dict[str, Any]], reasons: dict[int, str]) -> list[bytes | None]:
        return groups_of(self.groups, records, reasons) if self.groups else []

    def _properties(self, records: list[dict[str, Any]], untyped: bool, reasons: dict[int, str]) -> pa.Array:
        if self.properties == "all":
            used = {c.column for c in (self.event, self.user_id, self.anonymous_id, self.timestamp, self.source_id)
                    if isinstance(c, Column)} | set(self.person_properties)  # fmt: skip
            for name in used:
                for record in records:
                    if name in record:
                        del record[name]
                    elif self.edition > 1 and "." in name:
                        take_out(record, name.split("."))
        else:
            records = [{key: record[key] for key in self.properties if key in record} for record in records]
        if untyped and self.types != "text":
            if self._kinds and self.types == "infer":
                self._convert(records)
            else:
                records = [self._typed(record) for record in records]
        # orjson writes valid UTF-8, so the bytes are text as they stand.
        return pa.array(each(self.dumps, records, reasons), pa.binary()).view(pa.string())

    def _object_text(self, value: dict[str, Any]) -> bytes | None:
        return self.dumps(value) if value else None

    def _typed(self, record: dict[str, Any]) -> dict[str, Any]:
        if self.types == "text":
            return record
        declared = self.types if isinstance(self.types, dict) else {}
        kind_of_column = self._kinds.get
        return {
            key: as_declared(value, declared[key]) if key in declared else as_kind(value, kind_of_column(key))
            for key, value in record.items()
        }

    def _convert(self, records: list[dict[str, Any]]) -> None:
        """Make numbers and booleans of the texts of records, as `_typed` does, where the columns are known."""
        for column, convert in converters(self._kinds):
            for record in records:
                if type(text := record.get(column)) is str:
                    record[column] = convert(text)


#: So many lines tell what most of a day's are like.
_TELLING: Final = 1_000

#: What a subclass may do in its own way, which the function made for the settings does not know.
_READING: Final = frozenset(
    {"timestamps", "dumps", "_readable", "_read", "_names", "_people", "_person", "_groups", "_properties"}
)


@functools.cache
def _reads_alike(kind: type[Columns]) -> bool:
    """Whether a class reads records as `Columns` does."""
    own = kind.__mro__[: kind.__mro__.index(Columns)]
    return all(_READING.isdisjoint(vars(one)) for one in own)
