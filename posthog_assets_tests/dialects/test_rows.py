"""Rows while they are collected, and the batch made of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from posthog_assets.core.schemas import STAGED_EVENTS, TIMESTAMP
from posthog_assets.dialects.json_column import JsonColumn
from posthog_assets.dialects.notes import Notes
from posthog_assets.dialects.rows import TIMES, RowColumns, batch_of, empty_columns, notes_of_rows

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


def two_rows() -> RowColumns:
    """Return the columns of a good row and of one that is to be rejected, its times read."""
    columns = list(empty_columns())
    for column, value in zip(columns, ["s-1", "event", "bought", "ann", None, NOON], strict=False):
        column += [value, None]
    for column, text in zip(columns[TIMES + 1 :], [b'{"n":1}', None, b'{"plan":"pro"}', None, None], strict=False):
        column.append(text)
        column.append(b'{"half":"read"}')
    columns[TIMES] = [pa.array(columns[TIMES], TIMESTAMP)]
    return tuple(columns)


def test_json_columns_are_those_between_the_times_and_the_clocks() -> None:
    assert [number for number, column in enumerate(empty_columns()) if isinstance(column, JsonColumn)] == [
        6,
        7,
        8,
        9,
        10,
    ]


def test_a_rejected_row_has_its_place_and_its_reason_and_no_object() -> None:
    columns = two_rows()
    batch = batch_of((*columns[:TIMES], columns[TIMES], *columns[TIMES + 1 : -1]), {1: "odd"}, "part-1", range(41, 43))
    assert batch.schema == STAGED_EVENTS
    good, bad = batch.to_pylist()
    assert {name: value for name, value in bad.items() if value is not None} == {
        "raw_part": "part-1", "raw_line": 42, "reject_reason": "odd",
    }  # fmt: skip
    assert (good["source_id"], good["timestamp"], good["raw_line"]) == ("s-1", NOON, 41)
    assert (good["properties"], good["set"], good["set_once"]) == ('{"n":1}', None, '{"plan":"pro"}')
    assert good["reject_reason"] is None


def test_places_need_not_follow_each_other() -> None:
    columns = two_rows()
    batch = batch_of(columns[:-1], {}, "part-1", [3, 9])
    assert batch["raw_line"].to_pylist() == [3, 9]
    assert batch["reject_reason"].null_count == 2


def test_fields_and_remarks_are_counted_over_all_rows() -> None:
    found = [(0, ["a", "b"], None), (3, ["a"], ["odd"]), (5, None, ["odd", "other"])]
    assert notes_of_rows(iter(found)) == Notes({"a": 2, "b": 1}, {"odd": 2, "other": 1})
