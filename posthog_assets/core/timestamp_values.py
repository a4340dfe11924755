"""What one value means as an instant, whatever its type: text with a zone in any spelling, a pattern, a date.

Belongs here: the reading that is the rule. Does not belong here: what a bare number may count (`timestamp_numbers`),
reading thousands at once to the same end (`timestamp_columns`).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from posthog_assets.core.instants import NoInstant, Window, instant_of, unreadable
from posthog_assets.core.timestamp_numbers import clock_of_digits, read_number, whole_if_equal

_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d{1,3})?", re.ASCII)
_FINE_DATE: Final = re.compile(r"(\d{14})[.,](\d+)", re.ASCII)
_FRACTION: Final = re.compile(r"([.,]\d{6})\d+")
#: A clock, and the name of a zone after it.
_NAMED: Final = re.compile(r"(.*\d)\s*(?:\[([\w+/-]+)\]|([A-Za-z][\w+/-]*))", re.ASCII)
_SPACED_OFFSET: Final = re.compile(r"\s+(?=[+-]\d\d(?::?\d\d)?(?::?\d\d)?$)")
_UTC_NAMES: Final = frozenset({"UTC", "GMT", "Z"})
#: What may follow an offset: the zone's abbreviation (CEST) or full name. PostgreSQL writes an era there, ` BC`.
_AFTER_OFFSET: Final = re.compile(r"(?!BCE$)[A-Z]{3,5}|Z|[A-Za-z_]+(/[\w+-]+)+", re.ASCII)
#: A date and its zone, as XML Schema writes it: the standard library takes the zone for an hour.
_ZONED_DATE: Final = re.compile(r"(\d{4}-\d\d-\d\d)(\+\d\d(?::?\d\d)?|Z)", re.ASCII)
#: An hour, or a zone.
_DATE_AND_DOUBT: Final = re.compile(r"\d{4}-\d\d-\d\d-\d\d:\d\d", re.ASCII)

#: What `%Z` may stand for; other abbreviations name several zones each.
_ZONE: Final = re.compile(r"(?<![A-Za-z/])(UTC|GMT|Z|[A-Za-z]+(?:/[\w+-]+)+)(?![A-Za-z/])", re.ASCII)


def read_value(value: Any, zone: tzinfo, pattern: str | None, unit: str | None, window: Window | None) -> int:
    """Return the instant that *value* names, in µs since 1970; the arguments are those of `timestamps.read_timestamps`.

    Raises:
        NoInstant: it names none.
    """
    match value:
        case None | "":
            raise NoInstant("timestamp is empty")
        case bool():
            raise unreadable(value)
        case datetime():
            return instant_of(value, zone)
        case date():
            return instant_of(datetime(value.year, value.month, value.day), zone)  # noqa: DTZ001
        case int() | float() | Decimal():
            return _number(value, zone, pattern, unit, window)
        case str():
            return _text(value.strip(), zone, pattern, unit, window)
    raise unreadable(value)


def _number(
    value: int | float | Decimal, zone: tzinfo, pattern: str | None, unit: str | None, window: Window | None
) -> int:
    """Return the instant a number names: what *pattern* says of its digits, else what a bare number means."""
    number = whole_if_equal(value)
    if pattern:
        try:
            return _patterned(str(number), pattern, zone)
        except (ValueError, LookupError, OverflowError):
            pass
    return read_number(value, zone, unit, window)


def _text(text: str, zone: tzinfo, pattern: str | None, unit: str | None, window: Window | None) -> int:
    if not text:
        raise NoInstant("timestamp is empty")
    try:
        if pattern:
            return _patterned(text, pattern, zone)
        if (fine := _FINE_DATE.fullmatch(text)) and not unit:
            return instant_of(clock_of_digits(fine[1]).replace(microsecond=int(fine[2][:6].ljust(6, "0"))), zone)
        if _NUMBER.fullmatch(text):
            value = int(text[:40]) if text.lstrip("+-").isdecimal() else float(text)
            if abs(value) >= 1e20:
                raise ValueError(text)
            return read_number(value, zone, unit, window)
        return instant_of(_moment(text), zone)
    except (ValueError, OverflowError, OSError, LookupError):
        raise unreadable(text) from None


def _moment(text: str) -> datetime:
    """Return what ISO 8601 text says, with its zone in any spelling; raises ValueError or LookupError."""
    text = _FRACTION.sub(r"\1", text)
    if _DATE_AND_DOUBT.fullmatch(text):
        raise ValueError(text)
    if dated := _ZONED_DATE.fullmatch(text):
        text = f"{dated[1]}T00:00{dated[2]}"
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        named = _NAMED.fullmatch(text)
    if named is None:
        return datetime.fromisoformat(_SPACED_OFFSET.sub("", text))
    clock = datetime.fromisoformat(_SPACED_OFFSET.sub("", named[1].strip()))
    name = named[2] or named[3]
    if clock.tzinfo is None:
        return clock.replace(tzinfo=_zone_named(name))
    # Go writes `+0100 CET`, Java `+01:00[Europe/Berlin]`: the offset is exact.
    if not _AFTER_OFFSET.fullmatch(name):
        raise ValueError(text)
    return clock


def _zone_named(name: str) -> tzinfo:
    """Return a zone by its full name; abbreviations such as CST are several zones' each, and raise LookupError."""
    if name.upper() in _UTC_NAMES:
        return UTC
    if "/" not in name:
        raise LookupError(name)
    return ZoneInfo(name)


def _patterned(text: str, pattern: str, zone: tzinfo) -> int:
    """Return the instant of a text that *pattern* describes; a fraction of a second may be there or not."""
    if "%Z" in pattern:
        if not (named := _ZONE.search(text)):
            raise ValueError(text)
        zone = _zone_named(named[1])
        text = f"{text[: named.start()]}UTC{text[named.end() :]}"
    text = _FRACTION.sub(r"\1", text)
    error: ValueError | None = None
    for variant in _variants(pattern):
        try:
            return instant_of(datetime.strptime(text, variant), zone)  # noqa: DTZ007
        except ValueError as flaw:
            error = flaw
    raise error or ValueError(text)


@lru_cache(64)
def _variants(pattern: str) -> tuple[str, ...]:
    if "%S.%f" in pattern:
        return pattern, pattern.replace("%S.%f", "%S")
    return (pattern, pattern.replace("%S", "%S.%f")) if "%S" in pattern and "%f" not in pattern else (pattern,)
