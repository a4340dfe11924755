"""The `columns` dialect with a list of events: one record becomes several.

Belongs here: which of its events a record has, and their rows. Does not belong here: reading a record by column
(`columns`).

A user's row becomes `signed up` at `created_at` and `trial started` at `trial_at`. A record has those events whose
time has a value; one that has none is a rejected row, so that every record is a row still. The row of the first event
has the `event_number` 0, and so there are as many of these rows as raw records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from posthog_assets.core.instants import Window
from posthog_assets.core.records import RecordChunk, Unreadable
from posthog_assets.core.schemas import STAGED_EVENTS, STAGED_SEVERAL
from posthog_assets.core.sections import Section
from posthog_assets.dialects.column import ABSENT, Column, TimestampColumn, Value
from posthog_assets.dialects.column_kinds import Kind
from posthog_assets.dialects.columns import Columns
from posthog_assets.dialects.notes import Notes, notes_of

#: The rows of a batch take about this much at most, unless one row is larger.
_MOST_TOGETHER: Final = 16 << 20

#: Rows, and the index of each one's record.
_Rows = tuple[pa.RecordBatch, np.ndarray]


@dataclass(frozen=True, slots=True)
class _Read:
    """Records of a part with their positions there."""

    positions: Sequence[int]
    records: list[Any]
    untyped: bool
    part: str

    def some(self, start: int, stop: int) -> _Read:
        return _Read(self.positions[start:stop], self.records[start:stop], self.untyped, self.part)


class OneEvent(Section):
    """One of the events a record becomes."""

    event: Value | Column = Field(description="Name of this event")
    timestamp: TimestampColumn = Field(description="Column of its time")
    key: str | None = Field(
        None, min_length=1, description="Tells the events of a record apart in their uuids; absent: the event's name"
    )

    @property
    def mark(self) -> str:
        """What is added to the record's id: it must never change, or all events would get other uuids."""
        return self.key or (self.event.value if isinstance(self.event, Value) else self.event.column)


