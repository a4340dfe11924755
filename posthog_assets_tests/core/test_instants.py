"""Which instants can be held, and which an import can have."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from posthog_assets.core.instants import HIGHEST, LOWEST, NoInstant, Window, as_micros, as_text, instant_of, unreadable


def test_an_import_can_have_times_of_twenty_years_before_it_and_of_a_day_after_its_export() -> None:
    window = Window.of(date(2024, 3, 1), datetime(2024, 3, 5, 12, tzinfo=UTC))
    assert (as_text(window.first), as_text(window.last)) == ("2004-01-01T00:00:00Z", "2024-03-06T11:00:00Z")
    assert str(window) == "2004-01-01 to 2024-03-06"


def test_both_ends_of_a_window_are_in_it() -> None:
    window = Window(10, 20)
    assert [micros in window for micros in (9, 10, 20, 21)] == [False, True, True, False]


def test_an_import_of_the_first_years_begins_with_the_first() -> None:
    assert as_text(Window.of(date(5, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)).first) == "0001-01-01T00:00:00Z"


def test_the_limits_are_those_of_four_digits_of_a_year() -> None:
    assert as_micros(datetime(1, 1, 1, tzinfo=UTC)) == LOWEST
    assert as_micros(datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == HIGHEST
    assert as_text(HIGHEST) == "9999-12-31T23:59:59.999999Z"


def test_a_clock_with_a_zone_keeps_it_and_one_without_is_in_the_given_one() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert as_text(instant_of(datetime(2024, 3, 1, 12), berlin)) == "2024-03-01T11:00:00Z"  # noqa: DTZ001
    assert as_text(instant_of(datetime(2024, 3, 1, 12, tzinfo=UTC), berlin)) == "2024-03-01T12:00:00Z"


def test_a_clock_whose_instant_lies_before_the_year_1_is_none() -> None:
    with pytest.raises(NoInstant, match=r"timestamp cannot be read: 'datetime\.datetime\(1, 1, 1"):
        instant_of(datetime(1, 1, 1), timezone(timedelta(hours=1)))  # noqa: DTZ001


def test_the_reason_shows_the_value_cut_to_200_characters() -> None:
    assert str(unreadable("x" * 300)) == f"timestamp cannot be read: '{'x' * 199}…'"
