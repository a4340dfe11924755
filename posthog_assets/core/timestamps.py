"""Reading times.

Belongs here: every way a source writes an instant. Does not belong here: which column holds it.

An unreadable time is an error with the value in it, never the present.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.errors import shorten
from posthog_assets.core.schemas import TIMESTAMP

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

#: µs per unit of an epoch.
UNITS: Final = {"s": 1_000_000.0, "ms": 1_000.0, "us": 1.0, "ns": 0.001}

#: An epoch below the limit is in the unit: seconds until the year 5138, and so on.
_MAGNITUDES: Final = ((1e11, "s"), (1e14, "ms"), (1e17, "us"), (1e20, "ns"))

#: 0001-01-01 to 9999-12-31 in µs.
_LOWEST: Final = -62_135_596_800_000_000
_HIGHEST: Final = 253_402_300_799_999_999

_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d*)?")
_FRACTION: Final = re.compile(r"(\.\d{6})\d+")


def read_timestamps(
    values: list[Any], zone: str, pattern: str | None = None, unit: str | None = None
) -> tuple[pa.Array, dict[int, str]]:
    """Return the instants (`timestamp[us, UTC]`, null where unreadable) and the reason by index of each null.

    *zone* is that of times without one; a time that a clock change repeats is its first occurrence, one it skips is
    read with the offset before the change, as Python does. *pattern* is for `strptime`; *unit* is s, ms, us or ns.
    """
    fast = _epochs(values, unit) if not pattern else None
    if fast is None and not pattern and not unit:
        fast = _texts(values, zone)
    if fast is not None:
        return fast, {}
    return _one_by_one(values, zone, pattern, unit)


def from_wall_clock(stamps: pa.Array, zone: str) -> pa.Array:
    """Return the instants at which a clock in *zone* shows what *stamps* would show in UTC; null stays null.

    Clock changes are met as by `read_timestamps`; an instant outside the years 1 to 9999 is null.
    """
    naive = stamps.cast(pa.timestamp("us"))
    try:
        return _in_range(pc.assume_timezone(naive, zone, ambiguous="earliest", nonexistent="raise").cast(TIMESTAMP))
    except pa.ArrowInvalid:
        return _one_by_one(naive.to_pylist(), zone, None, None)[0]


def _one_by_one(values: list[Any], zone: str, pattern: str | None, unit: str | None) -> tuple[pa.Array, dict[int, str]]:
    info = ZoneInfo(zone)
    stamps = np.zeros(len(values), dtype=np.int64)
    reasons: dict[int, str] = {}
    for index, value in enumerate(values):
        try:
            stamps[index] = _read(value, info, pattern, unit)
        except _Unreadable as flaw:
            reasons[index] = str(flaw)
    mask = np.zeros(len(values), dtype=bool)
    mask[list(reasons)] = True
    return pa.array(stamps, pa.int64(), mask=mask).cast(TIMESTAMP), reasons


class _Unreadable(Exception):
    pass


def _epochs(values: list[Any], unit: str | None) -> pa.Array | None:
    """Return the instants of whole numbers of one magnitude; None where they are not, or not all can be read."""
    if set(map(type, values)) != {int}:
        return None
    try:
        numbers = np.array(values, dtype=np.int64)
    except OverflowError:
        return None
    low, high = int(numbers.min()), int(numbers.max())
    if unit is None and low >= 0 and _magnitude(low) == _magnitude(high):
        unit = _magnitude(low)
    if unit is None or unit == "ns":
        return None
    factor = int(UNITS[unit])
    if not _LOWEST <= low * factor <= high * factor <= _HIGHEST:
        return None
    return pa.array(numbers * factor, pa.int64()).cast(TIMESTAMP)


def _texts(values: list[Any], zone: str) -> pa.Array | None:
    """Return the instants of texts that are all ISO 8601 alike; None where they are not."""
    if not values or type(values[0]) is not str or len(values[0]) < 19:
        return None
    try:
        texts = pa.array(values, pa.string())
        if texts.null_count:
            return None
        zoned = values[0][-1] in "Zz" or values[0][-6] in "+-"
        if zoned:
            return _in_range(texts.cast(TIMESTAMP))
        naive = texts.cast(pa.timestamp("us"))
        if zone == "UTC":
            return _in_range(naive.cast(TIMESTAMP))
        return _in_range(pc.assume_timezone(naive, zone, ambiguous="earliest", nonexistent="raise").cast(TIMESTAMP))
    except (pa.ArrowException, TypeError, ValueError):
        return None


def _in_range(stamps: pa.Array) -> pa.Array:
    """Return *stamps*; raises ArrowInvalid where one lies outside the years Python's datetime has."""
    span = pc.min_max(stamps.cast(pa.int64())).as_py()
    if span["min"] is not None and not _LOWEST <= span["min"] <= span["max"] <= _HIGHEST:
        raise pa.ArrowInvalid("out of the years 1 to 9999")
    return stamps


def _read(value: Any, zone: ZoneInfo, pattern: str | None, unit: str | None) -> int:
    match value:
        case None | "":
            raise _Unreadable("timestamp is empty")
        case bool():
            raise _flaw(value)
        case datetime():
            return _instant(value, zone)
        case date():
            return _instant(datetime(value.year, value.month, value.day), zone)  # noqa: DTZ001
        case int() | float():
            return _epoch(value, unit)
        case str():
            return _text(value.strip(), zone, pattern, unit)
    raise _flaw(value)


def _text(text: str, zone: ZoneInfo, pattern: str | None, unit: str | None) -> int:
    try:
        if pattern:
            return _instant(datetime.strptime(text, pattern), zone)  # noqa: DTZ007
        if _NUMBER.fullmatch(text) and (unit or len(text) > 8):
            return _epoch(float(text) if "." in text else int(text), unit)
        return _instant(datetime.fromisoformat(_FRACTION.sub(r"\1", text)), zone)
    except (ValueError, OverflowError):
        raise _flaw(text) from None


def _instant(moment: datetime, zone: ZoneInfo) -> int:
    try:
        aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        return (aware.astimezone(UTC) - _EPOCH) // _MICROSECOND
    except OverflowError:
        raise _flaw(moment) from None


def _epoch(value: int | float, unit: str | None) -> int:
    if isinstance(value, float) and not math.isfinite(value):
        raise _flaw(value)
    unit = unit or _magnitude(value)
    if unit is None:
        raise _flaw(value)
    if isinstance(value, int):
        micros = value // 1000 if unit == "ns" else value * int(UNITS[unit])
    else:
        scaled = value * UNITS[unit]
        micros = round(scaled) if math.isfinite(scaled) else _HIGHEST + 1
    if not _LOWEST <= micros <= _HIGHEST:
        raise _flaw(value)
    return micros


def _magnitude(value: int | float) -> str | None:
    return next((name for limit, name in _MAGNITUDES if abs(value) < limit), None)


def _flaw(value: Any) -> _Unreadable:
    return _Unreadable(f"timestamp cannot be read: {shorten(value)!r}")
