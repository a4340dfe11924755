"""How much may become of one record whose members repeat the fields beside them.

Belongs here: rejecting the members of a record that has become too much already. Does not belong here: making records
of members (`sources.formats.unfold`), or rows that are too long by themselves (`overlong`).

A text of 4 MB beside a list of 100,000 members would become 400 GB, in memory a few at a time, but on disk as a whole.
What counts is what the dialect makes of the members: a field that it leaves out may be as long as it wants to be.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

from posthog_assets.core.records import RecordChunk, Unreadable

#: The rows of all members of one record take so many bytes at most.
MOST_OF_ONE: Final = 1 << 30


class RepeatedFields:
    """Watches the rows of one part, chunk by chunk: each that `limited` yields is to be counted before the next."""

    def __init__(self, list_name: str, most: int = MOST_OF_ONE) -> None:
        self._flaw = Unreadable(
            f"the rows of a record's {list_name} are longer than {most >> 20:,} MiB together: each repeats the "
            "fields beside it"
        )
        self._most = most
        self._position = -1
        self._bytes = 0

    def limited(self, chunks: Iterable[RecordChunk], rows: int) -> Iterator[RecordChunk]:
        """Yield *chunks*, without the members of a record of which enough rows were made already.

        Those stand in chunks of *rows*, since there may be millions, a few in each chunk.
        """
        left_out: list[int] = []
        remarks: dict[str, int] = {}
        for chunk in chunks:
            if not self._has_enough(chunk):
                if left_out:
                    yield self._unreadable(left_out, remarks)
                    left_out, remarks = [], {}
                yield chunk
                continue
            count = bisect_right(chunk.positions, self._position)
            left_out += chunk.positions[:count]
            for sentence, times in chunk.remarks.items():
                remarks[sentence] = remarks.get(sentence, 0) + times
            if count < len(chunk.positions) or len(left_out) >= rows:
                yield self._unreadable(left_out, remarks)
                left_out, remarks = [], {}
            if count < len(chunk.positions):
                yield RecordChunk(chunk.positions[count:], chunk.records[count:], chunk.untyped)
        if left_out:
            yield self._unreadable(left_out, remarks)

    def count(self, chunk: RecordChunk, rows: pa.RecordBatch) -> None:
        """Count the rows that were made of *chunk*, the last record's among them."""
        last = chunk.positions[-1]
        if last != self._position:
            self._position, self._bytes = last, 0
        if chunk.positions[0] == last:
            self._bytes += rows.nbytes

    def _has_enough(self, chunk: RecordChunk) -> bool:
        return self._bytes > self._most and chunk.positions[0] == self._position

    def _unreadable(self, positions: list[int], remarks: dict[str, int]) -> RecordChunk:
        return RecordChunk(positions, [self._flaw] * len(positions), remarks=remarks)
