"""How much may become of one record whose members repeat the fields beside them.

Belongs here: rejecting the members of a record that has become too much already. Does not belong here: making records
of members (`sources.formats.unfold`), or rows that are too long by themselves (`overlong`).

A text of 4 MB beside a list of 100,000 members would become 400 GB, in memory a few at a time, but on disk as a whole.
What counts is what the dialect makes of the members: a field that it leaves out may be as long as it wants to be.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from posthog_assets.core.records import RecordChunk, Unreadable

#: The rows of all members of one record take so many bytes at most.
MOST_OF_ONE: Final = 1 << 30


class RepeatedFields:
    """Watches the rows of one part, chunk by chunk."""

    def __init__(self, list_name: str, most: int = MOST_OF_ONE) -> None:
        self._list = list_name
        self._most = most
        self._position = -1
        self._bytes = 0

    def limited(self, chunk: RecordChunk) -> RecordChunk:
        """Return *chunk*, without the members of a record of which enough rows were made already."""
        if self._bytes <= self._most or chunk.positions[0] != self._position:
            return chunk
        flaw = Unreadable(
            f"the rows of a record's {self._list} are longer than {self._most >> 20:,} MiB together: each repeats the "
            "fields beside it"
        )
        records: list[dict[str, Any] | Unreadable] = [
            flaw if position == self._position else record
            for position, record in zip(chunk.positions, chunk.records, strict=True)
        ]
        return RecordChunk(chunk.positions, records, chunk.untyped, chunk.remarks)

    def count(self, chunk: RecordChunk, rows: pa.RecordBatch) -> None:
        """Count the rows that were made of *chunk*, the last record's among them."""
        last = chunk.positions[-1]
        if last != self._position:
            self._position, self._bytes = last, 0
        if chunk.positions[0] == last:
            self._bytes += rows.nbytes
