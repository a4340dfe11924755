"""The instants of a vendor's records, which may have several clocks: a later one counts where the first cannot be true.

Belongs here: putting instants in place of times, finding the better clock of a record. Does not belong here: how a time
reads (`core.timestamps`), or which clocks a vendor's records have (`vendor`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.instants import Window
from posthog_assets.core.schemas import TIMESTAMP
from posthog_assets.dialects.notes import Notes
from posthog_assets.dialects.rows import CLOCKS, TIMES, RowColumns

if TYPE_CHECKING:
    from posthog_assets.dialects.vendor import Vendor

#: Returns instants, and the reasons of those that are none.
Instants = Callable[[list[Any]], tuple[pa.Array, dict[int, str]]]

#: Later than any instant.
_NEVER: Final = 2**62


def add_instants(dialect: Vendor, columns: RowColumns, reasons: dict[int, str], texts: Sequence[bytes]) -> Notes:
    """Put the instants in place of the times that records have; rows without one are rejected.

    *texts* are those of the records, where they were lines. Returns which clocks gave way to others.
    """
    notes = Notes()
    times = columns[TIMES]
    good = [index for index in range(len(times)) if index not in reasons] if reasons else range(len(times))
    read = [times[index] for index in good] if reasons else times
    stamps, flaws = dialect.instants(read) if read else (pa.array([], TIMESTAMP), {})
    if dialect._clocks and read:

        def clocks_of(place: int) -> tuple[Any, ...]:
            said: tuple[Any, ...] | None = columns[CLOCKS][good[place]]
            if said is None:
                record = orjson.loads(texts[good[place]])
                said = tuple(clock(record) for clock in dialect._clocks)
            return said

        names = (*dialect.timestamp, *dialect.arrival)
        stamps = by_other_clocks(stamps, flaws, read, names, clocks_of, dialect.instants, dialect._window, notes)
    _set_instants(columns, stamps, flaws, good, reasons)
    return notes


def _set_instants(
    columns: RowColumns, stamps: pa.Array, flaws: dict[int, str], good: Sequence[int], reasons: dict[int, str]
) -> None:
    """Put *stamps* in place of the times of the rows *good*; of these, those with one of *flaws* become rejected."""
    for place, flaw in flaws.items():
        reasons[good[place]] = flaw
        for column in columns[:TIMES]:
            column[good[place]] = None
    if reasons:
        places = {index: place for place, index in enumerate(good) if index not in reasons}
        stamps = stamps.take(pa.array([places.get(index) for index in range(len(columns[TIMES]))], pa.int32()))
    columns[TIMES][:] = [stamps]


def by_other_clocks(
    stamps: pa.Array,
    flaws: dict[int, str],
    times: list[Any],
    clocks: tuple[str, ...],
    clocks_of: Callable[[int], tuple[Any, ...]],
    instants: Instants,
    window: Window | None,
    notes: Notes,
) -> pa.Array:
    """Return *stamps* with a later clock of the record where the first cannot be read, or cannot be true.

    *times* are what the records say, *clocks_of* returns what a record says by each of *clocks*. A time before 1970 or
    after the export (the end of *window*) counts as absent where another clock has a better one; where none has, it
    stays, with its reason. The flaws of those that have are taken out of *flaws*, and they are counted.
    """
    last = window.last if window else _NEVER
    wrong = set(flaws) | set(pc.indices_nonzero(pc.invert(_may_be_true(stamps, last))).to_pylist())
    found: dict[int, int] = {}
    for place in sorted(wrong):
        if times[place] is None:
            continue
        for name, value in zip(clocks, clocks_of(place), strict=False):
            if value is None or value == times[place]:
                continue
            other, _ = instants([value])
            if _may_be_true(other, last)[0].as_py():
                found[place] = other.cast(pa.int64())[0].as_py()
                flaws.pop(place, None)
                notes.remark(f"timestamp_from {name}: the clock before it cannot be read, or cannot be true")
                break
    if not found:
        return stamps
    micros = stamps.cast(pa.int64()).to_pylist()
    for place, instant in found.items():
        micros[place] = instant
    return pa.array(micros, pa.int64()).cast(TIMESTAMP)


def _may_be_true(stamps: pa.Array, last: int) -> pa.Array:
    """Return which instants lie after 1969 and not after *last*; null is none."""
    micros = stamps.cast(pa.int64())
    return pc.fill_null(pc.and_(pc.greater_equal(micros, 0), pc.less_equal(micros, last)), False)