class SeveralEvents(Columns):
    """Records of which each becomes several events, at times of its own columns.

    All else is as for one event; a column that one of the events takes its time from is no property of the others.
    """

    timezone_setting: ClassVar[str | None] = "events.timestamp.timezone"
    compiled: ClassVar[bool] = False

    events: list[OneEvent] = Field(min_length=1, description="The events a record becomes, each with its time")
    event: None = None  # type: ignore[assignment]
    timestamp: None = None  # type: ignore[assignment]

    @field_validator("events")
    @classmethod
    def _can_be_told_apart(cls, value: list[OneEvent]) -> list[OneEvent]:
        marks = [event.mark for event in value]
        if twice := next((mark for mark in marks if marks.count(mark) > 1), None):
            raise ValueError(f"two events are called {twice!r}: give one of them a key, which goes into its uuids")
        return value

    @model_validator(mode="before")
    @classmethod
    def _says_each_time_once(cls, value: Any) -> Any:
        if isinstance(value, dict) and (said := [name for name in ("event", "timestamp") if value.get(name)]):
            raise ValueError(f"{' and '.join(said)} belong into each of events, not beside them")
        return value

    @property
    def staged_schema(self) -> pa.Schema:
        return STAGED_SEVERAL

    @property
    def time_column(self) -> str:
        return self.events[0].timestamp.column

    @property
    def time_form(self) -> tuple[str | None, str | None]:
        return self.events[0].timestamp.format, self.events[0].timestamp.unit

    def within(self, window: Window) -> Self:
        other = super().within(window)
        # A copy has the readers too, which do not know the window.
        other.__dict__.pop("_readers", None)
        return other

    def with_column_kinds(self, kinds: Mapping[str, Kind]) -> Self:
        other = super().with_column_kinds(kinds)
        other.__dict__.pop("_readers", None)
        return other

    @property
    def given_timezone(self) -> str | None:
        zones = {event.timestamp.timezone if _says_zone(event) else None for event in self.events}
        return zones.pop() if len(zones) == 1 else None

    def with_timezone(self, zone: str) -> Self:
        events = [
            event if _says_zone(event) else event.model_copy(
                update={"timestamp": event.timestamp.model_copy(update={"timezone": zone})}
            )
            for event in self.events
        ]  # fmt: skip
        return type(self).model_validate(self._shared | {"events": events})

    @property
    def _shared(self) -> dict[str, Any]:
        """The settings that all events have in common, as far as they are set."""
        return {name: getattr(self, name) for name in self.model_fields_set - {"event", "timestamp", "events"}}

    @cached_property
    def _readers(self) -> list[Columns]:
        """What reads each of the events, as if it were the only one."""
        readers = [
            Columns.model_validate(self._shared | {"event": event.event, "timestamp": event.timestamp})
            for event in self.events
        ]
        readers = [reader.with_column_kinds(self._kinds) for reader in readers]
        return [reader.within(self._window) if self._window else reader for reader in readers]

    @property
    def events_per_record(self) -> int:
        return len(self.events)

    def stage(self, chunk: RecordChunk, part: str) -> pa.RecordBatch:
        """Return one `STAGED_SEVERAL` row per event of each record of *chunk*; the records are used up."""
        read = _Read(chunk.positions, list(chunk.used_up()), chunk.untyped, part)
        notes = Notes(remarks=dict(chunk.remarks))
        return notes.on(self._in_order([*self._by_event(read, notes)], notes))

    def batches(self, chunk: RecordChunk, part: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows that `stage` returns, those of a few records at a time where they are long.

        Each event repeats the properties of its record: of a record of 4 MB, ten events are 40 MB.
        """
        read = _Read(chunk.positions, list(chunk.used_up()), chunk.untyped, part)
        remarks = dict(chunk.remarks)
        for batch in self._within_bounds(read):
            # Once: they are of the chunk.
            notes = notes_of(batch.schema.metadata)
            notes.add(Notes(remarks=remarks))
            remarks = {}
            yield notes.on(batch)

    def _within_bounds(self, read: _Read) -> Iterator[pa.RecordBatch]:
        """Yield the rows of records, of half of them at a time where they take more than `_MOST_TOGETHER`."""
        notes, held = Notes(), 0
        found: list[_Rows] = []
        for rows in self._by_event(read, notes):
            held += rows[0].nbytes
            # The other events are about as long as the first one.
            if held * (1 if found else len(self.events)) > _MOST_TOGETHER:
                break
            found.append(rows)
        else:
            yield notes.on(self._in_order(found, notes))
            return
        del rows, found
        if (count := len(read.records)) > 1:
            yield from self._within_bounds(read.some(0, count // 2))
            yield from self._within_bounds(read.some(count // 2, count))
            return
        # Of one record the rows are in order as they come.
        notes = Notes()
        for batch, _ in self._by_event(read, notes):
            yield self._noted(notes).on(batch)
            notes.fields_left_out, notes.remarks = {}, {}

    def _by_event(self, read: _Read, notes: Notes) -> Iterator[_Rows]:
        """Yield the rows of each event with the indices of their records, then the rejected records'; adds to *notes*.

        The records are not used up.
        """
        readable = [index for index, record in enumerate(read.records) if isinstance(record, dict)]
        numbers = np.zeros(len(read.records), np.int64)
        for event, reader in zip(self.events, self._readers, strict=True):
            chosen = self._having(event, read.records, readable, read.untyped)
            if not len(chosen):
                continue
            rows = reader.stage(self._part_of(read, chosen, event), read.part)
            notes.add(notes_of(rows.schema.metadata))
            yield _marked(rows, event.mark, numbers[chosen]), chosen
            numbers[chosen] += 1
        without = np.flatnonzero(numbers == 0)
        if len(without):
            yield self._rejected(read, without), without

    def _in_order(self, found: list[_Rows], notes: Notes) -> pa.RecordBatch:
        """Return all rows as one batch, those of a record together; leaves the events' times out of *notes*."""
        self._noted(notes)
        if not found:
            return pa.RecordBatch.from_pylist([], schema=STAGED_SEVERAL)
        # Stable: the events of a record stay in the order of the list.
        order = np.argsort(np.concatenate([places for _, places in found]), kind="stable")
        table = pa.Table.from_batches([rows for rows, _ in found]).take(pa.array(order))
        return table.combine_chunks().to_batches()[0]

    def _noted(self, notes: Notes) -> Notes:
        for event in self.events:
            # Left out of the others' events, not of the record.
            notes.fields_left_out.pop(event.timestamp.column, None)
        return notes

    def _having(self, event: OneEvent, records: list[Any], readable: list[int], untyped: bool) -> np.ndarray:
        """Return the indices of the records whose time of *event* has a value."""
        values = event.timestamp.values([records[index] for index in readable])
        empty: set[Any] = {None, ABSENT, *(self.nulls if untyped else [""])}
        has_time = [isinstance(value, dict | list) or value not in empty for value in values]
        return np.array(readable, np.int64)[np.array(has_time, bool)]

    def _part_of(self, read: _Read, chosen: np.ndarray, event: OneEvent) -> RecordChunk:
        """Return copies of some records, without the times of other events where all columns are properties."""
        others = {one.timestamp.column for one in self.events} - {event.timestamp.column}
        left_out = others if self.properties == "all" else set()
        copies = [
            {key: value for key, value in read.records[index].items() if key not in left_out}
            for index in chosen.tolist()
        ]
        return RecordChunk([read.positions[index] for index in chosen.tolist()], copies, read.untyped)

    def _rejected(self, read: _Read, which: np.ndarray) -> pa.RecordBatch:
        """Return a rejected row for each record that has no event."""
        columns = ", ".join(dict.fromkeys(event.timestamp.column for event in self.events))
        reasons = [
            record.reason if isinstance(record := read.records[index], Unreadable)
            else f"none of its events has a time: {columns} are empty"
            for index in which.tolist()
        ]  # fmt: skip
        rows = {
            "raw_part": [read.part] * len(which),
            "raw_line": [read.positions[index] for index in which.tolist()],
            "reject_reason": reasons,
            "event_number": [0] * len(which),
        }
        arrays = [
            pa.array(rows[item.name], item.type) if item.name in rows else pa.nulls(len(which), item.type)
            for item in STAGED_SEVERAL
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=STAGED_SEVERAL)


def _says_zone(event: OneEvent) -> bool:
    return "timezone" in event.timestamp.model_fields_set


def _marked(rows: pa.RecordBatch, mark: str, numbers: np.ndarray) -> pa.RecordBatch:
    """Return rows of one event with its mark in their ids, and its number among the record's events."""
    arrays = dict(zip(STAGED_EVENTS.names, rows.columns, strict=True))
    arrays["source_id"] = pc.binary_join_element_wise(arrays["source_id"], mark, "#")
    return pa.RecordBatch.from_arrays([*arrays.values(), pa.array(numbers, pa.int64())], schema=STAGED_SEVERAL)
