"""The fields that a dialect does not know, and objects that come as JSON text."""

from __future__ import annotations

from typing import Any

import pytest

from posthog_assets.dialects.members import Members
from posthog_assets_tests.dialects import (
    test_amplitude,
    test_columns,
    test_ga4,
    test_matomo,
    test_mixpanel,
    test_posthog,
    test_segment,
)
from posthog_assets_tests.dialects.staging import notes, stage_one

RECORDS: dict[str, dict[str, Any]] = {
    "amplitude": test_amplitude.WEB,
    "ga4": test_ga4.ROW,
    "matomo": test_matomo.record(),
    "mixpanel": test_mixpanel.WEB,
    "posthog": test_posthog.RECORD,
    "rudderstack": test_segment.TRACK,
    "segment": test_segment.TRACK,
}


def left_out(members: Members, record: dict[str, Any]) -> list[str] | None:
    return members.left_out(record, lambda name: name.startswith("dimension"))


def test_what_no_path_names_is_left_out_with_the_path_it_has() -> None:
    members = Members(["id", "page.url", "page.meta.title"], ["properties"])
    record = {
        "id": 1, "page": {"url": "x", "meta": {"title": "t", "lang": "de"}, "size": 5}, "more": [1],
        "properties": {"any": 1}, "dimension1": "x",
    }  # fmt: skip
    assert sorted(left_out(members, record) or []) == ["more", "page.meta.lang", "page.size"]


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_a_field_without_a_value_is_not_left_out(value: Any) -> None:
    assert left_out(Members(["id", "page.url"], []), {"id": 1, "more": value, "page": value}) is None


def test_zero_and_false_are_values() -> None:
    assert sorted(left_out(Members(["id"], []), {"zero": 0, "no": False}) or []) == ["no", "zero"]


def test_an_object_in_json_text_is_read() -> None:
    record = {"page": '{"url":"x","size":5}', "properties": '{"a":1}'}
    assert left_out(Members(["page.url"], ["properties"]), record) == ["page.size"]
    assert record == {"page": {"url": "x", "size": 5}, "properties": {"a": 1}}


def test_something_else_in_an_objects_place_is_left_out() -> None:
    assert left_out(Members(["page.url", "page.meta.title"], []), {"page": {"url": "x", "meta": "y"}}) == ["page.meta"]
    assert left_out(Members(["page.url"], []), {"page": "phone"}) == ["page"]


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_every_dialect_counts_a_field_it_does_not_know(name: str) -> None:
    known = RECORDS[name]
    before = notes({"type": name}, known).fields_left_out
    found = notes({"type": name}, known | {"never_heard_of": 1}, known, known | {"never_heard_of": "x"})
    expected = {path: count * 3 for path, count in before.items()} | {"never_heard_of": 2}
    assert found.fields_left_out == expected


@pytest.mark.parametrize("name", ["heap", "pendo", "snowplow"])
def test_a_dialect_that_takes_all_columns_leaves_none_out(name: str) -> None:
    from posthog_assets_tests.dialects.test_any_object import EXAMPLES

    record = EXAMPLES[name] | {"never_heard_of": 1}
    assert notes({"type": name}, record).fields_left_out == {}
    assert stage_one({"type": name}, record)["properties"]["never_heard_of"] == 1


def test_columns_that_the_import_file_does_not_choose_are_counted() -> None:
    dialect = test_columns.BASE | {"properties": ["page"]}
    record = test_columns.GOOD | {"page": "Home", "size": 5, "note": ""}
    assert notes(dialect, record, record).fields_left_out == {"size": 2}
    assert notes(test_columns.BASE, record).fields_left_out == {}


def test_the_fields_of_a_rejected_record_are_not_counted() -> None:
    segment = {"type": "segment"}
    good = test_segment.TRACK | {"odd": 1}
    found = notes(
        segment,
        good,
        good | {"event": ""},
        good | dict.fromkeys(("timestamp", "originalTimestamp", "receivedAt"), "soon"),
    )
    assert found.fields_left_out["odd"] == 1
