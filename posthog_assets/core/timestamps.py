"""Reading times: every form in which a source writes an instant, read the same way wherever it stands.

Belongs here: what a value means as an instant. Does not belong here: which column holds it, what PostHog makes of it.

Dialects, steps and the splitter of days all read by this module, so that the same text is the same instant everywhere:

* ISO 8601, with `T` or a space, and with a zone in any of the ways databases write one (`Z`, ` UTC`, `+00`, ` +0000`,
  ` +0000 UTC`, ` Europe/Berlin`, `[Europe/Berlin]`). A zone in the text wins over every setting.
* Epochs in s, ms, µs or ns, as numbers or text; without a unit, they are told apart by magnitude.
* Digits of a date, `20240301` to `20240301103000123`, as numbers or text.
* Anything a `strptime` pattern describes.

A number says nothing of what it counts, so its reading must be plausible (`Window`): it is never guessed wrong, but
unreadable, with both readings in the reason. An unreadable time is never the present.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any, ClassVar, Final
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
_UNIT_NAMES: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}

#: An epoch below the limit is in the unit: seconds until the year 5138, and so on.
_MAGNITUDES: Final = ((1e11, "s"), (1e14, "ms"), (1e17, "us"), (1e20, "ns"))

#: 0001-01-01 to 9999-12-31 in µs.
_LOWEST: Final = -62_135_596_800_000_000
_HIGHEST: Final = 253_402_300_799_999_999

#: Where no window is known, an epoch of fewer digits than this has in seconds (1973) is no time but some other number.
_SMALLEST: Final = 100_000_000

#: Numbers of digits that can be a date: year, month, day, then hour, minute, second, millisecond.
_DATES: Final = (8, 10, 12, 14, 17)
#: Their first and last year where no window is known, and where a whole column is looked at.
_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 2199
#: The numbers that may be dates by these years, by number of digits.
_DATE_RANGES: Final = tuple(
    (int(f"{_FIRST_YEAR}0101".ljust(digits, "0")), int(f"{_LAST_YEAR}1231".ljust(digits, "9"))) for digits in _DATES
)

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


class Unreadable(Exception):
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
        return cls(_micros(first), _micros(exported_at + cls.AHEAD))

    def __contains__(self, micros: int) -> bool:
        return self.first <= micros <= self.last

    def __str__(self) -> str:
        return f"{_shown(self.first)[:10]} to {_shown(self.last)[:10]}"


def read_timestamps(
    values: list[Any], zone: str, pattern: str | None = None, unit: str | None = None, window: Window | None = None
) -> tuple[pa.Array, dict[int, str]]:
    """Return the instants (`timestamp[us, UTC]`, null where unreadable) and the reason by index of each null.

    *zone* is that of times without one; a time that a clock change repeats is its first occurrence, one it skips is
    read with the offset before the change, as Python does. *pattern* is for `strptime`; *unit* is s, ms, us or ns.
    *window* is what numbers without a unit may mean.
    """
    kinds = set(map(type, values))
    missing = type(None) in kinds
    if len(kinds) == 1 + missing:
        present = [value for value in values if value is not None] if missing else values
        fast = _together(present, zone, pattern, unit, window)
        if fast is not None:
            return _with_nulls(fast, values) if missing else (fast, {})
    return _one_by_one(values, zone, pattern, unit, window)


def read_timestamp(
    value: Any, zone: tzinfo, pattern: str | None = None, unit: str | None = None, window: Window | None = None
) -> int:
    """Return the instant that one value names, in µs since 1970; as `read_timestamps`.

    Raises:
        Unreadable: it names none.
    """
    return _read(value, zone, pattern, unit, window)


def from_wall_clock(stamps: pa.Array, zone: str) -> pa.Array:
    """Return the instants at which a clock in *zone* shows what *stamps* would show in UTC; null stays null.

    Clock changes are met as by `read_timestamps`; an instant outside the years 1 to 9999 is null.
    """
    naive = stamps.cast(pa.timestamp("us"))
    try:
        return _in_range(_placed(naive, zone))
    except pa.ArrowInvalid:
        return _one_by_one(naive.to_pylist(), zone, None, None, None)[0]


def pattern_flaw(pattern: str) -> str | None:
    """Return why `strptime` cannot read by *pattern*."""
    try:
        datetime.strptime("", pattern)  # noqa: DTZ007
    except ValueError as error:
        words = str(error)
        return None if words.startswith("time data") else words
    return "it describes no time"


def _one_by_one(
    values: list[Any], zone: str, pattern: str | None, unit: str | None, window: Window | None
) -> tuple[pa.Array, dict[int, str]]:
    info = ZoneInfo(zone)
    stamps = np.zeros(len(values), dtype=np.int64)
    reasons: dict[int, str] = {}
    for index, value in enumerate(values):
        try:
            stamps[index] = _read(value, info, pattern, unit, window)
        except Unreadable as flaw:
            reasons[index] = str(flaw)
    mask = np.zeros(len(values), dtype=bool)
    mask[list(reasons)] = True
    return pa.array(stamps, pa.int64(), mask=mask).cast(TIMESTAMP), reasons


def _with_nulls(stamps: pa.Array, values: list[Any]) -> tuple[pa.Array, dict[int, str]]:
    """Return *stamps*, those of the values that are not None, in the places of these."""
    mask = np.array([value is None for value in values])
    places = np.cumsum(~mask) - 1
    reasons = dict.fromkeys(np.flatnonzero(mask).tolist(), "timestamp is empty")
    return stamps.take(pa.array(places, pa.int64(), mask=mask)), reasons


# --- whole columns: the usual forms, thousands at once ------------------------------------------------------------


def _together(
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
        if any(first <= low <= high <= last for first, last in _DATE_RANGES):
            return _dates(pa.array(numbers).cast(pa.string()), zone, low, high, window)
        if any(low <= last and first <= high for first, last in _DATE_RANGES):
            return None
        if low < (_SMALLEST if window is None else 0) or _magnitude(low) != _magnitude(high):
            return None
        unit = _magnitude(low)
    elif unit == "ns":
        return None
    return _epochs(numbers, low, high, unit, window)


def _epochs(
    numbers: np.ndarray[Any, Any], low: int, high: int, unit: str | None, window: Window | None
) -> pa.Array | None:
    if unit is None or unit == "ns":
        return None
    factor = int(UNITS[unit])
    lowest, highest = (_LOWEST, _HIGHEST) if window is None else (window.first, window.last)
    if not lowest <= low * factor <= high * factor <= highest:
        return None
    return pa.array(numbers * factor, pa.int64()).cast(TIMESTAMP)


def _dates(texts: pa.Array, zone: str, low: int, high: int, window: Window | None) -> pa.Array | None:
    """Return the instants of digits of dates, all of one length; None where some may be epochs."""
    digits = len(str(low))
    if digits == 10 or (window and any((_as_epoch(end, None) or 0) in window for end in (low, high))):
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


def _iso(texts: pa.Array, zone: str, *, zoned: bool) -> pa.Array:
    kind = TIMESTAMP if zoned else pa.timestamp("us")
    try:
        stamps = texts.cast(kind)
    except pa.ArrowInvalid:
        # Nanoseconds, as Go and Java write them.
        stamps = pc.replace_substring_regex(texts, r"(\.\d{6})\d{1,3}", r"\1").cast(kind)
    return _in_range(stamps if zoned else _placed(stamps, zone))


def _moments(values: list[datetime], zone: str) -> pa.Array | None:
    zoned = {value.tzinfo is not None for value in values}
    if len(zoned) > 1:
        return None
    if zoned.pop():
        return _in_range(pa.array(values, TIMESTAMP))
    return _in_range(_placed(pa.array(values, pa.timestamp("us")), zone))


def _placed(naive: pa.Array, zone: str) -> pa.Array:
    """Return the instants of clocks in *zone*; raises ArrowInvalid where a clock change skips one."""
    if zone == "UTC":
        return naive.cast(TIMESTAMP)
    return pc.assume_timezone(naive, zone, ambiguous="earliest", nonexistent="raise").cast(TIMESTAMP)


def _in_range(stamps: pa.Array) -> pa.Array:
    """Return *stamps*; raises ArrowInvalid where one lies outside the years Python's datetime has."""
    span = pc.min_max(stamps.cast(pa.int64())).as_py()
    if span["min"] is not None and not _LOWEST <= span["min"] <= span["max"] <= _HIGHEST:
        raise pa.ArrowInvalid("out of the years 1 to 9999")
    return stamps


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


