"""What one value means, by its type."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from posthog_assets.core.instants import NoInstant, as_text
from posthog_assets.core.timestamp_values import read_value

BERLIN = ZoneInfo("Europe/Berlin")


def read(value: Any, pattern: str | None = None, unit: str | None = None) -> str:
    return as_text(read_value(value, BERLIN, pattern, unit, None))


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        (date(2024, 3, 1), "2024-02-29T23:00:00Z"),
        (datetime(2024, 3, 1, 12), "2024-03-01T11:00:00Z"),  # noqa: DTZ001
        (datetime(2024, 3, 1, 12, tzinfo=UTC), "2024-03-01T12:00:00Z"),
        (" 2024-03-01T12:00:00.1234567 ", "2024-03-01T11:00:00.123456Z"),
        ("20240301120000.5", "2024-03-01T11:00:00.500000Z"),
        ("1.7092872E9", "2024-03-01T10:00:00Z"),
    ],
)
def test_each_type_is_read_as_what_it_holds(value: Any, instant: str) -> None:
    assert read(value) == instant


@pytest.mark.parametrize("value", [None, "", "  "])
def test_nothing_is_empty_rather_than_unreadable(value: str | None) -> None:
    with pytest.raises(NoInstant, match=r"^timestamp is empty$"):
        read(value)


@pytest.mark.parametrize("value", [True, [], {"t": 1}, b"2024-03-01", "1e20", "٢٠٢٤-٠٣-٠١", "2024-02-30"])
def test_what_is_no_time_says_so_with_the_value(value: Any) -> None:
    with pytest.raises(NoInstant, match="timestamp cannot be read: "):
        read(value)


def test_a_number_is_read_by_the_pattern_where_it_follows_it_and_as_a_bare_number_else() -> None:
    assert read(20240103, "%Y%d%m") == "2024-02-29T23:00:00Z"
    assert read(1709287200, "%Y%d%m") == "2024-03-01T10:00:00Z"


def test_a_zone_by_its_full_name_is_known_and_an_abbreviation_of_several_is_not() -> None:
    assert read("2024-03-01 12:00:00 Asia/Tokyo") == "2024-03-01T03:00:00Z"
    with pytest.raises(NoInstant):
        read("2024-03-01 12:00:00 CST")


def test_a_pattern_takes_a_fraction_that_it_does_not_name_and_misses_none_that_it_does() -> None:
    assert read("01.03.2024 12:00:00.25", "%d.%m.%Y %H:%M:%S") == "2024-03-01T11:00:00.250000Z"
    assert read("01.03.2024 12:00:00", "%d.%m.%Y %H:%M:%S.%f") == "2024-03-01T11:00:00Z"
