"""What a day says of its groups: the last value of each property, whatever the order of the rows."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from posthog_assets.core.schemas import STAGED_EVENTS
from posthog_assets.mapping.groups import GroupStates, states_of_other_types, with_other_types

START = datetime(2024, 3, 1, tzinfo=UTC)
MICROS = 1_709_251_200_000_000


def staged(*rows: dict[str, Any]) -> pa.RecordBatch:
    texts = [
        {key: json.dumps(value) if isinstance(value, dict) else value for key, value in row.items()} for row in rows
    ]
    return pa.RecordBatch.from_pylist([{"kind": "event", "timestamp": START, **row} for row in texts], STAGED_EVENTS)


def said(second: int, **groups: Any) -> dict[str, Any]:
    return {"group_set": groups, "timestamp": START + timedelta(seconds=second)}


def test_each_property_has_its_last_value_and_the_group_its_last_instant() -> None:
    states = GroupStates()
    states.add(staged(said(5, company={"acme": {"plan": "gold", "size": 3}}), {"event": "edit"}))
    states.add(staged(said(9, company={"acme": {"plan": "free"}, "beta": {"plan": None}})))
    states.add(staged(said(1, company={"acme": {"plan": "old", "city": "Köln"}}, team={"acme": {}})))
    assert states.states() == {
        ("company", "acme"): (MICROS + 9_000_000, '{"city":"Köln","plan":"free","size":3}'),
        ("company", "beta"): (MICROS + 9_000_000, '{"plan":null}'),
    }


def test_the_order_of_rows_does_not_matter_also_at_the_same_instant() -> None:
    rows = [
        said(second, t={"k": {"a": value}}) for second in (1, 2) for value in ("x", "y", {"b": 1, "a": 2}, None, 10)
    ]
    found = set()
    for seed in range(10):
        random.Random(seed).shuffle(rows)
        states = GroupStates()
        states.add(staged(*rows[:4]))
        states.add(staged(*rows[4:]))
        found.add(str(states.states()))
    assert len(found) == 1


def test_a_day_without_a_word_of_groups_has_no_states() -> None:
    states = GroupStates()
    states.add(staged({"event": "edit"}))
    states.add(staged())
    assert states.states() == {}


TYPES = {"account": "company", "trial": None}


@pytest.mark.parametrize(
    ("groups", "renamed"),
    [
        ({"account": "a"}, '{"company":"a"}'),
        ({"team": "t", "account": "a"}, '{"team":"t","company":"a"}'),
        ({"trial": "x", "team": "t"}, '{"team":"t"}'),
        ({"trial": "x"}, None),
        ({"company": "c", "account": "a"}, '{"company":"a"}'),
        (None, None),
    ],
)
def test_group_types_get_their_new_names(groups: dict[str, str] | None, renamed: str | None) -> None:
    rows = staged({"groups": groups}, {"groups": {"team": "t"}})
    assert with_other_types(rows, TYPES)["groups"].to_pylist() == [renamed, '{"team":"t"}']


def test_a_call_about_a_group_that_is_left_out_stays_a_call_about_none() -> None:
    rows = staged({"kind": "group", "groups": {"trial": "x"}}, {"groups": {"trial": "x"}})
    assert with_other_types(rows, TYPES)["groups"].to_pylist() == ["{}", None]


@pytest.mark.parametrize(
    ("properties", "renamed"),
    [
        ({"$groups": {"account": "a"}, "n": 1}, {"$groups": {"company": "a"}, "n": 1}),
        ({"$groups": {"trial": "x"}, "n": 1}, {"n": 1}),
        ({"$groups": "text"}, {"$groups": "text"}),
        ({"inner": {"$groups": {"account": "a"}}}, {"inner": {"$groups": {"account": "a"}}}),
        ({"n": 1}, {"n": 1}),
    ],
)
def test_groups_among_the_properties_of_posthogs_own_events_are_renamed_too(
    properties: dict[str, Any], renamed: dict[str, Any]
) -> None:
    text = json.dumps(properties, separators=(",", ":"))
    found = with_other_types(staged({"properties": text}, {"properties": "{}"}), TYPES)["properties"].to_pylist()
    assert [json.loads(each) for each in found] == [renamed, {}]


def test_posthogs_own_calls_about_groups_get_their_new_types_too() -> None:
    said = [{"$group_type": kind, "$group_key": "k", "$group_set": {"plan": "a"}} for kind in ("account", "team")]
    calls = [{"event": "$groupidentify", "properties": properties} for properties in said]
    odd = {"event": "$groupidentify", "properties": {"$group_type": ["account"]}}
    found = with_other_types(staged(*calls, odd, {"event": "buy", "properties": said[0]}), TYPES)
    assert [json.loads(text)["$group_type"] for text in found["properties"].to_pylist()] == [
        "company", "team", ["account"], "account"
    ]  # fmt: skip
    left_out = with_other_types(staged({"event": "$groupidentify", "properties": {"$group_type": "trial"}}), TYPES)
    assert (left_out["kind"].to_pylist(), left_out["groups"].to_pylist()) == (["group"], ["{}"])


def test_of_two_groups_that_become_one_the_later_word_counts() -> None:
    states = {
        ("account", "acme"): (5, '{"plan":"gold","size":3}'),
        ("company", "acme"): (9, '{"plan":"free"}'),
        ("trial", "acme"): (7, '{"plan":"none"}'),
        ("team", "a"): (1, "{}"),
    }
    assert states_of_other_types(states, TYPES) == {
        ("company", "acme"): (9, '{"plan":"free","size":3}'),
        ("team", "a"): (1, "{}"),
    }
