"""What a bare number counts: an epoch, or the digits of a date."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from posthog_assets.core.instants import NoInstant, Window, as_text
from posthog_assets.core.timestamp_numbers import clock_of_digits, magnitude, read_number, whole_if_equal

WINDOW = Window.of(date(2024, 3, 1), datetime(2024, 3, 5, tzinfo=UTC))


def read(value: int | float | Decimal, unit: str | None = None, window: Window | None = None, zone: str = "UTC") -> str:
    return as_text(read_number(value, ZoneInfo(zone), unit, window))


@pytest.mark.parametrize(
    ("value", "unit"),
    [(10**11 - 1, "s"), (10**11, "ms"), (10**14 - 1, "ms"), (10**14, "us"), (10**17, "ns"), (10**20, None), (-5, "s")],
)
def test_the_magnitude_of_an_epoch_says_its_unit(value: int, unit: str | None) -> None:
    assert magnitude(value) == unit


@pytest.mark.parametrize(
    ("value", "unit", "instant"),
    [
        (20240301, "s", "1970-08-23T06:18:21Z"),
        (1_709_287_200_123, "ms", "2024-03-01T10:00:00.123000Z"),
        (1_709_287_200_123_456_789, "ns", "2024-03-01T10:00:00.123456Z"),
        (-1, "us", "1969-12-31T23:59:59.999999Z"),
        (Decimal("1709287200.25"), "s", "2024-03-01T10:00:00.250000Z"),
    ],
)
def test_a_unit_leaves_nothing_to_guess(value: int | Decimal, unit: str, instant: str) -> None:
    assert read(value, unit) == instant
    # Nor does the window matter, since nothing is guessed.
    assert read(value, unit, Window(0, 1)) == instant


def test_digits_of_a_date_are_a_clock_in_the_zone_of_the_column() -> None:
    assert read(20240301, zone="America/New_York") == "2024-03-01T05:00:00Z"
    assert read(20240301103015250) == "2024-03-01T10:30:15.250000Z"


def test_a_whole_number_written_as_a_float_reads_as_whole() -> None:
    assert read(20240301.0) == read(20240301) == "2024-03-01T00:00:00Z"
    assert whole_if_equal(Decimal("5.0")) == 5


def test_ten_digits_without_a_window_are_seconds_and_with_one_what_is_plausible() -> None:
    # Also 10 o'clock of 1 March 2024.
    assert read(2024030110) == "2034-02-20T06:35:10Z"
    assert read(2024030110, window=WINDOW) == "2024-03-01T10:00:00Z"


def test_two_plausible_readings_are_none() -> None:
    window = Window.of(date(2024, 3, 1), datetime(2038, 1, 1, tzinfo=UTC))
    with pytest.raises(NoInstant) as caught:
        read(2024030110, window=window)
    assert str(caught.value) == (
        "timestamp is ambiguous: 2024030110 is 2034-02-20T06:35:10Z as seconds since 1970 and 2024-03-01T10:00:00Z as "
        "the digits of a date, and its times are from 2004-01-01 to 2038-01-01"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), 1e20, -(10**20), 10**20])
def test_what_no_epoch_reaches_is_unreadable(value: float) -> None:
    with pytest.raises(NoInstant, match="timestamp cannot be read"):
        read(value)


def test_a_small_number_without_a_window_is_some_other_number() -> None:
    assert read(100_000_000) == "1973-03-03T09:46:40Z"
    with pytest.raises(NoInstant, match="timestamp cannot be read: '99999999'"):
        read(99_999_999)


def test_digits_that_are_no_date_raise() -> None:
    assert clock_of_digits("202402291030") == datetime(2024, 2, 29, 10, 30)  # noqa: DTZ001
    with pytest.raises(ValueError, match=r"day.*(month|range)"):
        clock_of_digits("20230229")
