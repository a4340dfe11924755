"""One column of a record as an import file names it, and what text without a type says."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from posthog_assets.dialects.column import ABSENT, Column, TimestampColumn, exact, inferred


@pytest.mark.parametrize(
    ("path", "value"),
    [("items.1.sku", "b"), ("items.0", {"sku": "a"}), ("deep.n", 1), ("flat.name", "literal")],
)
def test_a_path_leads_into_objects_and_lists(path: str, value: Any) -> None:
    record = {
        "items": [{"sku": "a"}, {"sku": "b"}],
        "deep": {"n": 1},
        "flat": {"name": "nested"},
        "flat.name": "literal",
    }
    assert Column(column=path).value(record) == value


@pytest.mark.parametrize("path", ["items.2.sku", "items.-1", "items.x", "items.0.sku.more", "gone", "gone.x"])
def test_what_is_not_there_is_absent_and_not_null(path: str) -> None:
    column = Column(column=path)
    assert column.values([{"items": [{"sku": "a"}]}]) == [ABSENT]
    assert column.value({"items": [{"sku": "a"}]}) is None


def test_null_is_there() -> None:
    assert Column(column="a.b").values([{"a": {"b": None}}]) == [None]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.10", 1.1), ("1.1", 1.1), ("-0.5", -0.5), ("5", 5), ("-5", -5),
        ("9999999999999999999", 9_999_999_999_999_999_999),
        ("18446744073709551615", 2**64 - 1), ("18446744073709551616", 2**64), ("-9223372036854775809", -(2**63) - 1),
        ("9" * 400, "9" * 400),
        ("TRUE", True), ("False", False), ("tRUE", "tRUE"), ("01", "01"), ("1e5", "1e5"), ("+1", "+1"), ("", ""),
    ],
)  # fmt: skip
def test_a_text_in_a_field_of_numbers_is_the_number_it_shows(text: str, value: Any) -> None:
    found = inferred(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "value"), [("1.10", "1.10"), ("1.1", 1.1), ("0.30000000000000001", "0.30000000000000001")]
)
def test_a_text_that_json_would_write_otherwise_stays_text(text: str, value: Any) -> None:
    assert exact(text) == value


@pytest.mark.parametrize("key", ["\u00b2", "\u2460", "9" * 5_000])
def test_a_key_that_is_the_place_of_no_item_finds_nothing_in_a_list(key: str) -> None:
    assert Column(column=f"items.{key}").values([{"items": ["a", "b"]}]) == [ABSENT]


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="is no strptime pattern: "):
        TimestampColumn(column="t", format="%Q")
