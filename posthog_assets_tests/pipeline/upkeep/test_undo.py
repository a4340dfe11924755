"""The query by which PostHog deletes an import."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.destination.entries import Entries
from posthog_assets.destination.ledger import BatchFacts, Ledger
from posthog_assets.pipeline.upkeep import undo
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


def test_a_long_day_is_taken_back_in_several_files_each_event_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imp, numbers = small_import(tmp_path), np.arange(1, 6, dtype=np.uint64)
    uuids = np.array([int(number).to_bytes(16, "big") for number in numbers], dtype="S16")
    facts = BatchFacts("2024-03-01T10:00:00+00:00", "v1", "r", 1, 5, 5, 0, 0, 10, 5, None, None, "m")
    taken = Entries(uuids, numbers, numbers, np.zeros(5, np.int8), [None] * 5)
    Ledger(imp.store, "2024-03-01").append(taken, facts)
    monkeypatch.setattr(undo, "_PIECE", 2)
    assert (mark_undone(imp, [date(2024, 3, 1)]), mark_undone(imp, [date(2024, 3, 1)])) == (5, 0)
    ledger = Ledger(imp.store, "2024-03-01")
    assert [facts.owed for _, facts in ledger.batch_facts()] == [0, 2, 2, 1]
    known = ledger.load()
    assert (len(known), int(known.acknowledged.sum())) == (5, 0)
    assert known.detail(4) == "taken back by posthog-assets undo"