#: What a directive of `strptime` reads, where it has a fixed width; `%S` with a fraction or without.
_FIXED: Final = {
    "Y": r"(\d{4})", "m": r"(\d{2})", "d": r"(\d{2})", "H": r"(\d{2})", "M": r"(\d{2})",
    "S": r"(\d{2}(?:\.\d{1,6})?)", "z": r"(Z|[+-]\d{2}:?\d{2})", "Z": r"(?:UTC|GMT|Z)",
}  # fmt: skip


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


# --- single values ------------------------------------------------------------------------------------------------


def _read(value: Any, zone: tzinfo, pattern: str | None, unit: str | None, window: Window | None) -> int:
    match value:
        case None | "":
            raise Unreadable("timestamp is empty")
        case bool():
            raise _flaw(value)
        case datetime():
            return _instant(value, zone)
        case date():
            return _instant(datetime(value.year, value.month, value.day), zone)  # noqa: DTZ001
        case int() | float() | Decimal():
            return _number(value, zone, pattern, unit, window)
        case str():
            return _text(value.strip(), zone, pattern, unit, window)
    raise _flaw(value)


def _text(text: str, zone: tzinfo, pattern: str | None, unit: str | None, window: Window | None) -> int:
    if not text:
        raise Unreadable("timestamp is empty")
    try:
        if pattern:
            return _patterned(text, pattern, zone)
        if (fine := _FINE_DATE.fullmatch(text)) and not unit:
            return _instant(_date(fine[1]).replace(microsecond=int(fine[2][:6].ljust(6, "0"))), zone)
        if _NUMBER.fullmatch(text):
            value = int(text[:40]) if text.lstrip("+-").isdecimal() else float(text)
            if abs(value) >= 1e20:
                raise ValueError(text)
            return _number(value, zone, None, unit, window)
        return _instant(_moment(text), zone)
    except (ValueError, OverflowError, OSError, LookupError):
        raise _flaw(text) from None


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
            return _instant(datetime.strptime(text, variant), zone)  # noqa: DTZ007
        except ValueError as flaw:
            error = flaw
    raise error or ValueError(text)


