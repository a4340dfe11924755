"""A day as a database is given it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from posthog_assets.sources.account import Account

sa = pytest.importorskip("sqlalchemy", reason="needs the extra posthog_assets[sql]")

from posthog_assets.sources.sql import day_bounds  # noqa: E402
from posthog_assets.sources.sql.day_bounds import Bounds, account_of, of_backend, of_day, places, without_day  # noqa: E402

BERLIN = ZoneInfo("Europe/Berlin")
DAY = date(2024, 3, 31)
"""The clocks go forward at 2 in the morning."""


@pytest.mark.parametrize(
    ("bounds", "start", "end"),
    [
        ("naive", datetime(2024, 3, 31), datetime(2024, 4, 1)),  # noqa: DTZ001
        ("date", DAY, date(2024, 4, 1)),
        ("text", "2024-03-31", "2024-04-01"),
        ("digits", 20240331, 20240401),
        ("s", 1_711_839_600, 1_711_922_400),
        ("ms", 1_711_839_600_000, 1_711_922_400_000),
        ("us", 1_711_839_600_000_000, 1_711_922_400_000_000),
    ],
)
def test_a_day_of_a_clock_change_in_each_form(bounds: Bounds, start: Any, end: Any) -> None:
    assert of_day(DAY, BERLIN, bounds)[:2] == (start, end)


def test_a_bound_with_a_zone_is_the_instant() -> None:
    start, end, kind = of_day(DAY, BERLIN, "aware")
    assert (start.astimezone(UTC), end.astimezone(UTC)) == (
        datetime(2024, 3, 30, 23, tzinfo=UTC), datetime(2024, 3, 31, 22, tzinfo=UTC),
    )  # fmt: skip
    assert kind.timezone


def test_digits_are_text_where_the_column_is() -> None:
    assert of_day(date(33, 1, 2), BERLIN, "digits", sa.String(8))[:2] == ("00330102", "00330103")
    assert of_day(date(33, 1, 2), BERLIN, "digits", sa.Integer())[0] == 330102


@pytest.mark.parametrize(
    ("backend", "bounds"),
    [("sqlite", "text"), ("postgresql", "aware"), ("redshift", "aware"), ("mysql", "naive"), ("snowflake", "naive")],
)
def test_each_backend_has_a_form_that_suits_all_times(backend: str, bounds: str) -> None:
    assert of_backend(backend) == bounds


ROWS = [
    "2024-02-28 10:00", "2024-03-01", "2024-03-01T23:59:59.9", "2024-03-02 00:00", "2024-03-03", "0000-00-00",
    "in March", "", None, "9999-12-31 23:59",
]  # fmt: skip


def table() -> tuple[Any, Any]:
    engine = sa.create_engine("sqlite://")
    rows = sa.Table("rows", sa.MetaData(), sa.Column("at", sa.String))
    rows.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(rows.insert(), [{"at": value} for value in ROWS])
    return engine, rows


def test_rows_without_a_day_are_those_that_are_no_dates() -> None:
    engine, rows = table()
    with engine.connect() as connection:
        found = connection.execute(sa.select(rows.c.at).where(without_day(rows.c.at, "text")))
        assert [value for (value,) in found] == ["0000-00-00", "in March", "", None]


def test_one_row_says_where_all_rows_are() -> None:
    engine, rows = table()
    days = date(2024, 3, 1), date(2024, 3, 2)
    with engine.connect() as connection:
        row = connection.execute(places(rows, rows.c.at, days, ZoneInfo("UTC"), "text", sa.String())).one()
    assert account_of(row, ZoneInfo("UTC"), "text") == Account("text", 10, 3, 4, 3, "2024-02-28", "9999-12-31")


def test_a_table_without_rows_is_an_account_of_nothing() -> None:
    assert account_of([0, None, None, None, None, None, None, None], BERLIN, "s") == Account("s", 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("bounds", "value", "day"),
    [
        ("s", 1_711_839_600, "2024-03-31"),
        ("ms", 1_711_839_599_999, "2024-03-30"),
        ("digits", 20240331, "2024-03-31"),
        ("text", "2024-03-31 00:00:00", "2024-03-31"),
        ("aware", datetime(2024, 3, 30, 23, tzinfo=UTC), "2024-03-31"),
    ],
)
def test_the_ends_outside_are_days_of_the_zone(bounds: Bounds, value: Any, day: str) -> None:
    account = account_of([1, 0, 1, value, value, 0, None, None], BERLIN, bounds)
    assert (account.first_outside, account.last_outside) == (day, day)


def test_no_form_of_text_is_asked_of_numbers_and_times() -> None:
    column: Any = sa.column("at")
    forms: tuple[Bounds, ...] = ("aware", "naive", "date", "s", "ms", "us", "digits")
    assert [day_bounds.form_of_text(column, form, sa.Integer()) for form in forms] == [None] * 7
