"""Which day a value names.

Belongs here: the day of a record, where one file holds all days. Does not belong here: how a time is written
(`core.timestamps`), event times (`dialects`).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, Final

from posthog_assets.core.instants import NoInstant, Window
from posthog_assets.core.timestamps import read_timestamp

#: Date, time without an offset; what follows is the offset.
_ISO: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ][\d:.,]*)?(Z|z| ?UTC)?")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

#: PostHog's storage has no earlier day, so a record of one is without a day.
_FIRST_DAY: Final = "1970-01-01"
_LAST_DAY: Final = "9999-12-31"


class Days:
    """Reads the day a value names, in a time zone: as ISO text, `2013-01-01`; None where it names none.

    Understands what `read_timestamps` does; a value without a zone is in the zone already. With *window*, a day
    after its end is none, and numbers without a *unit* have their only plausible reading.
    """

    def __init__(
        self, zone: tzinfo = UTC, pattern: str | None = None, unit: str | None = None, window: Window | None = None
    ) -> None:
        self.zone = zone
        self._pattern, self._unit, self._window = pattern, unit, window
        self._first = _FIRST_DAY if window else ""
        self._last = self._day(window.last) if window else _LAST_DAY

    def __call__(self, value: Any) -> str | None:
        day = self._of_text(value) if type(value) is str and not self._pattern else self._read(value)
        return day if day is not None and self._first <= day <= self._last else None

    def _of_text(self, text: str) -> str | None:
        plain = _ISO.fullmatch(text)
        if plain and (self.zone is UTC or not plain[2]):
            return plain[1] if _exists(plain[1]) else None
        return self._read(text)

    def _read(self, value: Any) -> str | None:
        if value is None:
            return None
        try:
            return self._day(read_timestamp(value, self.zone, self._pattern, self._unit, self._window))
        except (NoInstant, OverflowError):
            return None

    def _day(self, micros: int) -> str:
        return (_EPOCH + timedelta(microseconds=micros)).astimezone(self.zone).date().isoformat()


@lru_cache(100_000)
def _exists(day: str) -> bool:
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True


def at_path(record: dict[str, Any], path: str) -> Any:
    """Return the value at `a.b.c`, a column of that very name coming first; None where there is none."""
    if path in record or "." not in path:
        return record.get(path)
    value: Any = record
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value
