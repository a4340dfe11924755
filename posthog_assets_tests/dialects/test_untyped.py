"""Records of CSV, where every value is text: they are the same events as those of JSON lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from posthog_assets_tests.dialects.staging import stage, stage_one
from posthog_assets_tests.dialects.test_any_object import EXAMPLES, dialect
from posthog_assets_tests.dialects.test_heap import PAGEVIEW
from posthog_assets_tests.dialects.test_pendo import CLICK


def as_csv(record: dict[str, Any]) -> dict[str, str]:
    """Return a record as CSV has it: JSON in place of everything that is no text."""
    return {
        key: "" if value is None else value if isinstance(value, str) else json.dumps(value)
        for key, value in record.items()
    }


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - {"columns"}))
def test_a_row_of_csv_is_the_event_it_would_be_as_json(name: str) -> None:
    record = EXAMPLES[name]
    typed, untyped = stage_one(dialect(name), record), stage_one(dialect(name), as_csv(record), untyped=True)
    assert typed["reject_reason"] is None
    assert untyped == typed


def test_columns_of_ones_own_become_numbers_and_booleans_and_those_a_vendor_names_stay_text() -> None:
    own = {"price": "12.5", "n": "3", "won": "true", "zip": "01234", "browser_version": "17.10", "session_id": "77"}
    row = stage_one({"type": "heap"}, as_csv(PAGEVIEW) | own, untyped=True)
    assert own.keys() - row["properties"].keys() == {"browser_version", "session_id"}
    assert {name: row["properties"][name] for name in ("price", "n", "won", "zip")} == {
        "price": 12.5, "n": 3, "won": True, "zip": "01234",
    }  # fmt: skip
    assert (row["properties"]["$browser_version"], row["properties"]["heap_session_id"]) == ("17.10", 77)
    row = stage_one({"type": "heap", "types": "text"}, as_csv(PAGEVIEW) | own, untyped=True)
    assert (row["properties"]["n"], row["properties"]["won"]) == ("3", "true")


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("amplitude", {"uuid": "0123", "user_id": "12.0", "device_id": "true"}),
        ("pendo", {"eventId": "0123", "visitorId": "12.0"}),
        ("heap", {"event_id": "0123", "identity": "12.0", "user_id": "true"}),
    ],
)
def test_ids_and_names_stay_text(name: str, ids: dict[str, str]) -> None:
    row = stage_one(dialect(name), as_csv(EXAMPLES[name]) | ids, untyped=True)
    assert [row["source_id"], row["user_id"], row["anonymous_id"]][: len(ids)] == list(ids.values())


def test_a_name_that_looks_like_a_number_is_a_name() -> None:
    row = stage_one({"type": "pendo"}, as_csv(CLICK) | {"eventType": "track", "trackTypeName": "404"}, untyped=True)
    assert row["event"] == "404"


def test_how_texts_are_read_does_not_change_the_id_of_a_record_without_one() -> None:
    record = as_csv({key: value for key, value in CLICK.items() if key != "eventId"})
    inferred, text = (stage({"type": "pendo", "types": types}, record, untyped=True)[0] for types in ("infer", "text"))
    # As it was before texts were looked into: an import that is run again must not duplicate.
    assert inferred["source_id"] == text["source_id"] == stage({"type": "pendo"}, record)[0]["source_id"]


@pytest.mark.parametrize("big_numbers", ["text", "number"])
def test_a_long_whole_number_is_what_it_would_be_in_json(big_numbers: str) -> None:
    settings: dict[str, Any] = {"type": "columns", "event": {"value": "x"}, "user_id": {"column": "u"}}
    settings |= {
        "timestamp": {"column": "t"},
        "big_numbers": big_numbers,
        "edition": 2,
        "types": {"small": "number", "large": "number"},
    }
    record = {"u": "a", "t": "2024-03-01T10:00:00Z", "small": 2**64 - 1, "large": 2**64}
    typed, untyped = stage_one(settings, record), stage_one(settings, as_csv(record), untyped=True)
    assert untyped == typed
    assert untyped["properties"]["small"] == (str(2**64 - 1) if big_numbers == "text" else 2**64 - 1)
    assert untyped["properties"]["large"] == str(2**64)


RECORD = {"u": "a", "t": "2024-03-01T10:00:00Z", "n": 5, "price": 1.5, "paid": True, "zip": "01234", "none": None}
AS_TEXT = {"u": "a", "t": "2024-03-01T10:00:00Z", "n": "5", "price": "1.5", "paid": "true", "zip": "01234", "none": ""}


@pytest.mark.parametrize(
    "dialect",
    [
        {"type": "columns", "event": {"value": "x"}, "user_id": {"column": "u"}, "timestamp": {"column": "t"}},
        {"type": "segment"},
    ],
)
def test_the_id_of_a_record_without_one_is_the_same_in_csv_in_edition_2(dialect: dict[str, Any]) -> None:
    more = {"type": "track", "event": "x", "userId": "a", "timestamp": "2024-03-01T10:00:00Z"}
    record, as_text = (found | (more if dialect["type"] == "segment" else {}) for found in (RECORD, AS_TEXT))
    newest = dialect | {"edition": 2}
    found, in_csv = stage_one(newest, record), stage_one(newest, as_text, untyped=True)
    assert found["source_id"] == in_csv["source_id"]
    assert stage_one(newest, record | {"n": 6})["source_id"] != found["source_id"]
    # What release 0.1 imported keeps its ids.
    assert stage_one(dialect, record)["source_id"] != stage_one(dialect, as_text, untyped=True)["source_id"]
