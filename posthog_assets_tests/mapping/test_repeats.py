"""Records of one day that would get the same uuid."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets_tests.examples import examples
from posthog_assets_tests.mapping.test_mapping import map_rows, row


def test_records_without_an_id_that_are_alike_are_all_kept(tmp_path: Path) -> None:
    events, report = map_rows([row(i, source_id="content:abc") for i in range(3)], tmp_path)
    assert len({event["uuid"] for event in events}) == 3
    assert (report.rejected, report.kept_repeats) == (0, 2)
    again, _ = map_rows([row(i, source_id="content:abc") for i in range(3)], tmp_path, chunk=1)
    assert [event["uuid"] for event in again] == [event["uuid"] for event in events]


def test_only_records_without_an_id_that_are_kept_count_as_kept_repeats(tmp_path: Path) -> None:
    rows = [row(1), row(1), row(2, source_id="content:abc"), row(3, source_id="content:abc")]
    _, report = map_rows(rows, tmp_path)
    assert (report.kept_repeats, report.rejected) == (1, 1)
    _, report = map_rows(rows, tmp_path, repeats="collapse")
    assert (report.kept_repeats, report.rejected) == (0, 2)


def test_an_id_used_twice_is_told_apart_or_rejected_as_a_repetition(tmp_path: Path) -> None:
    rows = [row(1), row(1), row(1, properties='{"page":"Other"}'), row(2)]
    events, report = map_rows(rows, tmp_path)
    assert [event["reject_reason"] for event in events] == [None, "repeats an earlier record: id 1", None, None]
    assert len({event["uuid"] for event in events if event["reject_reason"] is None}) == 3
    assert (report.reused_ids, report.rejected) == (1, 1)


@pytest.mark.parametrize("ordered", [True, False])
def test_another_order_of_delivery_changes_no_uuid(ordered: bool, tmp_path: Path) -> None:
    rows = [row(1, properties=f'{{"page":"{page}"}}', raw_line=0) for page in "ABCA"] + [row(2)]
    first, report = map_rows(rows, tmp_path, ordered=ordered)
    again, _ = map_rows([rows[i] for i in (4, 2, 3, 1, 0)], tmp_path, ordered=ordered, chunk=1)
    assert (report.reused_ids, report.rejected) == (2, 1)
    kept = [{e["uuid"]: e["properties"] for e in events if not e["reject_reason"]} for events in (first, again)]
    assert kept[0] == kept[1]
    assert len(kept[0]) == 4


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), max_size=25), st.integers(1, 9))
def test_of_an_id_every_payload_is_sent_once_however_often_both_come(
    records: list[tuple[int, int]], chunk: int
) -> None:
    rows = [row(number, properties=f'{{"page":{page}}}') for number, page in records]
    with tempfile.TemporaryDirectory() as folder:
        events, report = map_rows(rows, Path(folder), chunk=chunk)
    sent = [event for event in events if event["reject_reason"] is None]
    assert len({event["uuid"] for event in sent}) == len(sent) == len(set(records))
    assert report.rejected == len(records) - len(set(records))
    assert report.reused_ids == len(set(records)) - len({number for number, _ in records})


def test_records_without_an_id_that_are_alike_may_be_collapsed(tmp_path: Path) -> None:
    rows = [row(i, source_id="content:abc") for i in range(3)] + [row(5), row(6, source_id="content:other")]
    events, report = map_rows(rows, tmp_path, repeats="collapse")
    assert [event["reject_reason"] for event in events] == [
        None, *["repeats an earlier record without an id: content:abc"] * 2, None, None
    ]  # fmt: skip
    assert report.reject_reasons == {"repeats an earlier record without an id": 2}
    kept, _ = map_rows(rows, tmp_path)
    assert [event["uuid"] for event in events if not event["reject_reason"]] == [kept[i]["uuid"] for i in (0, 3, 4)]
