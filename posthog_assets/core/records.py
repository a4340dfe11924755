"""Records as every later room sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record whose bytes cannot be read; it still becomes one staged row, with this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class RecordChunk:
    """Consecutive records of one part.

    `positions[i]` is the line (text formats) or row (Parquet, Avro, JSON array, CSV rows: the line on which the row
    starts) of `records[i]`, counted from 1. `records` may make its members as it gives them, new ones every time.
    `untyped` says that the values are text without a type, as in CSV. `remarks` counts what reading noticed, complete
    once all records were given.
    """

    positions: Sequence[int]
    records: Sequence[dict[str, Any] | Unreadable]
    untyped: bool = False
    remarks: dict[str, int] = field(default_factory=dict)

    def remark(self, sentence: str) -> None:
        """Count *sentence*."""
        self.remarks[sentence] = self.remarks.get(sentence, 0) + 1

    def used_up(self) -> Iterator[dict[str, Any] | Unreadable]:
        """Yield the records, of which the chunk then holds none: each is gone before much else is in memory."""
        records = self.records
        if not isinstance(records, list):
            yield from records
            return
        for index, record in enumerate(records):
            records[index] = _USED_UP
            yield record


_USED_UP: Final = Unreadable("read already")
