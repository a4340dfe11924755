"""flatten, unpack, nulls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from posthog_assets_tests.mapping.steps.applying import left
from posthog_assets_tests.mapping.steps.records import first_edit, github_events

NESTED = {"plan": {"name": "pro", "limits": {"seats": 5}}, "tags": ["a", {"b": 1}], "n": 1}


def test_nested_objects_become_properties_of_their_own() -> None:
    assert left({"step": "flatten"}, dict(NESTED)) == {
        "tags": ["a", {"b": 1}], "n": 1, "plan_name": "pro", "plan_limits_seats": 5
    }  # fmt: skip
    assert left({"step": "flatten", "separator": ".", "depth": 1}, dict(NESTED)) == {
        "tags": ["a", {"b": 1}], "n": 1, "plan.name": "pro", "plan.limits": {"seats": 5}
    }  # fmt: skip


def test_lists_are_kept_numbered_or_written_as_text() -> None:
    assert left({"step": "flatten", "names": ["tags"], "arrays": "index"}, {"tags": ["a", {"b": 1}]}) == {
        "tags_0": "a", "tags_1_b": 1
    }  # fmt: skip
    assert left({"step": "flatten", "arrays": "text"}, {"tags": ["a", {"b": 1}], "o": {"l": [1]}}) == {
        "tags": '["a",{"b":1}]', "o_l": "[1]"
    }  # fmt: skip


def test_an_object_whose_members_would_replace_something_stays_whole() -> None:
    given_ = {"a": {"b": 1}, "a_b": 2, "c": {"d": 1}, "e": {"f_g": 1, "f": {"g": 2}}}
    assert left({"step": "flatten"}, given_) == {
        "a": {"b": 1}, "a_b": 2, "e": {"f_g": 1, "f": {"g": 2}}, "c_d": 1
    }  # fmt: skip


def test_the_person_is_never_taken_apart_by_a_star() -> None:
    properties = {"$set": {"plan": "pro"}, "$screen": {"width": 1}, "empty": {}}
    assert left({"step": "flatten"}, properties) == {"$set": {"plan": "pro"}, "empty": {}, "$screen_width": 1}


def test_a_real_github_event_becomes_flat(real_data: Callable[[str], Path]) -> None:
    record = github_events(real_data, 1)[0]
    flat = left({"step": "flatten", "names": ["actor", "repo", "payload"]}, record)
    assert flat["actor_login"] == "aws-connector-for-github[bot]"
    assert flat["repo_id"] == 318651349
    assert flat["payload_ref_type"] == "branch"
    assert not any(isinstance(value, dict) for value in flat.values())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab_", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab_", max_size=3), inner, max_size=3),
    max_leaves=12,
)


def leaves(value: object) -> list[bytes]:
    if isinstance(value, dict) and value:
        return [leaf for inner in value.values() for leaf in leaves(inner)]
    if isinstance(value, list) and value:
        return [leaf for inner in value for leaf in leaves(inner)]
    return [orjson.dumps(value)]


@given(st.dictionaries(st.text("ab_", max_size=3), json_values, max_size=5), st.integers(1, 3))
def test_flattening_loses_no_value(properties: dict[str, Any], depth: int) -> None:
    before = sorted(leaves(properties)) if properties else []
    flat = left({"step": "flatten", "depth": depth, "arrays": "index"}, orjson.loads(orjson.dumps(properties)))
    assert (sorted(leaves(flat)) if flat else []) == before


def test_json_in_a_text_is_read() -> None:
    properties = {"payload": '{"a":[1,2]}', "list": " [1] ", "text": "{not json", "number": "12", "n": 5}
    assert left({"step": "unpack", "names": ["*"]}, properties) == {
        "payload": {"a": [1, 2]}, "list": [1], "text": "{not json", "number": "12", "n": 5
    }  # fmt: skip


def test_json_that_was_packed_twice_is_read_when_asked_to() -> None:
    twice = orjson.dumps('{"a":1}').decode()
    assert left({"step": "unpack", "names": ["p"]}, {"p": twice}) == {"p": twice}
    assert left({"step": "unpack", "names": ["p"], "times": 2}, {"p": twice}) == {"p": {"a": 1}}


def test_what_has_no_value_is_left_out(real_data: Callable[[str], Path]) -> None:
    assert list(left({"step": "nulls"}, first_edit(real_data))) == [
        "channel", "comment", "isAnonymous", "isMinor", "isNew", "isRobot", "isUnpatrolled", "namespace", "page",
        "delta", "added", "deleted",
    ]  # fmt: skip


def test_texts_that_mean_nothing_are_the_users_choice() -> None:
    properties = {"a": "", "b": "EMPTY", "c": 0, "d": False, "e": {}, "f": {"g": None, "h": [{"i": None}]}}
    assert left({"step": "nulls", "texts": ["EMPTY"], "names": ["a", "b"]}, dict(properties)) == {
        "a": "", "c": 0, "d": False, "e": {}, "f": {"g": None, "h": [{"i": None}]}
    }  # fmt: skip
    assert left({"step": "nulls", "deep": True, "empty": True}, properties) == {
        "b": "EMPTY", "c": 0, "d": False, "f": {"h": [{}]}
    }  # fmt: skip
