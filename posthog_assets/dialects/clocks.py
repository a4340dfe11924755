"""Records with several clocks, of which a later one counts where the first cannot be true.

Belongs here: finding the better clock of those records. Does not belong here: how a time reads (`core.timestamps`), or
which clocks a vendor's records have (`vendor`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.instants import Window
from posthog_assets.core.schemas import TIMESTAMP
from posthog_assets.dialects.notes import Notes

#: Returns instants, and the reasons of those that are none.
Instants = Callable[[list[Any]], tuple[pa.Array, dict[int, str]]]

#: Later than any instant.
_NEVER: Final = 2**62


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
