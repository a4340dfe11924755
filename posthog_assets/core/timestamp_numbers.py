"""What a number means as an instant: an epoch in one of four units, or the digits of a date.

Belongs here: both readings of a number, and which of them holds. Does not belong here: numbers that a pattern describes
(`timestamp_values`), whole columns of numbers (`timestamp_columns`).

A number says nothing of what it counts, so its reading must be plausible (`Window`): it is never guessed wrong, but
unreadable, with both readings in the reason.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any, Final

from posthog_assets.core.errors import shorten
from posthog_assets.core.instants import HIGHEST, LOWEST, NoInstant, Window, as_micros, as_text, unreadable

#: µs per unit of an epoch.
UNITS: Final = {"s": 1_000_000.0, "ms": 1_000.0, "us": 1.0, "ns": 0.001}
_UNIT_NAMES: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}

#: An epoch below the limit is in the unit: seconds until the year 5138, and so on.
_MAGNITUDES: Final = ((1e11, "s"), (1e14, "ms"), (1e17, "us"), (1e20, "ns"))

#: Where no window is known, an epoch of fewer digits than this has in seconds (1973) is no time but some other number.
SMALLEST: Final = 100_000_000

#: Numbers of digits that can be a date: year, month, day, then hour, minute, second, millisecond.
_DATES: Final = (8, 10, 12, 14, 17)
#: Their first and last year where no window is known, and where a whole column is looked at.
_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 2199
#: The numbers that may be dates by these years, by number of digits.
DATE_RANGES: Final = tuple(
    (int(f"{_FIRST_YEAR}0101".ljust(digits, "0")), int(f"{_LAST_YEAR}1231".ljust(digits, "9"))) for digits in _DATES
)


def read_number(value: int | float | Decimal, zone: tzinfo, unit: str | None, window: Window | None) -> int:
    """Return the instant that a number names: in *unit* since 1970, without one its only plausible reading.

    *zone* is that of the digits of a date.

    Raises:
        NoInstant: it names none, or *window* holds both readings or neither.
    """
    number = whole_if_equal(value)
    epoch = as_epoch(number, unit)
    if unit:
        if epoch is None:
            raise unreadable(value)
        return epoch
    written = _as_date(number, zone)
    if window is None:
        return _likely(value, epoch, written)
    fitting = [reading for reading in (epoch, written) if reading is not None and reading in window]
    if len(fitting) == 1:
        return fitting[0]
    raise _doubtful(number, epoch, written, window, is_ambiguous=bool(fitting))


def whole_if_equal(value: int | float | Decimal) -> int | float:
    """Return *value* as a whole number where it is one: a column of these with gaps is one of floats in many files.

    Raises:
        NoInstant: it is beyond every epoch, or no number.
    """
    if value != value or not -1e20 < value < 1e20:
        raise unreadable(value)
    return int(value) if value == int(value) else float(value)


def _likely(value: Any, epoch: int | None, written: int | None) -> int:
    """Return the better reading of a number where nothing says which times are plausible."""
    # Ten digits are seconds until 2033 and more; no epoch of that length looks like a date.
    if written is not None and not 1e9 <= value < 1e10:
        return written
    if epoch is None or abs(value) < SMALLEST:
        raise unreadable(value)
    return epoch


def as_epoch(value: int | float, unit: str | None) -> int | None:
    """Return the instant *value* counts to, in *unit* or what its magnitude suggests; None outside years 1 to 9999."""
    unit = unit or magnitude(value)
    if unit is None:
        return None
    if isinstance(value, int):
        micros = value // 1000 if unit == "ns" else value * int(UNITS[unit])
    else:
        micros = round(value * UNITS[unit])
    return micros if LOWEST <= micros <= HIGHEST else None


def _as_date(value: int | float, zone: tzinfo) -> int | None:
    if not isinstance(value, int) or len(digits := str(value)) not in _DATES or value < 0:
        return None
    try:
        moment = clock_of_digits(digits)
    except ValueError:
        return None
    return as_micros(moment.replace(tzinfo=zone)) if _FIRST_YEAR <= moment.year <= _LAST_YEAR else None


def clock_of_digits(digits: str) -> datetime:
    """Return the clock that `20240301103000123` or its beginning shows; raises ValueError."""
    parts = [int(digits[start:stop]) for start, stop in ((0, 4), (4, 6), (6, 8))]
    parts += [int(digits[at : at + 2]) for at in range(8, min(len(digits), 14), 2)]
    moment = datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001
    return moment.replace(microsecond=int(digits[14:]) * 1000) if len(digits) > 14 else moment


def magnitude(value: int | float) -> str | None:
    """Return the unit that an epoch of this size is in; None where it is too large for any."""
    return next((name for limit, name in _MAGNITUDES if abs(value) < limit), None)


def _doubtful(value: Any, epoch: int | None, written: int | None, window: Window, *, is_ambiguous: bool) -> NoInstant:
    readings = []
    if epoch is not None:
        readings.append(f"{as_text(epoch)} as {_UNIT_NAMES[magnitude(value) or 's']} since 1970")
    if written is not None:
        readings.append(f"{as_text(written)} as the digits of a date")
    meant = " and ".join(readings) or "no time at all"
    head = "timestamp is ambiguous" if is_ambiguous else "timestamp is not plausible for this import"
    return NoInstant(f"{head}: {shorten(value)} is {meant}, and its times are from {window}")
