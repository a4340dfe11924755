"""What became of each field of a record."""

from __future__ import annotations

from typing import Any

import pytest

from posthog_assets.pipeline.preview.field_changes import Kind, differences


def test_fields_are_kept_renamed_changed_added_or_dropped() -> None:
    before = {"id": "7", "who": "ann", "at": "2024-03-01T10:00:00Z", "n": 1, "note": "x", "deep": {"a": 5, "b": None}}
    after = {
        "event": "page", "distinct_id": "ann", "timestamp": "2024-03-01T10:00:00+00:00",
        "properties": {"n": 2, "deep": {"a": 5}, "$lib": "web", "flag": True},
    }  # fmt: skip
    found = {(item.kind, item.old, item.new) for item in differences(before, after)}
    assert found == {
        (Kind.ADDED, None, "event"),
        (Kind.RENAMED, "who", "distinct_id"),
        (Kind.RENAMED, "at", "timestamp"),
        (Kind.CHANGED, "n", "n"),
        (Kind.KEPT, "deep.a", "deep.a"),
        (Kind.ADDED, None, "$lib"),
        (Kind.ADDED, None, "flag"),
        (Kind.DROPPED, "id", None),
        (Kind.DROPPED, "note", None),
        (Kind.DROPPED, "deep.b", None),
    }


def kinds(before: Any, after: dict[str, Any]) -> list[tuple[Kind, str | None, str | None]]:
    return [(item.kind, item.old, item.new) for item in differences(before, after)]


@pytest.mark.parametrize("value", [None, "", True, False])
def test_a_value_that_many_fields_have_does_not_show_where_another_came_from(value: Any) -> None:
    assert kinds({"old": value}, {"new": value}) == [(Kind.ADDED, None, "new"), (Kind.DROPPED, "old", None)]


def test_one_field_of_the_record_explains_one_field_of_the_event() -> None:
    assert kinds({"a": 7}, {"x": 7, "y": 7}) == [(Kind.RENAMED, "a", "x"), (Kind.ADDED, None, "y")]


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        ("5", 5, Kind.KEPT), ("2024-03-01T10:00:00+01:00", "2024-03-01T09:00:00Z", Kind.KEPT), (1, True, Kind.CHANGED),
        ("2024-03-01T00:00:00Z", "2024-03-01", Kind.CHANGED), ([1], "[1]", Kind.CHANGED),
    ],
)  # fmt: skip
def test_a_text_is_kept_where_it_says_the_same_number_or_instant(one: Any, other: Any, kind: Kind) -> None:
    assert kinds({"f": one}, {"f": other}) == [(kind, "f", "f")]


def test_a_record_that_is_no_object_is_one_field() -> None:
    assert kinds("not json", {"event": "page"}) == [(Kind.ADDED, None, "event"), (Kind.DROPPED, "record", None)]


@pytest.mark.parametrize("written", ["01.03.2024 08:00", 1709280000, "2024-03-01 09:00"])
def test_the_column_of_the_time_becomes_the_timestamp_however_it_is_written(written: Any) -> None:
    (found,) = differences({"when": written}, {"timestamp": "2024-03-01T08:00:00+00:00"}, "when")
    assert (found.kind, found.old, found.new) == (Kind.RENAMED, "when", "timestamp")
