"""Which columns are read at once; the others are left to the reading of single values."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from posthog_assets.core.instants import Window
from posthog_assets.core.timestamp_columns import read_together

WINDOW = Window.of(date(2024, 3, 1), datetime(2024, 3, 5, tzinfo=UTC))
TEN = datetime(2024, 3, 1, 10, tzinfo=UTC)


def read(values: list[Any], pattern: str | None = None, unit: str | None = None, zone: str = "UTC") -> list[Any] | None:
    found = read_together(values, zone, pattern, unit, WINDOW)
    return None if found is None else found.to_pylist()


def test_milliseconds_are_read_at_once_and_stay_exact() -> None:
    stamps = read_together([1_709_251_200_123, 1_709_251_200_124], "UTC", None, None, None)
    assert stamps is not None
    assert stamps.to_pylist() == [
        datetime(2024, 3, 1, 0, 0, 0, 123_000, tzinfo=UTC), datetime(2024, 3, 1, 0, 0, 0, 124_000, tzinfo=UTC),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "pattern", "zone"),
    [
        ("2024-03-01T10:00:00Z", None, "UTC"),
        ("2024-03-01 10:00:00 UTC", None, "Asia/Tokyo"),
        ("2024-03-01 11:00:00", None, "Europe/Berlin"),
        ("2024-03-01T10:00:00.000000123Z", None, "UTC"),
        ("1709287200", None, "UTC"),
        (1_709_287_200, None, "UTC"),
        (202403011000, None, "UTC"),
        ("01.03.2024 11:00:00.000", "%d.%m.%Y %H:%M:%S", "Europe/Berlin"),
        ("01/03/2024 11:00:00 +0100", "%d/%m/%Y %H:%M:%S %z", "UTC"),
        (datetime(2024, 3, 1, 11), None, "Europe/Berlin"),  # noqa: DTZ001
        (TEN, None, "Asia/Tokyo"),
    ],
)
def test_the_usual_forms_are_read_at_once(value: Any, pattern: str | None, zone: str) -> None:
    assert read([value, value], pattern, zone=zone) == [TEN, TEN]


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1.5],
        ["2024-03-01 10:00:00", "soon"],
        ["2024-03-01 10:00:00 UTC", "2024-03-01 10:00:00"],
        # One of seconds, one of milliseconds.
        [1_709_287_200, 1_709_287_200_000],
        # Ten digits can be either.
        [2024030110],
        # Not of this import.
        [1_924_992_000],
        [2**63],
        [TEN, datetime(2024, 3, 1)],  # noqa: DTZ001
    ],
)
def test_what_is_not_of_one_form_or_not_certain_is_left_to_the_single_values(values: list[Any]) -> None:
    assert read(values) is None


def test_a_clock_that_was_skipped_is_left_to_the_single_values() -> None:
    assert read(["2024-03-31 02:30:00"], zone="Europe/Berlin") is None


def test_nanoseconds_and_patterns_with_names_of_months_are_left_to_the_single_values() -> None:
    assert read([1_709_287_200_000_000_000], unit="ns") is None
    assert read(["01 Mar 2024"], "%d %b %Y") is None
