"""Records as every later room sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record whose bytes cannot be read; it still becomes one staged row, with this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class RecordChunk:
    """Consecutive records of one part.

    `positions[i]` is the line (text formats) or row (Parquet, Avro, JSON array, CSV rows: the line on which the row
    starts) of `records[i]`, counted from 1. `untyped` says that the values are text without a type, as in CSV.
    """

    positions: Sequence[int]
    records: list[dict[str, Any] | Unreadable]
    untyped: bool = False
