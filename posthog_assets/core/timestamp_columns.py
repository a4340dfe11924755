"""The usual forms of times, thousands at once.

Belongs here: columns of one type and form, read by Arrow. Does not belong here: what a value means, which
`timestamp_values` says: whatever is not certain to be read as there is left to it.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.instants import HIGHEST, LOWEST, Window
from posthog_assets.core.schemas import TIMESTAMP
from posthog_assets.core.timestamp_numbers import DATE_RANGES, SMALLEST, UNITS, as_epoch, magnitude

#: What a directive of `strptime` reads, where it has a fixed width; `%S` with a fraction or without.
_FIXED: Final = {
    "Y": r"(\d{4})", "m": r"(\d{2})", "d": r"(\d{2})", "H": r"(\d{2})", "M": r"(\d{2})",
    "S": r"(\d{2}(?:\.\d{1,6})?)", "z": r"(Z|[+-]\d{2}:?\d{2})", "Z": r"(?:UTC|GMT|Z)",
}  # fmt: skip


def read_together(
    values: list[Any], zone: str, pattern: str | None, unit: str | None, window: Window | None
) -> pa.Array | None:
    """Return the instants of values of one type and form; None where they are not, or not all can be read."""
    if not values:
        return None
    kind = type(values[0])
    try:
        if kind is int:
            return _numbers(values, zone, pattern, unit, window)
        if kind is str:
            return _texts(values, zone, pattern, unit, window)
        return _moments(values, zone) if kind is datetime else None
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return None


def _numbers(
    values: list[int], zone: str, pattern: str | None, unit: str | None, window: Window | None
) -> pa.Array | None:
    if pattern:
        return _patterned_texts(pa.array(list(map(str, values)), pa.string()), pattern, zone)
    numbers = np.array(values, dtype=np.int64)
    low, high = int(numbers.min()), int(numbers.max())
    if unit is None:
        if any(first <= low <= high <= last for first, last in DATE_RANGES):
            return _dates(pa.array(numbers).cast(pa.string()), zone, low, high, window)
        if any(low <= last and first <= high for first, last in DATE_RANGES):
            return None
        if low < (SMALLEST if window is None else 0) or magnitude(low) != magnitude(high):
            return None
        unit = magnitude(low)
    elif unit == "ns":
        return None
    return _epochs(numbers, low, high, unit, window)


def _epochs(
    numbers: np.ndarray[Any, Any], low: int, high: int, unit: str | None, window: Window | None
) -> pa.Array | None:
    if unit is None or unit == "ns":
        return None
    factor = int(UNITS[unit])
    lowest, highest = (LOWEST, HIGHEST) if window is None else (window.first, window.last)
    if not lowest <= low * factor <= high * factor <= highest:
        return None
    return pa.array(numbers * factor, pa.int64()).cast(TIMESTAMP)


def _dates(texts: pa.Array, zone: str, low: int, high: int, window: Window | None) -> pa.Array | None:
    """Return the instants of digits of dates, all of one length; None where some may be epochs."""
    digits = len(str(low))
    if digits == 10 or (window and any((as_epoch(end, None) or 0) in window for end in (low, high))):
        return None
    pattern = "%Y%m%d%H%M%S"[: digits - 2] if digits < 17 else None
    stamps = _patterned_texts(texts, pattern, zone) if pattern else None
    if stamps is not None and window is not None:
        span = pc.min_max(stamps.cast(pa.int64())).as_py()
        if not window.first <= span["min"] <= span["max"] <= window.last:
            return None
    return stamps


def _texts(
    values: list[str], zone: str, pattern: str | None, unit: str | None, window: Window | None
) -> pa.Array | None:
    first = values[0]
    if pattern:
        return _patterned_texts(pa.array(values, pa.string()), pattern, zone)
    if unit or len(first) < 10:
        return _number_texts(values, zone, unit, window)
    if first[4] != "-" or first[7] != "-":
        return _number_texts(values, zone, unit, window)
    texts = pa.array(values, pa.string())
    if first[-3:] in ("UTC", "GMT"):
        if not pc.all(pc.match_substring_regex(texts, r"\d ?(UTC|GMT)$")).as_py():
            return None
        texts = pc.replace_substring_regex(texts, r" ?(UTC|GMT)$", "Z")
    return _iso(texts, zone, zoned=len(first) > 16 and (first.endswith(("UTC", "GMT", "Z", "z")) or first[-6] in "+-"))


def _number_texts(values: list[str], zone: str, unit: str | None, window: Window | None) -> pa.Array | None:
    if not all(map(str.isdecimal, values)) or not all(map(str.isascii, values)):
        return None
    return _numbers(list(map(int, values)), zone, None, unit, window)


def _moments(values: list[datetime], zone: str) -> pa.Array | None:
    zoned = {value.tzinfo is not None for value in values}
    if len(zoned) > 1:
        return None
    if zoned.pop():
        return in_range(pa.array(values, TIMESTAMP))
    return in_range(instants_of_clocks(pa.array(values, pa.timestamp("us")), zone))


def _patterned_texts(texts: pa.Array, pattern: str, zone: str) -> pa.Array | None:
    """Return the instants of texts that all follow a pattern of digits; None where one does not."""
    rewriting = _rewriting(pattern)
    if rewriting is None:
        return None
    regex, iso, zoned = rewriting
    if not pc.all(pc.match_substring_regex(texts, regex)).as_py():
        # Nanoseconds, as Go and Java write them.
        texts = pc.replace_substring_regex(texts, r"([.,]\d{6})\d+", r"\1")
        if not pc.all(pc.match_substring_regex(texts, regex)).as_py():
            return None
    return _iso(pc.replace_substring_regex(texts, regex, iso), zone, zoned=zoned)


@lru_cache(64)
def _rewriting(pattern: str) -> tuple[str, str, bool] | None:
    """Return a regex of *pattern*, what it becomes as ISO 8601, and whether that has a zone; None: not so simple."""
    regex, places = "", dict[str, int]()
    pieces = re.findall(r"%.|[^%]+", pattern.replace("%S.%f", "%S"))
    for at, piece in enumerate(pieces):
        if piece[0] != "%":
            regex += re.escape(piece)
            continue
        name = piece[1:]
        if name not in _FIXED or name in places:
            return None
        followed = pieces[at + 1 : at + 2]
        # Digits after a fraction could be another field.
        regex += r"(\d{2})" if name == "S" and followed and followed[0][0] == "%" else _FIXED[name]
        places[name] = len(places) + 1 - ("Z" in places)
    if not {"Y", "m", "d"} <= places.keys() or {"z", "Z"} <= places.keys():
        return None
    numbers = [rf"\{places[name]}" if name in places else "00" for name in "HMS"]
    tail = "Z" if "Z" in places else rf"\{places['z']}" if "z" in places else ""
    iso = rf"\{places['Y']}-\{places['m']}-\{places['d']}T{':'.join(numbers)}{tail}"
    return f"^{regex}$", iso, bool(tail)


def _iso(texts: pa.Array, zone: str, *, zoned: bool) -> pa.Array:
    kind = TIMESTAMP if zoned else pa.timestamp("us")
    try:
        stamps = texts.cast(kind)
    except pa.ArrowInvalid:
        # Nanoseconds, as Go and Java write them.
        stamps = pc.replace_substring_regex(texts, r"(\.\d{6})\d{1,3}", r"\1").cast(kind)
    return in_range(stamps if zoned else instants_of_clocks(stamps, zone))


def instants_of_clocks(naive: pa.Array, zone: str) -> pa.Array:
    """Return the instants of clocks in *zone*; raises ArrowInvalid where a clock change skips one."""
    if zone == "UTC":
        return naive.cast(TIMESTAMP)
    return pc.assume_timezone(naive, zone, ambiguous="earliest", nonexistent="raise").cast(TIMESTAMP)


def in_range(stamps: pa.Array) -> pa.Array:
    """Return *stamps*; raises ArrowInvalid where one lies outside the years Python's datetime has."""
    span = pc.min_max(stamps.cast(pa.int64())).as_py()
    if span["min"] is not None and not LOWEST <= span["min"] <= span["max"] <= HIGHEST:
        raise pa.ArrowInvalid("out of the years 1 to 9999")
    return stamps
