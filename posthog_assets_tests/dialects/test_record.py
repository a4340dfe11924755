"""Single values of a record: ids, objects in text, numbers, groups as senders write them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from posthog_assets.core.instants import Window
from posthog_assets.core.records import RecordChunk
from posthog_assets.core.rejection import Rejected
from posthog_assets.dialects import load_dialect
from posthog_assets.dialects.record import as_id, nested, number, own_name, usable_id, versions_as_text

WINDOW = Window.of(date(2024, 3, 1), datetime(2024, 3, 5, tzinfo=UTC))
GOOD = "2024-03-01T10:00:00Z"
TRACK = {"type": "track", "event": "e", "userId": "a", "messageId": "1"}
AMPLITUDE = {"uuid": "1", "event_type": "e", "user_id": "a"}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ('{"a": 1}', {"a": 1}), ("[1]", [1]), ('"{\\"a\\": 1}"', {"a": 1}), ({"a": 1}, {"a": 1}),
        ('"text"', '"text"'), ("{broken", "{broken"), ("5", "5"), ("", ""), (5, 5), (None, None),
    ],
)  # fmt: skip
def test_json_text_is_what_it_says_once_or_twice_escaped(value: Any, found: Any) -> None:
    assert nested(value) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("5", 5), ("-5", -5), ("5.50", 5.5), ("1e3", 1000.0), ("", ""), ("tall", "tall"), ("nan", "nan"),
        ("inf", "inf"), ("9007199254740993", "9007199254740993"), (5, 5), (None, None), (True, True),
    ],
)  # fmt: skip
def test_text_that_is_a_number_becomes_one_unless_that_would_change_it(value: Any, found: Any) -> None:
    result = number(value)
    assert (result, type(result)) == (found, type(found))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a ", "a "),
        (7, "7"),
        (-7, "-7"),
        (7.0, "7"),
        (2**60, "1152921504606846976"),
        ("", None),
        ("  ", None),
        (None, None),
    ],
)
def test_an_id_is_text_or_the_digits_of_a_whole_number(value: Any, text: str | None) -> None:
    assert as_id(value, "user id") == text


@pytest.mark.parametrize("value", [True, 1.5, float(2**53), 10**200, ["a"], {"id": 1}])
def test_what_is_neither_text_nor_whole_is_no_id(value: Any) -> None:
    with pytest.raises(Rejected, match="^user id is neither text nor a whole number: "):
        as_id(value, "user id")


def test_an_id_that_is_none_counts_as_absent_with_a_sentence_without_its_value() -> None:
    flaws: list[str] = []
    assert usable_id(["secret"], "user id", flaws) is None
    assert flaws == ["user id is neither text nor a whole number, so it counts as absent"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [(None, "event name is empty"), (" ", "event name is empty"), (5, "event name is no text: 5")],
)
def test_a_name_that_is_no_text_rejects_its_record(name: Any, reason: str) -> None:
    with pytest.raises(Rejected) as found:
        own_name(name)
    assert str(found.value) == reason


def test_versions_that_are_numbers_become_text_and_nothing_else_does() -> None:
    properties = {"$os_version": 14, "$app_version": 2.1, "$browser_version": None, "$lib": 5}
    versions_as_text(properties)
    assert properties == {"$os_version": "14", "$app_version": "2.1", "$browser_version": None, "$lib": 5}


COLUMNS = {"event": {"value": "e"}, "user_id": {"column": "u"}, "timestamp": {"column": "t"}}
SENDERS: dict[str, tuple[dict[str, Any], Any]] = {
    "columns": (COLUMNS, lambda groups: {"u": "a", "t": GOOD, "$groups": groups}),
    "posthog": (
        {}, lambda groups: {"uuid": "1", "event": "e", "distinct_id": "a", "timestamp": GOOD,
                            "properties": {"$groups": groups}},
    ),
    "mixpanel": (
        {}, lambda groups: {"event": "e", "properties": {"distinct_id": "a", "time": 1709287200, "$groups": groups}},
    ),
    "segment": ({}, lambda groups: TRACK | {"timestamp": GOOD, "properties": {"$groups": groups}}),
    "amplitude": ({}, lambda groups: AMPLITUDE | {"event_time": GOOD, "event_properties": {"$groups": groups}}),
}  # fmt: skip


@pytest.mark.parametrize("name", SENDERS)
@pytest.mark.parametrize(
    ("said", "read"),
    [
        ({"company": "acme"}, {"company": "acme"}),
        ('{"company":"acme"}', {"company": "acme"}),
        ('"{\\"company\\":\\"acme\\"}"', {"company": "acme"}),
        ({"company": " 5 "}, {"company": "5"}),
        ({"company": 5}, {"company": 5}),
        ({"company": ["", "acme", "umbrella"]}, {"company": "acme"}),
        ({"company": "  ", "team": "x"}, {"team": "x"}),
        ({"company": None, "team": "x"}, {"team": "x"}),
        ({"company": None}, None),
        ({"company": [None]}, None),
        ("", None),
    ],
)
def test_groups_of_the_sender_are_an_object_with_trimmed_keys(name: str, said: Any, read: Any) -> None:
    settings, record = SENDERS[name]
    batch = load_dialect({"type": name} | settings).within(WINDOW).stage(RecordChunk([1], [record(said)]), "part")
    (row,) = batch.to_pylist()
    assert row["reject_reason"] is None
    assert json.loads(row["properties"]).get("$groups") == read


@pytest.mark.parametrize("name", SENDERS)
@pytest.mark.parametrize("said", ["acme", ["acme"], '["acme"]', 5, {"company": {"id": 1}}])
def test_groups_that_are_no_object_are_rejected(name: str, said: Any) -> None:
    settings, record = SENDERS[name]
    batch = load_dialect({"type": name} | settings).within(WINDOW).stage(RecordChunk([1], [record(said)]), "part")
    reason = batch.to_pylist()[0]["reject_reason"]
    assert reason.startswith(("$groups is no object: ", "key of group company is neither text nor a whole number: "))
