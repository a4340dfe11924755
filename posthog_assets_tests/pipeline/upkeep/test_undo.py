"""The query by which PostHog deletes an import."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.pipeline.upkeep.undo import deletion_query, mark_undone, plan_undo
from posthog_assets_tests.conftest import small_import


def test_days_that_follow_each_other_are_named_by_the_first_and_the_last(tmp_path: Path) -> None:
    days = [date(2024, 2, 29), date(2024, 3, 1)]
    assert deletion_query(small_import(tmp_path), days) == (
        "SELECT uuid FROM events\nWHERE properties.$import_job_id = 'small'\n"
        "  AND properties.$import_day >= '2024-02-29' AND properties.$import_day <= '2024-03-01'\n"
    )


def test_days_with_a_gap_are_named_one_by_one(tmp_path: Path) -> None:
    days = [date(2024, 3, 3), date(2024, 3, 1)]
    assert "properties.$import_day IN ('2024-03-01', '2024-03-03')" in deletion_query(small_import(tmp_path), days)


def test_the_query_goes_by_the_markers_that_the_import_file_names(tmp_path: Path) -> None:
    imp = small_import(tmp_path, mapping={"markers": {"import_name": "imported_by", "day": "imported_day"}})
    query = deletion_query(imp, [date(2024, 3, 1)])
    assert "properties.imported_by = 'small'" in query
    assert "properties.imported_day >= '2024-03-01'" in query


def test_without_a_day_there_is_no_query(tmp_path: Path) -> None:
    # A query without a day would delete the whole import.
    with pytest.raises(ImportFileError, match="small has no acknowledged events on these days"):
        deletion_query(small_import(tmp_path), [])


def test_a_day_that_was_never_sent_is_no_part_of_the_plan(tmp_path: Path) -> None:
    imp = small_import(tmp_path)
    plan = plan_undo(imp, [date(2024, 3, 1)])
    assert (plan.days, plan.total) == ([], 0)
    assert mark_undone(imp, [date(2024, 3, 1)]) == 0
