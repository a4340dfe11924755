"""Where the records of an API's answers went.

Belongs here: counting them. Does not belong here: telling which are the day's (`sift`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from posthog_assets.sources.account import Account

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Tally:
    """Records of answers, and how many of them are no record of the window; `ends` are the times of these, in µs.

    Records without a time are kept. Those that are outside and come twice are outside.
    """

    records: int = 0
    outside: int = 0
    repeated: int = 0
    without_time: int = 0
    ends: tuple[int, int] | None = None

    def add_outside(self, count: int = 0, first: int = 0, last: int = 0) -> None:
        """Count records outside, whose times are from *first* to *last*."""
        if count:
            self.outside += count
            self.ends = (min(first, self.ends[0]), max(last, self.ends[1])) if self.ends else (first, last)

    def add_passed(self, count: int = 0, first: int = 0, last: int = 0) -> None:
        """Count the records of a page that has none but those outside, and was not kept."""
        self.records += count
        self.add_outside(count, first, last)

    def join(self, other: Tally) -> None:
        self.records += other.records
        self.repeated += other.repeated
        self.without_time += other.without_time
        self.add_outside(other.outside, *(other.ends or ()))

    def account(self, zone: tzinfo) -> Account:
        """Return the account of one day's reading, whose days are those of *zone*."""
        first, last = (_day(micros, zone) for micros in self.ends) if self.ends else (None, None)
        kept = self.records - self.outside - self.repeated - self.without_time
        return Account(
            "", self.records, kept, self.without_time, self.outside, first, last, self.repeated, of_one_day=True
        )


def _day(micros: int, zone: tzinfo) -> str:
    return (_EPOCH + timedelta(microseconds=micros)).astimezone(zone).date().isoformat()
