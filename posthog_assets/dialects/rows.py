"""Rows while they are collected, and the batch made of them.

Belongs here: the columns that rows are added to, and what was noticed of rows. Does not belong here: reading a record
(`vendor`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from posthog_assets.core.schemas import STAGED_EVENTS
from posthog_assets.dialects.json_column import JsonColumn
from posthog_assets.dialects.notes import Notes

#: The columns of staged rows from source_id to group_set, those of JSON objects a `JsonColumn`; None in all of a
#: rejected row. In the place of instants stand the times as records have them, until all of a chunk were read. Last
#: come all clocks of each record, where its dialect knows several; None where they are to be looked up in its text.
RowColumns = tuple[Any, ...]

#: Index, fields left out, remarks. Not the row itself: its objects would stay in memory until the block is done.
Note = tuple[int, list[str] | None, list[str] | None]

#: The reasons of rejected records by their index, and the notes of rows that have some.
Noted = tuple[dict[int, str], list[Note]]

TIMES: Final = 5
CLOCKS: Final = 11


def empty_columns() -> RowColumns:
    """Return the columns that rows are added to."""
    return tuple(JsonColumn() if TIMES < number < CLOCKS else [] for number in range(CLOCKS + 1))


def notes_of_rows(found: Iterable[Note]) -> Notes:
    notes = Notes()
    fields: Counter[str] = Counter()
    kept = list(found)
    fields.update(chain.from_iterable(left_out for _, left_out, _ in kept if left_out))
    for sentence in chain.from_iterable(remarks for _, _, remarks in kept if remarks):
        notes.remark(sentence)
    for path, count in fields.items():
        notes.leave_out(path, count)
    return notes


def batch_of(columns: RowColumns, reasons: dict[int, str], part: str, positions: Sequence[int]) -> pa.RecordBatch:
    texts = [pa.array(column, pa.string()) for column in columns[:TIMES]]
    objects = [column.array(reasons) for column in columns[TIMES + 1 :]]
    return whole_batch([*texts, *columns[TIMES], *objects], reasons, part, positions)


def whole_batch(
    arrays: Sequence[pa.Array], reasons: dict[int, str], part: str, positions: Sequence[int] | npt.NDArray[np.int64]
) -> pa.RecordBatch:
    """Return the staged rows of the columns from source_id to group_set: with their places, and why some are rejected.

    *reasons* are by index, *positions* those of the records in *part*.
    """
    count, text = len(arrays[0]), pa.string()
    places = np.arange(positions.start, positions.stop) if isinstance(positions, range) else positions
    return pa.RecordBatch.from_arrays(
        [
            *arrays,
            pa.repeat(pa.scalar(part, text), count),
            pa.array(places, pa.int64()),
            pa.array([reasons.get(index) for index in range(count)] if reasons else pa.nulls(count), text),
        ],
        schema=STAGED_EVENTS,
    )
