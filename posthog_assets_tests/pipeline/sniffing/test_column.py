"""What the values of one column can be."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from posthog_assets.pipeline.sniffing.column import Column


def column(*values: Any, path: str = "a") -> Column:
    return Column(path, values, len(values))


@pytest.mark.parametrize(
    ("values", "share"),
    [
        (("2024-03-01T10:00:00Z", "soon"), 0.5),
        ((1_709_287_200, 1_709_287_200_123), 1.0),
        # Before 1995, and in a thousand years.
        (("1994-12-31T23:59:59Z", "3024-03-01T10:00:00Z", "1995-01-01T00:00:00Z"), 1 / 3),
        ((True, 1_709_287_200), 0.0),
        ((["2024-03-01T10:00:00Z"],), 0.0),
        (("01/31/2024 10:00",) * 3, 1.0),
    ],
)
def test_the_share_of_instants_is_that_of_plausible_ones(values: tuple[Any, ...], share: float) -> None:
    assert column(*values).times == share


@pytest.mark.parametrize(
    ("value", "zoned"),
    [
        ("2024-03-01T10:00:00Z", True), ("2024-03-01 10:00:00 +01:00", True), ("2024-03-01 10:00:00 UTC", True),
        ("2024-03-01 10:00 Europe/Berlin", True), (1_709_287_200, True), ("1709287200.5", True),
        ("2024-03-01T10:00:00", False), ("20240301", False), ("20240301100000", False), (date(2024, 3, 1), False),
        (datetime(2024, 3, 1), False), (datetime(2024, 3, 1, tzinfo=UTC), True),  # noqa: DTZ001
    ],
)  # fmt: skip
def test_a_value_says_its_zone_or_is_an_epoch_that_needs_none(value: Any, zoned: bool) -> None:
    assert column(value).is_zoned is zoned


def test_times_without_a_time_of_day_are_days() -> None:
    assert column("2024-03-01", "2024-03-02").is_of_days
    assert not column("2024-03-01", "2024-03-02T00:00:01").is_of_days
    assert not column("2024-03-01", "2024-03-01").is_of_days


@pytest.mark.parametrize(
    ("values", "is_scalar"),
    [(("a", 7, 7.0), True), ((7.5,), False), ((True,), False), (([],), False), ((float("inf"),), False)],
)
def test_an_id_is_text_or_a_whole_number(values: tuple[Any, ...], is_scalar: bool) -> None:
    assert column(*values).is_scalar is is_scalar


def test_names_are_the_last_parts_of_a_path() -> None:
    inner = column(1, path="event.Actor.User_ID")
    assert (inner.name, inner.owner, column(1, path="id").owner) == ("userid", "actor", "")
    assert [column(1, path=path).has_no_name for path in ("column_1", "column_1x", "Column_1")] == [True, False, False]


def test_of_very_many_values_some_from_all_over_are_looked_at_and_all_are_counted() -> None:
    many = Column("a", range(1_001), 2_002)
    assert (list(many.some)[:2], many.some[-1], len(many.some)) == ([0, 3], 999, 334)
    assert (many.distinct, many.unique, many.filled) == (1_001, True, 0.5)


def test_times_of_day_are_clocks() -> None:
    assert column("10:00", "9:05:01.5 PM").is_clock
    assert not column("10:00", "2024-03-01 10:00").is_clock
