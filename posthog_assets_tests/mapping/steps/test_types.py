"""types, timestamp_parts, schema."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from posthog_assets.mapping.steps import Rejected, load_step
from posthog_assets_tests.mapping.steps.applying import after, event, left
from posthog_assets_tests.mapping.steps.records import first_edit


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("int", " 12 ", 12),
        ("int", "12.0", 12),
        ("int", 12.0, 12),
        ("int", True, 1),
        ("int", "12.5", "12.5"),
        ("int", "1_000", "1_000"),
        ("int", "99999999999999999999", "99999999999999999999"),
        ("float", "12.5", 12.5),
        ("float", "1e3", 1000.0),
        ("float", "nan", "nan"),
        ("float", "1e999", "1e999"),
        ("float", "12,5", "12,5"),
        ("float", [1], [1]),
        ("bool", "Yes", True),
        ("bool", "off", False),
        ("bool", 1, True),
        ("bool", 2, 2),
        ("bool", "maybe", "maybe"),
        ("text", 5, "5"),
        ("text", 5.0, "5.0"),
        ("text", True, "true"),
        ("text", {"a": 1}, '{"a":1}'),
        ("timestamp", "2024-03-01 12:00", "2024-03-01T11:00:00Z"),
        ("timestamp", "2024-07-01T12:00:00.5+02:00", "2024-07-01T10:00:00.500000Z"),
        ("timestamp", 1709294400000, "2024-03-01T12:00:00Z"),
        ("timestamp", "soon", "soon"),
        ("int", None, None),
    ],
)
def test_a_value_becomes_the_type_or_stays(kind: str, value: Any, expected: Any) -> None:
    made = left({"step": "types", "types": {"x": kind}, "timezone": "Europe/Berlin"}, {"x": value})["x"]
    assert (type(made), made) == (type(expected), expected)


def test_a_value_that_cannot_be_read_becomes_null_or_rejects() -> None:
    step = {"step": "types", "types": {"price*": "float"}}
    assert left(step | {"on_failure": None}, {"price": "?", "price_b": "2"}) == {"price": None, "price_b": 2.0}
    with pytest.raises(Rejected, match=r"^price cannot be read as float: '\?'$"):
        left(step | {"on_failure": "reject"}, {"price": "?"})


def test_values_of_a_real_record_become_text(real_data: Callable[[str], Path]) -> None:
    changed = left({"step": "types", "types": {"is*": "text", "delta": "float"}}, first_edit(real_data))
    assert (changed["isRobot"], changed["delta"], changed["comment"]) == ("false", 36.0, "added project")


def test_the_parts_of_an_instant_are_those_of_the_zone() -> None:
    given = event({}, at=datetime(2024, 12, 31, 23, 30, tzinfo=UTC))
    parts = ["year", "quarter", "month", "week", "date", "day", "day_of_the_week", "weekend", "hour", "minute"]
    after({"step": "timestamp_parts", "parts": parts}, given)
    assert given.properties == {
        "year": 2024, "quarter": 4, "month": 12, "week": 1, "date": "2024-12-31", "day": 31,
        "day_of_the_week": "Tuesday", "weekend": False, "hour": 23, "minute": 30,
    }  # fmt: skip
    step = {"step": "timestamp_parts", "parts": ["date", "hour"], "timezone": "Asia/Kolkata", "prefix": "local_"}
    after(step, given)
    assert (given.properties["local_date"], given.properties["local_hour"]) == ("2025-01-01", 5)


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="'Berlin' is no time zone"):
        load_step({"step": "timestamp_parts", "parts": ["hour"], "timezone": "Berlin"})
