"""The kind of a text of CSV, and of a column that has several."""

from __future__ import annotations

from typing import Any

import pytest

from posthog_assets.core.records import RecordChunk
from posthog_assets.dialects.column_kinds import ColumnKinds, Kind, as_declared, as_kind, converters, joined, kind_of


def look(kinds: ColumnKinds, *records: Any) -> bool:
    return kinds.look(RecordChunk(range(1, len(records) + 1), list(records), True))


@pytest.mark.parametrize(
    ("text", "kind"),
    [("true", "boolean"), ("FALSE", "boolean"), ("7", "number"), ("-7.5", "number"), ("7.50", "text"), ("07", "text"),
     ("9007199254740992", "text"), ("0.0000001", "text"), ("yes", "text")],
)  # fmt: skip
def test_a_text_is_a_number_only_where_the_number_prints_as_the_text(text: str, kind: Kind) -> None:
    assert kind_of(text) == kind


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        (None, "number", "number"),
        ("number", "number", "number"),
        ("number", "boolean", "text"),
        ("text", "number", "text"),
    ],
)
def test_a_column_of_two_kinds_holds_text(one: Kind | None, other: Kind, kind: Kind) -> None:
    assert joined(one, other) == kind


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [("5", None, 5), ("5", "number", 5), ("5", "text", "5"), ("5", "boolean", "5"), ("True", None, True),
     ("x", "number", "x"),     (None, "number", None), (5.5, "text", 5.5)],
)  # fmt: skip
def test_a_value_is_read_by_the_kind_of_its_column(text: Any, kind: Kind | None, value: Any) -> None:
    found = as_kind(text, kind)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("1.10", "number", 1.1),
        ("true", "number", "true"),
        ("1", "boolean", "1"),
        ("FALSE", "boolean", False),
        ("1", "text", "1"),
    ],
)
def test_a_number_need_not_print_the_same_in_a_column_that_is_declared_to_hold_numbers(
    text: str, kind: Kind, value: Any
) -> None:
    found = as_declared(text, kind)
    assert (found, type(found)) == (value, type(value))


def test_more_records_widen_what_is_known_and_never_narrow_it() -> None:
    kinds = ColumnKinds({}, frozenset({""}))
    assert look(kinds, {"n": "1", "flag": "true"}, {"n": "", "flag": ""})
    assert kinds.kinds == {"n": "number", "flag": "boolean"}
    assert not look(kinds, {"n": "2.5", "flag": "false"})
    assert look(kinds, {"n": "2.50", "flag": "false"})
    assert not look(kinds, {"n": "3", "flag": "true"})
    assert kinds.kinds == {"n": "text", "flag": "boolean"}


def test_a_column_without_a_value_has_no_kind_yet() -> None:
    kinds = ColumnKinds({}, frozenset({"", "NULL"}))
    assert not look(kinds, {"a": "", "b": "NULL"})
    assert kinds.kinds == {}


def test_a_known_number_is_looked_at_again_where_only_some_records_have_the_column() -> None:
    kinds = ColumnKinds({"n": "number"}, frozenset({""}))
    assert look(kinds, {"n": "1", "a": "x"}, {"a": "y"}, {"n": "one"}, "no record")
    assert kinds.kinds == {"n": "text", "a": "text"}


def test_only_columns_of_numbers_and_booleans_are_converted() -> None:
    found = dict(converters({"n": "number", "flag": "boolean", "note": "text"}))
    assert set(found) == {"n", "flag"}
    assert (found["n"]("1.5"), found["n"]("7"), found["flag"]("TRUE"), found["flag"]("false")) == (1.5, 7, True, False)
