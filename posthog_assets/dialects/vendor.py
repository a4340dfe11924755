"""A vendor's dialect as data: tables of field paths, and the machinery that reads records by them.

Belongs here: what all vendors' dialects share. Does not belong here: any vendor's field, or the user's own columns
(`columns`).

A dialect is a subclass of `Vendor` whose class attributes say where things stand; a small method says what a table
cannot. Nothing a record holds may stop the day: a record that cannot be read is a row with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field

from posthog_assets.core.errors import shorten
from posthog_assets.core.json_records import Unparsed
from posthog_assets.core.records import RecordChunk, Unreadable
from posthog_assets.core.rejection import Rejected
from posthog_assets.core.timestamps import read_timestamps
from posthog_assets.dialects.base import Dialect
from posthog_assets.dialects.clocks import add_instants
from posthog_assets.dialects.column import Column, inferred
from posthog_assets.dialects.column_kinds import TYPES_DESCRIPTION, Types, as_declared, as_kind
from posthog_assets.dialects.compiled import Code
from posthog_assets.dialects.members import Members
from posthog_assets.dialects.notes import Notes
from posthog_assets.dialects.paths import Getter, Table, first_of, has_path
from posthog_assets.dialects.reading import Reading, read_ids, trim_groups, written
from posthog_assets.dialects.record import (
    Record,
    as_id,
    extract_person_properties,
    group_keys,
    is_nothing,
    nested,
    own_name,
    read_own_groups,
)
from posthog_assets.dialects.rows import CLOCKS, Note, Noted, RowColumns, batch_of, empty_columns, notes_of_rows
from posthog_assets.dialects.straight import write_left_out, write_name, write_tables
from posthog_assets.dialects.vendor_functions import FLAWS, fields_of, lines_of, not_of, rows_of


class Vendor(Dialect):
    """Records of one analytics product."""

    #: Where the event's name stands; where the first that has a value counts.
    event: ClassVar[str] = "event"
    source_id: ClassVar[tuple[str, ...]] = ()
    user_id: ClassVar[tuple[str, ...]] = ()
    anonymous_id: ClassVar[tuple[str, ...]] = ()
    timestamp: ClassVar[tuple[str, ...]] = ("timestamp",)
    #: Further clocks, which count only where the record has one of `timestamp` and none of them can be true.
    arrival: ClassVar[tuple[str, ...]] = ()

    #: The vendor's event name -> PostHog's.
    names: ClassVar[Mapping[str, str]] = {}
    #: Events PostHog makes itself or has no use for -> why; counted, not imported.
    left_out: ClassVar[Mapping[str, str]] = {}

    #: Field -> property. What `spread` brings wins over it.
    properties: ClassVar[Mapping[str, str]] = {}
    #: Objects whose members all become properties, under `renames`, less `dropped`.
    spread: ClassVar[tuple[str, ...]] = ()
    #: Member -> property, of what is spread, and of flat records (`take`).
    renames: ClassVar[Mapping[str, str]] = {}
    dropped: ClassVar[frozenset[str]] = frozenset()
    #: Fields that are not imported -> why; `context.page` stands for all of that object. What no table names is not
    #: imported either, but counted.
    not_imported: ClassVar[Mapping[str, str]] = {}
    #: Whether all fields that no table names become properties (`take`).
    takes_others: ClassVar[bool] = False

    #: Field -> person property; for the first value known, and for the last.
    person_set: ClassVar[Mapping[str, str]] = {}
    person_set_once: ClassVar[Mapping[str, str]] = {}

    #: Texts that mean there is no value.
    nothing: ClassVar[frozenset[str]] = frozenset({""})

    #: Whether `read` makes an id of its own for a record that has none; otherwise its content stands for it.
    makes_ids: ClassVar[bool] = False

    #: CSV has text in every field. Fields `read` looks into itself, as `spread` and paths do, which hold objects;
    objects: ClassVar[frozenset[str]] = frozenset()
    #: those that hold numbers or booleans;
    numbers: ClassVar[frozenset[str]] = frozenset()
    #: and, where all that no table names becomes a property (None: it does not), those of them that stay text.
    texts: ClassVar[frozenset[str] | None] = None

    #: Whether records are read by functions that are compiled from the tables, or by looking at these each time, which
    #: is slower and gives the same.
    compiled: ClassVar[bool] = True

    #: Field paths by which a record is known to be the vendor's, where all paths of one tuple are there; the tuple
    #: that is found first counts, so the closest match stands first.
    marks: ClassVar[tuple[tuple[str, ...], ...]] = ()

    #: What a table cannot say, for the documentation: (field, becomes).
    notes: ClassVar[tuple[tuple[str, str], ...]] = ()

    keep: list[str] = Field(
        default_factory=list, description="Events to import as they are, which this dialect would leave out or rename"
    )

    types: Types = Field("infer", description=TYPES_DESCRIPTION)
    groups: dict[str, Column] = Field(
        default_factory=dict, description="Group type -> property that holds the group's key, beside the vendor's own"
    )

    _tables: ClassVar[tuple[Table, Table | None, Table | None]]
    _nothing: ClassVar[tuple[str, ...]]
    _unwanted: ClassVar[dict[str, str | None]]
    _clocks: ClassVar[tuple[Getter, ...]]
    _first: ClassVar[tuple[Getter, Getter, Getter, Getter, Getter]]
    _holders: ClassVar[frozenset[str]]
    _known: ClassVar[frozenset[str]]
    _fields: ClassVar[Callable[[Vendor, Record], Reading]]
    _members: ClassVar[Members]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        people = (Table(names) if names else None for names in (cls.person_set, cls.person_set_once))
        cls._tables = Table(cls.properties), *people  # type: ignore[assignment]
        cls._nothing = tuple(sorted(cls.nothing))
        cls._unwanted = dict(cls.renames) | dict.fromkeys(sorted(cls.dropped))
        cls._first = (
            first_of((cls.event,)), first_of(cls.source_id), first_of(cls.user_id), first_of(cls.anonymous_id),
            first_of(cls.timestamp),
        )  # fmt: skip
        clocks = (*cls.timestamp, *cls.arrival)
        cls._clocks = tuple(first_of((path,)) for path in clocks) if len(clocks) > 1 else ()
        paths = (
            cls.event, *cls.source_id, *cls.user_id, *cls.anonymous_id, *cls.timestamp, *cls.properties,
            *cls.person_set, *cls.person_set_once,
        )  # fmt: skip
        heads = {head for head, dot, _ in (path.partition(".") for path in paths) if dot}
        cls._holders = cls.objects | heads | frozenset(cls.spread)
        cls._known = frozenset((*paths, *cls.renames, *cls.dropped, *(cls.texts or ())))
        cls._fields = staticmethod(fields_of(cls) if cls.compiled else cls.fields_by_tables)
        cls._members = Members((*paths, *cls.not_imported, *cls.objects), cls.objects | frozenset(cls.spread))

    @classmethod
    def recognize(cls, record: Record) -> tuple[str, ...]:
        """Return the first of `marks` all of whose paths *record* has; a record that was not unfolded counts too."""
        return next((paths for paths in cls.marks if all(has_path(record, path) for path in paths)), ())

    @property
    def day_columns(self) -> tuple[str, ...]:
        return self.timestamp

    @property
    def links_identities(self) -> bool:
        return bool(self.user_id and self.anonymous_id)

    @classmethod
    def members(cls) -> Members:
        """Return which members of a record the tables name."""
        return cls._members

    def unknown_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return which of a record's *names* neither a table names nor `read` knows."""
        return tuple(name for name in self._members.unknown(names) if not self.is_known(name))

    @classmethod
    def write_reader(cls, code: Code) -> dict[str, Any]:
        """Write how a record becomes a row, for the loop over lines (`straight`); a dialect with a `read` has its own.

        It sets `event`, `source_id`, `user_id`, `anonymous_id`, `time` and the objects `into` (properties), `last` and
        `first` (of the person), besides `kind`, `of_groups`, `said` (of groups) where they are not those of an event,
        and raises `Odd` for a record that `read` is to have. Returned is what its lines call, by name.
        """
        write_left_out(code, cls)
        if "." in cls.event:
            code.add("raise Odd")
        write_name(code, f"get({cls.event!r})")
        write_tables(code, cls)
        return {}

    def is_known(self, field: str) -> bool:
        """Whether `read` knows a field of a record that no table names."""
        return False

    def read(self, record: Record) -> Reading:
        """Return *record* as the tables say; subclasses add what they cannot say. The record may be used up.

        Raises:
            Rejected: it cannot become an event.
        """
        name = self.named(self._first[0](record))
        reading = self.fields(record)
        reading.event = name
        return reading

    def fields(self, record: Record) -> Reading:
        """Return all the tables say of *record* but its name, for records that are named otherwise; raises Rejected."""
        return type(self)._fields(self, record)

    def fields_by_tables(self, record: Record) -> Reading:
        """Return what `fields` does, by looking at one entry of the tables after the other."""
        reading, nothing = Reading(), self._nothing
        _, source_id, user_id, anonymous_id, timestamp = self._first
        reading.source_id = source_id(record)
        reading.user_id = user_id(record)
        reading.anonymous_id = anonymous_id(record)
        reading.timestamp = timestamp(record)
        if self._clocks:
            reading.clocks = tuple(clock(record) for clock in self._clocks)
        table, person_set, person_set_once = self._tables
        table.read(record, reading.properties, nothing)
        if person_set:
            person_set.read(record, reading.set, nothing)
        if person_set_once:
            person_set_once.read(record, reading.set_once, nothing)
        for field in self.spread:
            if members := record.get(field):
                self.spread_out(members, reading.properties)
        return reading

    def named(self, name: Any) -> str:
        """Return PostHog's name of the vendor's event *name*; raises Rejected."""
        name = own_name(name)
        if name in self.keep:
            return name
        if name in self.left_out:
            raise Rejected(f"left out, {self.left_out[name]}: {name}")
        return self.names.get(name, name)

    def spread_out(self, members: Any, into: Record) -> None:
        """Add the members of an object to properties, renamed; raises Rejected where it is none."""
        if type(members) is not dict:
            raise Rejected(f"properties are no object: {shorten(members)}")
        if not self._unwanted.keys().isdisjoint(members):
            # In the tables' order: a set has another one in every process, and a day must give the same bytes again.
            for name, renamed in self._unwanted.items():
                if name in members:
                    value = members.pop(name)
                    if renamed is not None:
                        members.setdefault(renamed, value)
        into.update(members)

    def take(self, members: Record, into: Record) -> None:
        """Add the members of a flat record that have a value to properties, under `renames`, less `dropped`."""
        names, nothing = self._unwanted, self.nothing
        for key, value in members.items():
            if value is not None and not (type(value) is str and value in nothing):
                name = names.get(key, key)
                if name is not None:
                    into[name] = value

    def typed(self, record: Record) -> Record:
        """Return a record of CSV with objects, numbers and booleans in place of their texts; ids and names stay."""
        holders, numbers, known = self._holders, self.numbers, self._known
        infers = self.types != "text" and self.texts is not None
        declared = self.types if isinstance(self.types, dict) else {}
        if not (holders or numbers or infers):
            return record
        found: Record = {}
        for key, value in record.items():
            if value == "":
                value = None
            elif key in holders:
                value = nested(value)
            elif key in numbers:
                value = inferred(value)
            elif infers and key not in known:
                value = as_declared(value, declared[key]) if key in declared else as_kind(value, self._kinds.get(key))
            found[key] = value
        return found

    def instants(self, values: list[Any]) -> tuple[pa.Array, dict[int, str]]:
        """Return the instants that `timestamp` values name, and the reasons by index of those that name none.

        Called once for many records, at least one: it must raise for no value.
        """
        return read_timestamps(values, "UTC", window=self._window)

    def stage(self, chunk: RecordChunk, part: str) -> pa.RecordBatch:
        """Return one `STAGED_EVENTS` row per record of *chunk*; the records are used up."""
        columns = empty_columns()
        if not self.compiled:
            reasons, noted = self.rows_by_row(chunk.used_up(), chunk.untyped, columns)
        else:
            reasons, noted = self._rows(chunk, columns)
        texts = chunk.records.texts if isinstance(chunk.records, Unparsed) else []
        notes = add_instants(self, columns, reasons, texts)
        batch = batch_of(columns[:CLOCKS], reasons, part, chunk.positions)
        if noted:
            notes.add(notes_of_rows(note for note in noted if note[0] not in reasons))
        notes.add(Notes(remarks=chunk.remarks))
        return notes.on(batch)

    def _rows(self, chunk: RecordChunk, columns: RowColumns) -> Noted:
        """Do what `rows_by_row` does, by what is compiled from the tables."""
        texts = chunk.records
        if not isinstance(texts, Unparsed) or texts.has_long_numbers:
            rows = rows_of(type(self), of_texts=False, has_groups=bool(self.groups))
            return rows(self, chunk.used_up(), chunk.untyped, columns)
        rows = rows_of(type(self), of_texts=True, has_groups=bool(self.groups))
        lines = lines_of(type(self), has_groups=bool(self.groups))
        if lines is None or chunk.untyped:
            return rows(self, texts, chunk.untyped, columns)
        reasons: dict[int, str] = {}
        others: list[Note] = []

        def slowly(index: int, text: bytes) -> None:
            found, noted = rows(self, texts.only(text), chunk.untyped, columns)
            if found:
                reasons[index] = found[0]
            others.extend((index, left_out, remarks) for _, left_out, remarks in noted)

        return reasons, [*lines(self, texts.texts, columns, slowly), *others]

    def rows_by_row(self, records: Iterable[Record | Unreadable], untyped: bool, columns: RowColumns) -> Noted:
        """Add each record to *columns* as one row; return why some are rejected, by their index, and those with notes.

        What is compiled for each dialect does the same (`compiled.rows_source`).
        """
        reasons: dict[int, str] = {}
        noted: list[Note] = []
        for index, record in enumerate(records):
            values: Sequence[Any]
            try:
                row = self._row(record, untyped)
                if row.left_out or row.remarks:
                    noted.append((index, row.left_out, row.remarks))
                texts = written(row, self.dumps)
                head = (row.source_id, row.kind, row.event, row.user_id, row.anonymous_id, row.timestamp)
                values = (*head, *texts, row.clocks)
            except Rejected as reason:
                reasons[index] = str(reason)
                values = (None,) * len(columns)
            for column, value in zip(columns, values, strict=True):
                column.append(value)
        return reasons, noted

    def _row(self, record: Record | Unreadable, untyped: bool) -> Reading:
        if isinstance(record, Unreadable):
            raise Rejected(record.reason)
        try:
            # Made first: reading uses the record up, and how the texts of CSV are read must not change an id.
            fallback = self.id_of_content(record) if not self.makes_ids and is_nothing(self._first[1](record)) else None
            record = self.typed(record) if untyped else record
            left_out = None if self.takes_others else self._members.left_out(record, self.is_known)
            row = self.read(record)
            row.left_out = left_out
            told = row.properties
            if self.groups and row.kind != "group":
                row.groups = row.groups | group_keys(self.groups, told)
            if "$set" in told or "$set_once" in told or "$unset" in told:
                self._set_apart(row)
            if "$groups" in told:
                read_own_groups(told)
            if row.groups:
                trim_groups(row)
            row.source_id = as_id(row.source_id, "source id") or fallback
            read_ids(row)
        except FLAWS as error:
            raise not_of(self, error) from error
        if row.set and not row.set_once.keys().isdisjoint(row.set):
            row.set = {name: value for name, value in row.set.items() if name not in row.set_once}
        if row.source_id is None:
            raise Rejected("record has no id of its own")
        if row.user_id is None and row.anonymous_id is None and row.kind != "group":
            raise Rejected(f"record has no id of a user or device: {', '.join(self.user_id + self.anonymous_id)}")
        return row

    def _set_apart(self, row: Reading) -> None:
        last, first = extract_person_properties(row.properties, self.keep_unset)
        if row.kind == "group" and (last or first):
            raise Rejected("group call tells of a person: $set, $set_once")
        row.set_once = {name: value for name, value in (row.set_once | first).items() if name not in last}
        row.set = row.set | last
