"""Which day a value names.

Belongs here: the day of a record, where one file holds all days. Does not belong here: event times (`dialects`).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache
from typing import Any, Final

#: Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by magnitude: below the limit, this many.
_EPOCHS: Final = ((1e11, 1), (1e14, 1_000), (1e17, 1_000_000), (1e20, 1_000_000_000))

#: Date, time without an offset; what follows is the offset.
_ISO: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ][\d:.,]*)?(Z|z| ?UTC)?")
_EPOCH: Final = re.compile(r"-?\d+(?:\.\d+)?")


class Days:
    """Reads the day a value names, in a time zone: as ISO text, `2013-01-01`; None where it names none.

    Understands ISO 8601 text, dates, datetimes, and epochs (numbers or text) in s, ms, µs and ns. A value without a
    zone is in the zone already.
    """

    def __init__(self, zone: tzinfo = UTC) -> None:
        self.zone = zone

    def __call__(self, value: Any) -> str | None:
        match value:
            case str():
                return self._of_text(value)
            case bool() | None:
                return None
            case int() | float():
                return self._of_epoch(value)
            case datetime():
                return self._of_datetime(value)
            case date():
                return value.isoformat()
        return None

    def _of_text(self, text: str) -> str | None:
        plain = _ISO.fullmatch(text)
        if plain and (self.zone is UTC or not plain[2]):
            return plain[1] if _exists(plain[1]) else None
        text = text.strip()
        if _EPOCH.fullmatch(text) and len(text) != 8:
            return self._of_epoch(float(text))
        try:
            return self._of_datetime(datetime.fromisoformat(re.sub(r" ?UTC$", "Z", text)))
        except ValueError:
            return None

    def _of_datetime(self, value: datetime) -> str | None:
        try:
            return (value.astimezone(self.zone) if value.tzinfo else value).date().isoformat()
        except OverflowError:
            return None

    def _of_epoch(self, value: float) -> str | None:
        for limit, unit in _EPOCHS:
            if abs(value) < limit:
                try:
                    return datetime.fromtimestamp(value / unit, self.zone).date().isoformat()
                except (OverflowError, OSError, ValueError):
                    return None
        return None


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
