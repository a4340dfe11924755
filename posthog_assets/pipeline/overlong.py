"""Staged rows that are far longer than any event.

Belongs here: rejecting them before they are written. Does not belong here: PostHog's limit for events (`mapping`),
which holds after properties are renamed, dropped and added.

Every step after this one holds a row some dozens of times, so that a few hundred long rows would fill the memory.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

# Arrow makes its functions when it is imported; type checkers cannot see them.
pc: Any = pyarrow.compute

#: PostHog takes no event above 1 MB; what a mapping leaves out of a record may be longer than the rest of it.
LONGEST_ROW: Final = 4 << 20

#: These say where a record stands, and stay.
_PLACES: Final = ("raw_part", "raw_line", "event_number")


def with_overlong_rejected(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return staged rows, those of more than 4 MiB of text as rejected ones."""
    if batch.nbytes <= LONGEST_ROW:
        return batch
    lengths = sum(
        (pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False).astype("int64"))
        for column in batch.columns
        if pa.types.is_string(column.type)
    )
    long = lengths > LONGEST_ROW
    if not long.any():
        return batch
    mask = pa.array(long)
    reasons = pa.array(
        [f"longer than {LONGEST_ROW >> 20} MiB when it is read: {length:,} bytes" for length in lengths.tolist()],
        pa.string(),
    )
    columns = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if field.name not in _PLACES:
            other = reasons if field.name == "reject_reason" else pa.scalar(None, field.type)
            column = pc.if_else(mask, other, column)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)
