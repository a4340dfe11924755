"""Which day a value names."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from posthog_assets.sources.files.record_days import Days, at_path


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2013-01-01T10:00:00Z", "2013-01-01"),
        ("2013-01-01 10:00:00.123 UTC", "2013-01-01"),
        ("2013-01-01", "2013-01-01"),
        ("20130101", "2013-01-01"),
        ("2013-01-01T23:30:00-05:00", "2013-01-02"),
        (" 2013-01-01T00:00:00+00 ", "2013-01-01"),
        (1_356_998_400, "2013-01-01"),
        (1_356_998_400_000, "2013-01-01"),
        (1_356_998_400_000_000, "2013-01-01"),
        (1_356_998_400_000_000_000, "2013-01-01"),
        ("1356998400.5", "2013-01-01"),
        (date(2013, 1, 1), "2013-01-01"),
        (datetime(2013, 1, 1, 23, tzinfo=timezone(timedelta(hours=-2))), "2013-01-02"),
        ("2013-02-30", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (True, None),
        ({}, None),
        (float("nan"), None),
        (1e30, None),
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-2))), None),
    ],
)
def test_a_value_names_a_day_in_utc_or_none(value: Any, day: str | None) -> None:
    assert Days(UTC)(value) == day


def test_days_may_be_those_of_another_zone() -> None:
    berlin = Days(ZoneInfo("Europe/Berlin"))
    assert berlin("2013-01-01T23:30:00Z") == "2013-01-02"
    assert berlin("2013-01-01T23:30:00") == "2013-01-01"
    assert berlin(1_357_081_200) == "2013-01-02"


def test_a_column_of_that_very_name_comes_before_a_path() -> None:
    assert at_path({"a.b": 1, "a": {"b": 2}}, "a.b") == 1
    assert at_path({"a": {"b": 2}}, "a.b") == 2
    assert at_path({"a": 3}, "a.b") is None
