"""Whole columns of values, as `columns` reads them: ids, groups, what must be there, and why a record has none.

Belongs here: reading one column of many records, the reasons of those that are rejected for it, and batches without
these. Does not belong here: which column is what (`columns`), where a value stands in one record (`column`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.rejection import Rejected
from posthog_assets.core.schemas import STAGED_EVENTS
from posthog_assets.dialects.column import ABSENT, Column
from posthog_assets.dialects.notes import notes_of
from posthog_assets.dialects.record import as_id, group_keys

Made = TypeVar("Made")


def take_out(record: dict[str, Any], keys: list[str]) -> None:
    """Leave the value at a path out of a record, with the objects around it that hold nothing else."""
    head, *rest = keys
    inner = record.get(head)
    if not rest:
        record.pop(head, None)
    elif isinstance(inner, dict):
        # Another record may hold the same object.
        left = dict(inner)
        take_out(left, rest)
        if left:
            record[head] = left
        else:
            del record[head]


def each(write: Callable[[Any], Made], records: list[dict[str, Any]], reasons: dict[int, str]) -> list[Made | None]:
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


def ids_of(
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


def one_of_two(
    column: Column, records: list[dict[str, Any]], what: str, flaws: list[tuple[int, str]]
) -> list[str | None]:
    """Return ids as `ids_of` does, None where a record has none, or something else: the other column may have one."""
    ids: list[str | None] = []
    for index, value in enumerate(column.values(records)):
        if type(value) is not str:
            try:
                value = None if value is ABSENT else as_id(value, what)
            except Rejected as flaw:
                value = None
                flaws.append((index, str(flaw)))
        ids.append(value if value and not value.isspace() else None)
    return ids


def _id(value: Any, what: str, column: str, record: dict[str, Any], reasons: dict[int, str], index: int) -> str | None:
    if type(value) is str:
        return value
    if value is ABSENT:
        if record:
            reasons.setdefault(index, missing(column, record))
        return None
    try:
        return as_id(value, what)
    except Rejected as reason:
        reasons.setdefault(index, str(reason))
        return None


def missing(column: str, record: dict[str, Any]) -> str:
    return f"column {column} is missing: the record has {_there(record)}"


def nobody(columns: tuple[Column, ...], record: dict[str, Any]) -> str:
    names = " and ".join(column.column for column in columns)
    if any(column.values([record])[0] is not ABSENT for column in columns):
        return f"columns {names} are both empty"
    return f"columns {names} are missing: the record has {_there(record)}"


def _there(record: dict[str, Any]) -> str:
    return ", ".join(list(record)[:8]) or "none"


def require(column: str, values: list[Any], records: list[dict[str, Any]], reasons: dict[int, str]) -> None:
    for index, value in enumerate(values):
        if value is None or value is ABSENT or value == "":
            reasons.setdefault(index, f"required column {column} is empty")


def groups_of(
    columns: Mapping[str, Column], records: list[dict[str, Any]], reasons: dict[int, str]
) -> list[bytes | None]:
    """Return each record's keys by group type as JSON text, None where it has none."""
    texts: list[bytes | None] = []
    for index, record in enumerate(records):
        try:
            keys = group_keys(columns, record)
        except Rejected as reason:
            reasons.setdefault(index, str(reason))
            keys = {}
        texts.append(orjson.dumps(keys) if keys else None)
    return texts


def in_order(batch: pa.RecordBatch, others: pa.RecordBatch, indices: list[int]) -> pa.RecordBatch:
    """Return the rows of both, those of *others* at *indices*, with the notes of both."""
    count = batch.num_rows + len(indices)
    notes = notes_of(batch.schema.metadata)
    notes.add(notes_of(others.schema.metadata))
    order = np.empty(count, np.int64)
    order[np.delete(np.arange(count), indices)] = np.arange(batch.num_rows)
    order[indices] = np.arange(batch.num_rows, count)
    both = [rows.replace_schema_metadata(STAGED_EVENTS.metadata) for rows in (batch, others)]
    (together,) = pa.Table.from_batches(both).combine_chunks().to_batches()
    return notes.on(together.take(pa.array(order)))


def without_rejected(columns: list[Any], reasons: dict[int, str], count: int) -> list[Any]:
    """Return the columns with rejected rows emptied: nothing half-read is kept, the raw part has it all."""
    mask = [index not in reasons for index in range(count)]
    keep = pa.array(mask)
    return [pc.if_else(keep, column, pa.scalar(None, column.type)) for column in columns]
