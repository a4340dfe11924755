"""The bounds of days as a database is given them, and where the rows of a table lie between them.

Belongs here: a day's bounds in each form, the conditions of rows of a day and without one, counting rows by place. Does
not belong here: which rows are wanted (`source`), connecting (`database`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal
from zoneinfo import ZoneInfo

from posthog_assets.sources.account import Account
from posthog_assets.sources.files.record_days import Days

if TYPE_CHECKING:
    from sqlalchemy import Select

#: How a bound of a day is given to the database.
Bounds = Literal["aware", "naive", "date", "text", "digits", "s", "ms", "us"]

_UNITS: Final = {"s": 1, "ms": 1_000, "us": 1_000_000}
_DAY: Final = timedelta(days=1)


def of_backend(backend: str) -> Bounds:
    """Return the bounds that suit every type of time: PostgreSQL reads the others in the session's zone."""
    if backend == "sqlite":
        return "text"
    return "aware" if backend in ("postgresql", "redshift") else "naive"


def of_day(day: date, zone: ZoneInfo, bounds: Bounds, column_type: Any = None) -> tuple[Any, Any, Any]:
    """Return the start of *day* (included), its end (excluded), and their SQLAlchemy type.

    *column_type* is that of the column they are compared with, where it is known: digits may be text.
    """
    import sqlalchemy as sa

    start, end = (datetime.combine(at, time(), zone) for at in (day, day + _DAY))
    match bounds:
        case "aware":
            return start, end, sa.DateTime(timezone=True)
        case "naive":
            return start.replace(tzinfo=None), end.replace(tzinfo=None), sa.DateTime()
        case "date":
            return day, day + _DAY, sa.Date()
        case "text":
            # `2024-03-01` sorts before every time of that day, written with a blank or a T, with or without µs.
            return day.isoformat(), (day + _DAY).isoformat(), sa.String()
        case "digits":
            return _digits(day, column_type), _digits(day + _DAY, column_type), _type_of_digits(column_type)
    unit = _UNITS[bounds]
    return int(start.timestamp()) * unit, int(end.timestamp()) * unit, sa.BigInteger()


def is_of_day(column: Any, day: date, zone: ZoneInfo, bounds: Bounds, column_type: Any) -> Any:
    """Return the condition of the rows that are of *day*."""
    import sqlalchemy as sa

    start, end, kind = of_day(day, zone, bounds, column_type)
    form = form_of_text(column, bounds, column_type)
    bounded = [column >= sa.literal(start, kind), column < sa.literal(end, kind)]
    return sa.and_(*bounded, *([form] if form is not None else []))


def without_day(column: Any, bounds: Bounds, column_type: Any = None) -> Any:
    """Return the condition of the rows that are no day's: no value, or one that lies beyond all days.

    The latter are `infinity` and the years PostgreSQL has more of, MySQL's zero dates, a float that is no number; and
    what SQLite, which keeps in any column what it is given, sorts below or above all texts. Between these ends the days
    are laid side by side, in whatever order the database's collation has: each value is in one of them.
    """
    import sqlalchemy as sa

    first, last, kind = _ends(bounds, column_type)
    beyond = [column.is_(None), column < sa.literal(first, kind), column > sa.literal(last, kind)]
    form = form_of_text(column, bounds, column_type)
    return sa.or_(*beyond, *([sa.not_(form)] if form is not None else []))


def form_of_text(column: Any, bounds: Bounds, column_type: Any = None) -> Any:
    """Return the condition that a text begins with a date; others sort between days that they are not of.

    None where the bounds are no texts. No pattern that all databases know has digits in it, so they become zeros first.
    """
    import sqlalchemy as sa

    if bounds == "text":
        form = "0000-00-00%"
    elif bounds == "digits" and isinstance(column_type, sa.String):
        form = "00000000%"
    else:
        return None
    text = column
    for digit in "123456789":
        text = sa.func.replace(text, digit, "0", type_=sa.String())
    return text.like(form)


def places(
    rows: Any, column: Any, days: tuple[date, date], zone: ZoneInfo, bounds: Bounds, column_type: Any
) -> Select[Any]:
    """Return a SELECT of one row: how many there are, and how many without a day, before and after *days*.

    Of the latter two it has the least and the greatest value. `account_of` reads it.
    """
    import sqlalchemy as sa

    none = without_day(column, bounds, column_type)
    start, _, kind = of_day(days[0], zone, bounds, column_type)
    _, end, _ = of_day(days[1], zone, bounds, column_type)
    found = [sa.func.count().label("records"), sa.func.sum(sa.case((none, 1), else_=0)).label("without_day")]
    for name, is_there in (("early", column < sa.literal(start, kind)), ("late", column >= sa.literal(end, kind))):
        value = sa.case((none, sa.null()), (is_there, column))
        found += [
            sa.func.sum(sa.case((none, 0), (is_there, 1), else_=0)).label(name),
            sa.func.min(value).label(f"{name}_first"),
            sa.func.max(value).label(f"{name}_last"),
        ]
    return sa.select(*found).select_from(rows)


def account_of(row: Sequence[Any], zone: ZoneInfo, bounds: Bounds) -> Account:
    """Return what the row of `places` says; all numbers of a table without rows are null."""
    records, without, early, early_first, early_last, late, late_first, late_last = row
    records, without, early, late = (int(number or 0) for number in (records, without, early, late))
    first, last = early_first if early else late_first, late_last if late else early_last
    return Account(
        bounds, records, records - without - early - late, without, early + late,
        _day(first, zone, bounds) if early or late else None, _day(last, zone, bounds) if early or late else None,
    )  # fmt: skip


def _day(value: Any, zone: ZoneInfo, bounds: Bounds) -> str:
    text = str(value)
    if bounds == "text":
        return text[:10]
    if bounds == "digits":
        return f"{text[:4]}-{text[4:6]}-{text[6:8]}"
    return Days(zone, None, bounds if bounds in _UNITS else None)(value) or text


def _ends(bounds: Bounds, column_type: Any) -> tuple[Any, Any, Any]:
    """Return the first and the last value that may have a day, and their SQLAlchemy type."""
    import sqlalchemy as sa

    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    match bounds:
        case "aware":
            return first, last, sa.DateTime(timezone=True)
        case "naive":
            return first.replace(tzinfo=None), last.replace(tzinfo=None), sa.DateTime()
        case "date":
            return date.min, date.max, sa.Date()
        case "text":
            # A letter sorts after every time of the last day.
            return date.min.isoformat(), f"{date.max}Z", sa.String()
        case "digits":
            kind = _type_of_digits(column_type)
            return _digits(date.min, column_type), _digits(date.max, column_type), kind
    unit = _UNITS[bounds]
    return int(first.timestamp()) * unit, int(last.replace(microsecond=0).timestamp()) * unit, sa.BigInteger()


def _digits(day: date, column_type: Any) -> int | str:
    import sqlalchemy as sa

    text = f"{day:%Y%m%d}".zfill(8)
    return text if isinstance(column_type, sa.String) else int(text)


def _type_of_digits(column_type: Any) -> Any:
    import sqlalchemy as sa

    return sa.String() if isinstance(column_type, sa.String) else sa.BigInteger()
