"""Records that hold a list of what are really the records, such as visits with their actions.

Belongs here: making one record of each member. Does not belong here: what the members mean (`dialects`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from posthog_assets.core.json_text import numbered
from posthog_assets.core.records import RecordChunk, Unreadable


def unfolded(chunks: Iterable[RecordChunk], field: str, rows: int) -> Iterator[RecordChunk]:
    """Yield, for each member of the list *field* of a record, the record with that member in the list's place.

    All have the record's position. An object whose keys are numbers is a list. A record whose *field* is neither, or
    empty, stays as it is.
    """
    for chunk in chunks:
        remarks = chunk.remarks
        positions: list[int] = []
        records: list[dict[str, Any] | Unreadable] = []
        for position, record in zip(chunk.positions, chunk.records, strict=True):
            for one in _members(record, field):
                positions.append(position)
                records.append(one)
                if len(records) == rows:
                    yield RecordChunk(positions, records, chunk.untyped, remarks)
                    # Given along once: all of a chunk's remarks are known with its last record.
                    positions, records, remarks = [], [], {}
        if records:
            yield RecordChunk(positions, records, chunk.untyped, remarks)


def _members(record: dict[str, Any] | Unreadable, field: str) -> Iterable[dict[str, Any] | Unreadable]:
    members = record.get(field) if isinstance(record, dict) else None
    members = numbered(members) or members
    if not isinstance(members, list) or not members:
        return (record,)
    return ({**record, field: member} for member in members)  # type: ignore[dict-item]
