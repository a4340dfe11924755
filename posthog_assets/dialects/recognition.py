"""Telling from its fields whose records a file holds.

Belongs here: asking every dialect, and choosing among those that answer. Does not belong here: a vendor's own marks
(each dialect has its `marks`), or columns that no dialect knows (`pipeline.sniffing.columns`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from posthog_assets.dialects import DIALECTS

#: A dialect that reads fewer of the records than this is not the file's.
_LEAST_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Recognition:
    """A dialect that knows records as its own: the share of them it knows, and the fields it knows most of them by."""

    dialect: str
    share: float
    marks: tuple[str, ...]


def recognize(records: Sequence[dict[str, Any]]) -> list[Recognition]:
    """Return the dialects that know at least half of *records*, the closest match first.

    A dialect that extends another one (RudderStack's extends Segment's) comes first where it knows at least half of
    the records: its fields are the more particular ones.
    """
    found = []
    for name, dialect in DIALECTS.items():
        marks = Counter(paths for record in records if (paths := dialect.recognize(record)))
        share = marks.total() / len(records) if records else 0.0
        if share >= _LEAST_SHARE:
            found.append(Recognition(name, share, marks.most_common(1)[0][0]))
    return sorted(found, key=_closeness, reverse=True)


def _closeness(found: Recognition) -> tuple[int, float, int]:
    depth = len(DIALECTS[found.dialect].__mro__)
    return depth, found.share, len(found.marks)
