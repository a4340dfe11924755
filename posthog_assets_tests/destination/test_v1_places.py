"""Properties that v1 wants elsewhere are moved there, whatever else the properties hold."""

from __future__ import annotations

from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from posthog_assets.destination import v1_places
from posthog_assets.destination.v1_places import all_placed, placed

SPECIAL = ["$session_id", "$window_id", "$process_person_profile", "$product_tour_id", "$ignore_sent_at"]

#: Texts that look like keys, brackets, escapes.
words = st.text(st.sampled_from('ab"\\{}[],:$é\n'), max_size=6) | st.sampled_from(
    [*SPECIAL, 'x"$session_id', ',"$session_id":"', '"$window_id":', "\\", '{"$session_id":"s"}', '"properties":{']
)
leaves = st.none() | st.booleans() | st.integers(-3, 3) | words
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3))
properties = st.dictionaries(words | st.sampled_from(SPECIAL), values, max_size=6)


def core_of(told: dict[str, Any], name: str = "signed up") -> bytes:
    return orjson.dumps({"event": name, "uuid": "u", "distinct_id": "a", "properties": told})[1:-1]


def expected(told: dict[str, Any], name: str = "signed up") -> dict[str, Any]:
    rest, fields, options = dict(told), {}, {}
    for key, field in (("$session_id", "session_id"), ("$window_id", "window_id")):
        if isinstance(rest.get(key), str):
            fields[field] = rest.pop(key)
    for key in ("$process_person_profile", "$ignore_sent_at", "$product_tour_id"):
        value = rest.pop(key, None)
        if isinstance(value, str if key == "$product_tour_id" else int):
            options[key.removeprefix("$")] = value
    options.pop("ignore_sent_at", None)
    of_event = {"event": name, "uuid": "u", "distinct_id": "a", "properties": rest}
    return of_event | fields | {"options": options | {"disable_skew_correction": True}}


@given(properties, words)
@example({"$session_id": "s", "$window_id": "w"}, "a")
@example({"a": 1, "$session_id": "s", "$window_id": "w", "b": {"$session_id": "t"}}, "a")
@example({"$set": {"a": "}"}, "$session_id": "s", "tags": ["x"]}, "a")
@example({"a": {"b": "}"}, "c": [{"$session_id": "s"}]}, "a")
@example({'x"$session_id': "s"}, '"properties":{"$session_id":"s"}')
def test_what_is_moved_does_not_depend_on_how_the_text_looks(told: dict[str, Any], name: str) -> None:
    core = core_of(told, name)
    assert orjson.loads(placed(core)) == expected(told, name)
    # Together the places of the keys are found by Arrow.
    together = all_placed(pa.chunked_array([[core, b'"event":"a","properties":{"b":1}', core]], pa.binary()))
    assert [orjson.loads(event) for event in (together[0], together[2])] == [expected(told, name)] * 2
    assert orjson.loads(together[1]) == {
        "options": {"disable_skew_correction": True}, "event": "a", "properties": {"b": 1},
    }  # fmt: skip


@pytest.mark.parametrize(
    "told",
    [
        {"$session_id": "018df3f4-0000-7000-8000-000000000000"},
        {"$session_id": "s", "a": 1},
        {"$set_once": {"a": "{"}, "$groups": {"company": "x"}, "$session_id": "s", "tags": ["x"], "b": {"c": [1]}},
        {"a": 'said "no" \\', "$session_id": "s", "$window_id": "w", "$process_person_profile": False},
        {"$process_person_profile": True},
    ],
)
def test_the_usual_events_are_not_parsed(told: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(core: bytes) -> bytes:
        raise AssertionError(f"parsed: {core.decode()}")

    monkeypatch.setattr(v1_places, "_parsed", refuse)
    assert orjson.loads(placed(core_of(told))) == expected(told)
