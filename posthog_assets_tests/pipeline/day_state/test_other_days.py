"""Whether the events of a day lie near it."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from posthog_assets.pipeline.day_state.other_days import far_from_day

DAY = date(2024, 3, 5)


@pytest.mark.parametrize(
    ("first", "last", "is_far"),
    [
        ("2024-03-05T10:00Z", "2024-03-05T11:00Z", False),
        ("2024-03-03T00:00Z", "2024-03-03T01:00Z", False),
        ("2024-03-07T23:00Z", "2024-03-07T23:00Z", False),
        ("2023-01-01T00:00Z", "2024-03-05T00:00Z", False),
        ("2024-05-03T10:00Z", "2024-05-03T11:00Z", True),
        ("1970-01-20T00:00Z", "1970-01-20T00:00Z", True),
    ],
)
def test_a_day_is_far_off_where_all_of_its_events_are(first: str, last: str, is_far: bool) -> None:
    assert (far_from_day(DAY, datetime.fromisoformat(first), datetime.fromisoformat(last)) is not None) is is_far


def test_the_days_they_are_of_are_named() -> None:
    words = far_from_day(DAY, datetime(2024, 1, 3, tzinfo=UTC), datetime(2024, 2, 3, tzinfo=UTC))
    assert (words or "").startswith("2024-03-05: all of its events are of 2024-01-03 to 2024-02-03. See whether")