@lru_cache(64)
def _variants(pattern: str) -> tuple[str, ...]:
    if "%S.%f" in pattern:
        return pattern, pattern.replace("%S.%f", "%S")
    return (pattern, pattern.replace("%S", "%S.%f")) if "%S" in pattern and "%f" not in pattern else (pattern,)


def _instant(moment: datetime, zone: tzinfo) -> int:
    try:
        return _micros(moment if moment.tzinfo else moment.replace(tzinfo=zone))
    except OverflowError:
        raise _flaw(moment) from None


def _micros(moment: datetime) -> int:
    return (moment.astimezone(UTC) - _EPOCH) // _MICROSECOND


def _number(
    value: int | float | Decimal, zone: tzinfo, pattern: str | None, unit: str | None, window: Window | None
) -> int:
    """Return the instant a number names: what *pattern* or *unit* says, else its only plausible reading."""
    if value != value or not -1e20 < value < 1e20:
        raise _flaw(value)
    # A column of whole numbers with gaps is one of floats in many files.
    number: int | float = int(value) if value == int(value) else float(value)
    if pattern:
        try:
            return _patterned(str(number), pattern, zone)
        except (ValueError, LookupError, OverflowError):
            pass
    epoch = _as_epoch(number, unit)
    if unit:
        if epoch is None:
            raise _flaw(value)
        return epoch
    written = _as_date(number, zone)
    if window is None:
        return _likely(value, epoch, written)
    fitting = [reading for reading in (epoch, written) if reading is not None and reading in window]
    if len(fitting) == 1:
        return fitting[0]
    raise _doubtful(number, epoch, written, window, is_ambiguous=bool(fitting))


def _likely(value: Any, epoch: int | None, written: int | None) -> int:
    """Return the better reading of a number where nothing says which times are plausible."""
    # Ten digits are seconds until 2033 and more; no epoch of that length looks like a date.
    if written is not None and not 1e9 <= value < 1e10:
        return written
    if epoch is None or abs(value) < _SMALLEST:
        raise _flaw(value)
    return epoch


def _as_epoch(value: int | float, unit: str | None) -> int | None:
    unit = unit or _magnitude(value)
    if unit is None:
        return None
    if isinstance(value, int):
        micros = value // 1000 if unit == "ns" else value * int(UNITS[unit])
    else:
        micros = round(value * UNITS[unit])
    return micros if _LOWEST <= micros <= _HIGHEST else None


def _as_date(value: int | float, zone: tzinfo) -> int | None:
    if not isinstance(value, int) or len(digits := str(value)) not in _DATES or value < 0:
        return None
    try:
        moment = _date(digits)
    except ValueError:
        return None
    return _micros(moment.replace(tzinfo=zone)) if _FIRST_YEAR <= moment.year <= _LAST_YEAR else None


def _date(digits: str) -> datetime:
    """Return the clock that `20240301103000123` or its beginning shows; raises ValueError."""
    parts = [int(digits[start:stop]) for start, stop in ((0, 4), (4, 6), (6, 8))]
    parts += [int(digits[at : at + 2]) for at in range(8, min(len(digits), 14), 2)]
    moment = datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001
    return moment.replace(microsecond=int(digits[14:]) * 1000) if len(digits) > 14 else moment


def _magnitude(value: int | float) -> str | None:
    return next((name for limit, name in _MAGNITUDES if abs(value) < limit), None)


def _doubtful(value: Any, epoch: int | None, written: int | None, window: Window, *, is_ambiguous: bool) -> Unreadable:
    readings = []
    if epoch is not None:
        readings.append(f"{_shown(epoch)} as {_UNIT_NAMES[_magnitude(value) or 's']} since 1970")
    if written is not None:
        readings.append(f"{_shown(written)} as the digits of a date")
    meant = " and ".join(readings) or "no time at all"
    head = "timestamp is ambiguous" if is_ambiguous else "timestamp is not plausible for this import"
    return Unreadable(f"{head}: {shorten(value)} is {meant}, and its times are from {window}")


def _shown(micros: int) -> str:
    return (_EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")


def _flaw(value: Any) -> Unreadable:
    return Unreadable(f"timestamp cannot be read: {shorten(value)!r}")
