"""Which records are read by one function in a straight line, and what that function leaves to the slow way."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.dialects import DIALECTS, load_dialect
from posthog_assets.dialects.base import Dialect
from posthog_assets.dialects.rows import empty_columns
from posthog_assets.dialects.straight import is_straight, source_of
from posthog_assets.dialects.vendor_functions import lines_of
from posthog_assets_tests.dialects.test_any_object import EXAMPLES, dialect


@pytest.mark.parametrize(
    ("name", "records"),
    [
        ("mixpanel", [EXAMPLES["mixpanel"]]),
        ("amplitude", [EXAMPLES["amplitude"], EXAMPLES["amplitude"] | {"groups": {"company": [" acme "]}}]),
    ],
)
def test_what_a_vendor_writes_is_read_in_a_straight_line(name: str, records: list[dict[str, Any]]) -> None:
    lines = lines_of(DIALECTS[name], has_groups=False)  # type: ignore[type-var]
    assert lines is not None

    def slowly(index: int, text: bytes) -> None:
        raise AssertionError(text)

    columns = empty_columns()
    lines(load_dialect(dialect(name)), [orjson.dumps(record) for record in records], columns, slowly)
    assert [len(column) for column in columns] == [len(records)] * 12


@pytest.mark.parametrize(
    "odd",
    [{"user_id": ["a"]}, {"user_id": "", "device_id": ""}, {"event_type": 5}, {"event_properties": '{"a":1}'},
     {"event_properties": {"$set": {"plan": "pro"}}}, {"uuid": " "}],
)  # fmt: skip
def test_a_record_that_is_not_as_most_are_is_left_to_the_slow_way(odd: dict[str, Any]) -> None:
    lines = lines_of(DIALECTS["amplitude"], has_groups=False)  # type: ignore[type-var]
    assert lines is not None
    left: list[int] = []
    record = EXAMPLES["amplitude"]
    texts = [orjson.dumps(one) for one in (record, record | odd, record)]
    columns = empty_columns()
    lines(load_dialect(dialect("amplitude")), texts, columns, lambda index, text: left.append(index))
    assert left == [1]
    assert [len(column) for column in columns] == [2] * 12


def test_a_dialect_that_is_not_to_be_compiled_has_no_reader_in_a_straight_line() -> None:
    kind: Any = DIALECTS["amplitude"]

    class Slow(kind):  # type: ignore[misc]
        compiled = False

    assert (is_straight(kind), is_straight(Slow)) == (True, False)


def test_a_dialect_without_tables_has_no_source_to_print() -> None:
    with pytest.raises(ImportFileError, match="Dialect has no tables that are compiled"):
        source_of(Dialect)  # type: ignore[type-abstract]
