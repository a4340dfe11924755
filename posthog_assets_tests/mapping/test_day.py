"""A whole day: every staged row is counted, and events come oldest first."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.mapping import sorting as order
from posthog_assets_tests.examples import examples
from posthog_assets_tests.mapping.test_mapping import NOON, map_rows, row


@settings(max_examples=examples(60))
@given(
    st.lists(st.integers(0, 6), max_size=40), st.integers(1, 7), st.sampled_from([1, 2_000, 1 << 26]), st.booleans(),
    st.sampled_from([2, 3, 16]),
)  # fmt: skip
def test_any_chunks_and_any_memory_give_the_same_stable_order(
    minutes: list[int], chunk: int, memory: int, shrink_blocks: bool, runs_at_once: int
) -> None:
    rows = [row(i, timestamp=NOON + timedelta(minutes=minute)) for i, minute in enumerate(minutes)]
    expected = [str(i) for i in sorted(range(len(rows)), key=lambda i: minutes[i])]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(order, "_RUN_BYTES", memory)
        patch.setattr(order, "_OPEN", runs_at_once)
        patch.setattr(order, "_BLOCK_ROWS", 2 if shrink_blocks else 2_048)
        events, report = map_rows(rows, Path(folder), chunk=chunk)
    assert [event["source_id"] for event in events] == expected
    assert report.rows == report.staged == len(rows)


def test_rows_rejected_while_staging_do_not_become_events(tmp_path: Path) -> None:
    events, report = map_rows([row(1), row(2, reject_reason="timestamp is empty"), row(3)], tmp_path)
    assert [event["source_id"] for event in events] == ["1", "3"]
    assert (report.staged, report.staged_rejected, report.rows) == (3, 1, 2)


def test_an_empty_day_is_no_event(tmp_path: Path) -> None:
    assert map_rows([], tmp_path)[0] == []


def test_the_report_counts_names_reasons_and_the_span_of_time(tmp_path: Path) -> None:
    rows = [
        row(1, timestamp=NOON + timedelta(hours=2)), row(2, event="view", timestamp=NOON - timedelta(hours=2)),
        row(3), row(4, user_id=" "), row(5, reject_reason="timestamp cannot be read: 'soon'"),
        row(6, reject_reason="timestamp cannot be read: 'later'"),
    ]  # fmt: skip
    _, report = map_rows(rows, tmp_path)
    assert report.events_by_name == {"view": 1, "edit": 3}
    assert (report.staged_reasons, report.reject_reasons) == (
        {"timestamp cannot be read": 2}, {"distinct_id is empty": 1},
    )  # fmt: skip
    assert (report.first, report.last) == (NOON - timedelta(hours=2), NOON + timedelta(hours=2))


def test_group_types_are_counted_in_the_order_of_the_alphabet(tmp_path: Path) -> None:
    rows = [row(1, groups='{"team":"t"}'), row(2, groups='{"company":"c","team":"t"}')]
    assert map_rows(rows, tmp_path)[1].group_types == ["company", "team"]
