"""`$set`, `$set_once` and `$unset` that a sender wrote into an event go the way of all that is said of a person."""

from __future__ import annotations

import copy
import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from posthog_assets.core.records import RecordChunk
from posthog_assets.dialects import load_dialect
from posthog_assets.mapping import EventMapper, Mapping
from posthog_assets_tests.dialects.staging import stage, stage_one
from posthog_assets_tests.dialects.test_any_object import EXAMPLES, dialect

#: Where a sender's own properties stand; the others have them as columns.
WITHIN = {
    "amplitude": "event_properties", "matomo": "actionDetails", "mixpanel": "properties", "posthog": "properties",
    "rudderstack": "properties", "segment": "properties", "umami": "event_data",
}  # fmt: skip

TOLD = {"$set": {"plan": "sold", "x": 1}, "$set_once": {"x": 0, "y": 2}, "$unset": ["plan"]}


def telling(name: str, told: dict[str, Any]) -> dict[str, Any]:
    """Return the example of a dialect with *told* among the properties of the event."""
    record = copy.deepcopy(EXAMPLES[name])
    # What is known of the person beside them is another test's.
    record.pop("$set", None)
    if name == "ga4":
        values = [{"key": key, "value": {"string_value": json.dumps(value)}} for key, value in told.items()]
        return record | {"event_params": [*record["event_params"], *values]}
    if within := WITHIN.get(name):
        return record | {within: record[within] | told}
    return record | told


def event(name: str, record: dict[str, Any], policy: str = "set_once", **settings: Any) -> dict[str, Any]:
    """Return the properties of the PostHog event a record becomes."""
    made = load_dialect(dialect(name) | settings)
    mapping = Mapping.model_validate({"person_properties": policy})
    mapper = EventMapper(mapping, "shop", made, day=date(2024, 3, 1), fetched_at=datetime(2030, 1, 1, tzinfo=UTC))
    (row,) = mapper.map(made.stage(RecordChunk([1], [copy.deepcopy(record)]), "part")).to_pylist()
    return json.loads(row["properties"])


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_what_a_sender_tells_of_a_person_never_overwrites_living_people_unless_that_is_wished(name: str) -> None:
    record = telling(name, TOLD)
    once, last, none = (event(name, record, policy) for policy in ("set_once", "set", "none"))
    assert not {"$set", "$unset"} & once.keys()
    assert {"plan": "sold", "x": 1, "y": 2}.items() <= once["$set_once"].items()
    assert {"plan": "sold", "x": 1}.items() <= last["$set"].items()
    assert last["$set_once"]["y"] == 2
    assert "x" not in last["$set_once"]
    assert "$unset" not in last
    assert not {"$set", "$set_once", "$unset"} & none.keys()


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - {"ga4"}))
def test_deleting_properties_of_people_can_be_asked_for(name: str) -> None:
    record = telling(name, {"$unset": ["plan"]})
    assert "$unset" not in event(name, record)
    assert event(name, record, keep_unset=True)["$unset"] == ["plan"]


@pytest.mark.parametrize("name", sorted(EXAMPLES))
@pytest.mark.parametrize("said", ["plan", ["plan"], 5])
def test_what_is_no_object_rejects_its_record_because_posthog_would_take_it_for_one(name: str, said: Any) -> None:
    before, row, after = stage(dialect(name), EXAMPLES[name], telling(name, {"$set": said}), EXAMPLES[name])
    assert row["reject_reason"].startswith("$set is no object: ")
    assert before["reject_reason"] is after["reject_reason"] is None


def test_json_text_is_the_object_it_says() -> None:
    row = stage_one(dialect("columns"), telling("columns", {"$set": '{"plan": "pro"}', "$set_once": ""}), untyped=False)
    assert (row["set"], row["set_once"]) == ({"plan": "pro"}, None)
    assert not {"$set", "$set_once"} & row["properties"].keys()


def test_columns_that_are_not_chosen_say_nothing_of_the_person() -> None:
    row = stage_one(dialect("columns") | {"properties": ["page"]}, telling("columns", TOLD))
    assert (row["properties"], row["set"], row["set_once"]) == ({}, None, None)


def test_what_the_sender_says_wins_over_columns_of_the_person() -> None:
    settings = dialect("columns") | {"person_properties": ["plan", "y", "mail"]}
    row = stage_one(settings, telling("columns", TOLD | {"plan": "free", "y": 9, "mail": "a@b.c"}))
    assert (row["set"], row["set_once"]) == ({"mail": "a@b.c", "plan": "sold", "x": 1}, {"y": 2})


def test_a_group_call_has_no_room_for_a_person() -> None:
    record = telling("segment", TOLD) | {"type": "group", "groupId": "acme", "traits": {"seats": 5}}
    assert stage_one({"type": "segment"}, record)["reject_reason"] == "group call tells of a person: $set, $set_once"
    row = stage_one({"type": "segment"}, telling("segment", {"$unset": ["a"]}) | {"type": "group", "groupId": "acme"})
    assert (row["kind"], row["reject_reason"], "$unset" in row["properties"]) == ("group", None, False)
