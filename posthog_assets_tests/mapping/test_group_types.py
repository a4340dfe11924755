"""Group types are found in columns of JSON text."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_assets.core.schemas import POSTHOG_EVENTS
from posthog_assets.mapping.group_types import GroupTypes


def events(*properties: dict[str, Any], name: str = "buy") -> pa.RecordBatch:
    rows = [
        {"event": name, "properties": json.dumps(one, ensure_ascii=False, separators=(",", ":"))} for one in properties
    ]
    return pa.RecordBatch.from_pylist(rows, POSTHOG_EVENTS)


def types_of(batch: pa.RecordBatch) -> set[str]:
    found = GroupTypes()
    found.add(batch)
    return found.names


@pytest.mark.parametrize(
    ("properties", "found"),
    [
        ({"$groups": {"company": "a", "team": 1.5, "x y": None}}, {"company", "team", "x y"}),
        ({"$groups": {"company": 'with "quotes", {braces} and \\'}}, {"company"}),
        ({"$groups": {'odd "type"': "a:b,c"}}, {'odd "type"'}),
        ({"$groups": {}}, set()),
        ({"text": '"$groups":{"no":"type"}'}, set()),
        ({"deeper": {"$groups": {"no": "type"}}}, set()),
        ({"deeper": {"$groups": {"no": "type"}}, "$groups": {"yes": "type"}}, {"yes"}),
        ({"plain": 1}, set()),
    ],
)
def test_types_are_those_of_the_outermost_object(properties: dict[str, Any], found: set[str]) -> None:
    assert types_of(events(properties)) == found


def test_a_type_is_found_behind_an_event_that_only_looks_the_same() -> None:
    assert types_of(events({"deeper": {"$groups": {"a": "1"}}}, {"$groups": {"a": "2"}})) == {"a"}


def test_known_types_do_not_hide_a_new_one() -> None:
    found = GroupTypes()
    found.add(events({"$groups": {"a": "1"}}))
    found.add(events({"$groups": {"a": "2"}}, {"$groups": {"a": "3", "b": "4"}}))
    found.add(events({"$groups": {"c": "5"}, "deeper": {"$groups": {"a": "6"}}}))
    assert found.names == {"a", "b", "c"}


def test_a_group_call_names_its_type() -> None:
    assert types_of(events({"$group_type": "company", "$group_key": "k"}, name="$groupidentify")) == {"company"}


@given(st.lists(st.dictionaries(st.text(max_size=4), st.text(max_size=4) | st.integers() | st.none(), max_size=3)))
def test_any_groups_are_found_as_a_parser_finds_them(groups: list[dict[str, Any]]) -> None:
    batch = events(*({"$groups": one} for one in groups))
    assert types_of(batch) == {kind for one in groups for kind in one}
