"""Records that hold a list of what are really the records, such as visits with their actions.

Belongs here: making one record of each member, a few at a time. Does not belong here: what the members mean
(`dialects`), or how much may become of one record (`pipeline.repeated_fields`).

Each member's record repeats the fields beside the list, and so does the row that is made of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from posthog_assets.core.json_text import dump_line, numbered
from posthog_assets.core.records import RecordChunk, Unreadable

#: The records of one chunk repeat fields of about so many bytes at most, once they are written.
_CHUNK_BYTES: Final = 8 << 20
#: A field takes this much in each record that repeats it, however short it is.
_FIELD_BYTES: Final = 100
#: Chunks of a sample.
_FEW_CHUNKS: Final = 8
_FEW_ROWS: Final = 1_000


def unfolded(chunks: Iterable[RecordChunk], field: str, rows: int) -> Iterator[RecordChunk]:
    """Yield, for each member of the list *field* of a record, the record with that member in the list's place.

    All have the record's position. An object whose keys are numbers is a list. A record whose *field* is neither, or
    empty, stays as it is. A chunk has at most *rows* records, and fewer where they repeat much.
    """
    for chunk in chunks:
        remarks = chunk.remarks
        positions: list[int] = []
        records: list[dict[str, Any] | Unreadable] = []
        held = 0
        for position, record in zip(chunk.positions, chunk.records, strict=True):
            size, members = _members(record, field)
            for one in members:
                if len(records) == rows or (records and held + size > _CHUNK_BYTES):
                    yield RecordChunk(positions, records, chunk.untyped, remarks)
                    # Given along once: all of a chunk's remarks are known with its last record.
                    positions, records, remarks, held = [], [], {}, 0
                positions.append(position)
                records.append(one)
                held += size
        if records:
            yield RecordChunk(positions, records, chunk.untyped, remarks)


def first_unfolded(chunk: RecordChunk, field: str) -> list[dict[str, Any] | Unreadable]:
    """Return what `unfolded` makes of a sample of records, the first of them where they are many or repeat much."""
    few = islice(unfolded([chunk], field, _FEW_ROWS), _FEW_CHUNKS)
    return [record for some in few for record in some.records]


def _members(record: dict[str, Any] | Unreadable, field: str) -> tuple[int, Iterable[dict[str, Any] | Unreadable]]:
    """Return the records of the members, and how many bytes each of them repeats."""
    members = record.get(field) if isinstance(record, dict) else None
    members = numbered(members) or members
    if not isinstance(members, list) or not members:
        return 0, (record,)
    assert isinstance(record, dict)
    size = _bytes_beside(record, field) if len(members) > 1 else 0
    return size, ({**record, field: member} for member in members)


def _bytes_beside(record: dict[str, Any], field: str) -> int:
    beside = {name: value for name, value in record.items() if name != field}
    try:
        return len(dump_line(beside, default=str)) + _FIELD_BYTES * len(record)
    except (TypeError, ValueError, RecursionError):
        # JSON has no room for it, which the dialect says of each record: they come one by one.
        return _CHUNK_BYTES
