"""Whether a day has as many records as days like it.

Belongs here: comparing a day's export with those of the same weekday around it. Does not belong here: whether its
records are good (`config.rejects`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Final

from posthog_assets.core.errors import PosthogAssetsError
from posthog_assets.sources.manifest import RawExport
from posthog_assets.storage.layout import manifest_path
from posthog_assets.storage.store import Store

#: The same weekday of so many weeks before and after; fewer than the least say nothing.
_WEEKS: Final = 4
_LEAST: Final = 3
#: Days of fewer records differ by chance.
_SMALL: Final = 100
#: A day is unlike its neighbours below or above this part of their median.
_LOW: Final = 0.25
_HIGH: Final = 4.0


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The records of a day, and the median of so many days of its weekday around it."""

    day: date
    records: int
    days: int
    median: float

    @property
    def is_far_off(self) -> bool:
        """Whether the day has less than a quarter, or more than four times, of what days like it have."""
        if self.days < _LEAST or max(self.median, self.records) < _SMALL:
            return False
        return not _LOW * self.median <= self.records <= _HIGH * self.median

    @property
    def words(self) -> str:
        share = f"{self.records / self.median:.0%} of" if self.median else "more than"
        return (
            f"{self.day} has {self.records:,} records, {share} the median of {self.days} {self.day:%A}s around it "
            f"({self.median:,.0f}): see whether its export is whole"
        )


def neighbours(store: Store, day: date, records: int) -> Neighbours:
    """Return how *records* of *day* compare with the exports that are stored of the same weekday, four weeks around."""
    counts = list(_around(store, day))
    return Neighbours(day, records, len(counts), median(counts) if counts else 0.0)


def _around(store: Store, day: date) -> Iterator[int]:
    for weeks in (*range(-_WEEKS, 0), *range(1, _WEEKS + 1)):
        near = day + timedelta(weeks=weeks)
        if not store.exists(manifest_path(near)):
            continue
        try:
            yield sum(part.records for part in RawExport(store, near).manifest().parts)
        except PosthogAssetsError:
            # It is being exported, or damaged: its own run says so.
            continue
