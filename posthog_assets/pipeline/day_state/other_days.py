"""Whether the events of a day lie near it.

Belongs here: comparing a partition's day with the times of its events. Does not belong here: how a time is read
(`core.timestamps`), or which records are of a day (`sources`).

A pattern that takes the month for the day, or a wrong unit, reads every time and reads it wrongly: all events of a day
then lie elsewhere. An export may hold records of other days, such as those a device sent late, but hardly only these.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

#: Of any time zone, and of exports that are written the day after.
_NEAR: Final = timedelta(days=2)


def far_from_day(day: date, first: datetime, last: datetime) -> str | None:
    """Return a sentence where all events, from *first* to *last*, lie more than two days from *day*; else None."""
    midnight = datetime.combine(day, time(), UTC)
    if first < midnight + timedelta(days=1) + _NEAR and last >= midnight - _NEAR:
        return None
    span = f"of {first:%Y-%m-%d}" if first.date() == last.date() else f"of {first:%Y-%m-%d} to {last:%Y-%m-%d}"
    return (
        f"{day}: all of its events are {span}. See whether their times are read rightly (dialect.timestamp: format, "
        "unit), unless the source delivers records long after they happened"
    )
