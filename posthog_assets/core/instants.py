"""Instants: whole microseconds since 1970, which of them can be held, and which an import can have.

Belongs here: what every reader of times shares. Does not belong here: how a value is read (`timestamp_values`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, ClassVar, Final

from posthog_assets.core.errors import shorten

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

#: 0001-01-01 to 9999-12-31 in µs.
LOWEST: Final = -62_135_596_800_000_000
HIGHEST: Final = 253_402_300_799_999_999


class NoInstant(Exception):
    """A value that is no time; the message is the reason, its head up to `: ` the same for all of its kind."""


@dataclass(frozen=True, slots=True)
class Window:
    """The instants that an import can hold, in µs since 1970, both included: what a number may be read as."""

    #: Histories reach back before the first day of an import, but not by more years than this.
    YEARS: ClassVar[int] = 20
    #: PostHog takes times up to this far ahead of its own clock (rust/common/types/src/timestamp.rs).
    AHEAD: ClassVar[timedelta] = timedelta(hours=23)

    first: int
    last: int

    @classmethod
    def of(cls, start: date, exported_at: datetime) -> Window:
        """Return the window of an import that begins on *start* and was exported at *exported_at* (aware)."""
        first = datetime.combine(start.replace(month=1, day=1, year=max(1, start.year - cls.YEARS)), time(), UTC)
        return cls(as_micros(first), as_micros(exported_at + cls.AHEAD))

    def __contains__(self, micros: int) -> bool:
        return self.first <= micros <= self.last

    def __str__(self) -> str:
        return f"{as_text(self.first)[:10]} to {as_text(self.last)[:10]}"


def instant_of(moment: datetime, zone: tzinfo) -> int:
    """Return the instant of a clock, which is in *zone* unless it has its own; raises NoInstant."""
    try:
        return as_micros(moment if moment.tzinfo else moment.replace(tzinfo=zone))
    except OverflowError:
        raise unreadable(moment) from None


def as_micros(moment: datetime) -> int:
    """Return an aware *moment* in µs since 1970; raises OverflowError outside the years 1 to 9999."""
    return (moment.astimezone(UTC) - _EPOCH) // _MICROSECOND


def as_text(micros: int) -> str:
    """Return an instant as ISO 8601 in UTC, with Z."""
    return (_EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")


def unreadable(value: Any) -> NoInstant:
    """Return the error of a value that names no instant."""
    return NoInstant(f"timestamp cannot be read: {shorten(value)!r}")
