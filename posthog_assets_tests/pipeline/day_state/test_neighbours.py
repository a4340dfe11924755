"""A day with far fewer or far more records than days like it is noticed."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from posthog_assets.pipeline.day_state.neighbours import Neighbours, neighbours
from posthog_assets.pipeline.export import export_day
from posthog_assets_tests.conftest import small_import

FRIDAY = date(2024, 3, 29)


def test_a_day_is_compared_with_the_same_weekday_of_the_weeks_around_it(tmp_path: Path) -> None:
    imp = small_import(tmp_path)
    (tmp_path / "exports").mkdir()
    counts = {-28: 200, -14: 100, 7: 300, 1: 5}
    for distance, count in counts.items():
        day = FRIDAY + timedelta(days=distance)
        line = json.dumps({"id": 1, "user": "a", "at": f"{day}T10:00:00Z", "what": "x"})
        (tmp_path / f"exports/{day}.jsonl").write_text(f"{line}\n" * count)
        export_day(imp, day)
    near = neighbours(imp.store, FRIDAY, 16)
    assert near == Neighbours(FRIDAY, 16, 3, 200)
    assert near.is_far_off
    assert near.words == (
        "2024-03-29 has 16 records, 8% of the median of 3 Fridays around it (200): see whether its export is whole"
    )


@pytest.mark.parametrize(
    ("records", "days", "median", "far"),
    [(24, 3, 100, True), (25, 3, 100, False), (400, 3, 100, False), (401, 3, 100, True), (0, 3, 99, False),
     (0, 2, 10_000, False), (500, 8, 0, True)],
)  # fmt: skip
def test_only_a_large_difference_from_several_days_counts(records: int, days: int, median: float, far: bool) -> None:
    near = Neighbours(FRIDAY, records, days, median)
    assert near.is_far_off is far
    assert near.words
