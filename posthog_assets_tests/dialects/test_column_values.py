"""Whole columns of values: ids, what must be there, and the reasons of records that lack them."""

from __future__ import annotations

from typing import Any

import orjson
import pyarrow as pa
import pytest

from posthog_assets.core.schemas import STAGED_EVENTS
from posthog_assets.dialects.column import Column
from posthog_assets.dialects.column_values import (
    each,
    ids_of,
    in_order,
    missing,
    nobody,
    one_of_two,
    require,
    take_out,
    without_rejected,
)
from posthog_assets.dialects.notes import Notes, notes_of

USER = Column(column="user")


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("a", {"b": {"c": {"d": 1}, "e": 2}}), ("b.e", {"a": 1, "b": {"c": {"d": 1}}}),
        ("b.c.d", {"a": 1, "b": {"e": 2}}), ("a.x", {"a": 1, "b": {"c": {"d": 1}, "e": 2}}),
        ("gone.x", {"a": 1, "b": {"c": {"d": 1}, "e": 2}}),
    ],
)  # fmt: skip
def test_a_value_is_taken_out_with_the_objects_that_hold_nothing_else(path: str, left: dict[str, Any]) -> None:
    record: dict[str, Any] = {"a": 1, "b": {"c": {"d": 1}, "e": 2}}
    take_out(record, path.split("."))
    assert record == left


def test_an_object_that_another_record_holds_too_stays_whole() -> None:
    shared = {"c": 1, "d": 2}
    take_out({"b": shared}, ["b", "c"])
    assert shared == {"c": 1, "d": 2}


def test_a_record_that_json_cannot_hold_is_rejected_alone_and_keeps_an_earlier_reason() -> None:
    reasons = {2: "earlier"}
    made = each(orjson.dumps, [{"n": 1}, {"n": {1}}, {"n": {2}}], reasons)
    assert made == [b'{"n":1}', None, None]
    assert reasons == {1: "record cannot be written as JSON: Type is not JSON serializable: set", 2: "earlier"}


def test_a_needed_id_that_is_empty_rejects_its_row() -> None:
    reasons: dict[int, str] = {}
    ids = ids_of(USER, [{"user": "a"}, {"user": ""}, {"user": 5}], "user id", reasons, optional=False)
    assert (ids, reasons) == (["a", "", "5"], {1: "user id is empty"})


def test_of_a_column_that_is_missing_the_record_says_which_it_has() -> None:
    reasons: dict[int, str] = {}
    assert ids_of(USER, [{"who": "a"}, {}], "user id", reasons) == [None, None]
    # A record without any column has a reason of its own already.
    assert reasons == {0: "column user is missing: the record has who"}


def test_only_the_first_eight_columns_of_a_record_are_named() -> None:
    record = {f"c{number}": number for number in range(10)}
    assert missing("user", record) == "column user is missing: the record has c0, c1, c2, c3, c4, c5, c6, c7"


def test_an_id_of_two_columns_may_be_absent_blank_or_none() -> None:
    flaws: list[tuple[int, str]] = []
    records: list[dict[str, Any]] = [{"user": "a"}, {"user": "  "}, {}, {"user": None}, {"user": [1]}, {"user": 5}]
    assert one_of_two(USER, records, "user id", flaws) == ["a", None, None, None, None, "5"]
    assert flaws == [(4, "user id is neither text nor a whole number: [1]")]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"device": ""}, "columns user and device are both empty"),
        ({"who": "a"}, "columns user and device are missing: the record has who"),
        ({}, "columns user and device are missing: the record has none"),
    ],
)
def test_a_record_without_a_person_says_whether_its_columns_are_there(record: dict[str, Any], reason: str) -> None:
    assert nobody((USER, Column(column="device")), record) == reason


def test_a_required_column_may_hold_zero_and_false_but_not_nothing() -> None:
    records: list[dict[str, Any]] = [{"n": 0}, {"n": False}, {"n": ""}, {"n": None}, {}]
    reasons: dict[int, str] = {}
    require("n", Column(column="n").values(records), records, reasons)
    assert reasons == dict.fromkeys([2, 3, 4], "required column n is empty")


def staged(*lines: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"raw_line": line} for line in lines], schema=STAGED_EVENTS)


def test_rows_that_were_read_closely_come_back_to_their_places_with_the_notes_of_both() -> None:
    first, others = Notes({"a": 1}).on(staged(1, 3, 5)), Notes({"a": 2}, {"odd": 1}).on(staged(2, 4))
    together = in_order(first, others, [1, 3])
    assert together["raw_line"].to_pylist() == [1, 2, 3, 4, 5]
    assert notes_of(together.schema.metadata) == Notes({"a": 3}, {"odd": 1})


def test_nothing_of_a_rejected_row_is_kept() -> None:
    columns = without_rejected([pa.array(["a", "b"]), pa.array([1, 2])], {0: "odd"}, 2)
    assert [column.to_pylist() for column in columns] == [[None, "b"], [None, 2]]
