"""What Dagster shows of a partition."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from posthog_assets.orchestration.assets.metadata import draw, speed, table, times


def test_a_table_has_the_largest_count_first_and_a_hundred_rows_at_most() -> None:
    counts = {f"n{number:03d}": number % 7 for number in range(150)} | {"b": 99, "a": 99}
    rows = [record.data for record in table("names", counts, "event")["names"].records]
    assert rows[:2] == [{"event": "a", "events": 99}, {"event": "b", "events": 99}]
    assert len(rows) == 100


def test_nothing_to_count_is_no_entry() -> None:
    assert table("names", {}, "event") == {}
    assert times(None, None) == {}


@pytest.mark.parametrize(
    ("count", "seconds", "found"),
    [(10, 4.0, {"seconds": 4.0, "events_per_second": 2.5}), (0, 4.0, {"seconds": 4.0}), (10, 0.0, {"seconds": 0.0})],
)
def test_there_is_a_speed_only_where_there_was_something_to_do(
    count: int, seconds: float, found: dict[str, float]
) -> None:
    assert speed(count, seconds) == found


def test_times_are_written_with_their_zone() -> None:
    at = datetime(2024, 3, 1, 10, tzinfo=UTC)
    assert times(at, at)["first_event"] == "2024-03-01T10:00:00+00:00"


def test_an_hour_with_a_single_event_is_seen_beside_one_of_a_million() -> None:
    assert 'd="M0 40V0M2 40V39"' in draw([1_000_000, 0, 1])
