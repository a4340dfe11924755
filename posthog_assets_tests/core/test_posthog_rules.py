"""PostHog's rules for an event: what is exactly at a limit passes, one above it has a reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.core.posthog_rules import (
    event_flaws,
    group_flaws,
    id_flaws,
    is_illegal,
    name_flaw,
    size_flaws,
    span_flaws,
    storable,
    time_flaws,
    with_groups,
)
from posthog_assets.core.schemas import TIMESTAMP
from posthog_assets_tests.examples import examples

FETCHED = datetime(2024, 3, 1, 12, tzinfo=UTC)
MICRO = timedelta(microseconds=1)


def texts(*values: str | None) -> pa.StringArray:
    return pa.array(values, pa.string())


def flaws_of_groups(names: pa.StringArray, properties: pa.StringArray) -> dict[int, str]:
    return group_flaws(names, properties, with_groups(names, properties))


def stamps(*values: datetime | None) -> pa.Array:
    return pa.array(values, TIMESTAMP)


@pytest.mark.parametrize("name", ["a", "x" * 200, "ü" * 100, " a ", "$pageview", "\u2028a"])
def test_a_name_of_up_to_200_bytes_is_taken(name: str) -> None:
    assert name_flaw(name) is None


@pytest.mark.parametrize(
    ("name", "flaw"),
    [
        (None, "event name is empty"),
        ("", "event name is empty"),
        (" \t\n", "event name is empty"),
        ("x" * 201, f"event name is longer than 200 bytes: '{'x' * 60}'…"),
        ("ü" * 100 + "x", f"event name is longer than 200 bytes: '{'ü' * 60}'…"),
    ],
)
def test_any_other_name_has_its_reason(name: str | None, flaw: str) -> None:
    assert name_flaw(name) == flaw


@pytest.mark.parametrize("name", ["anonymous", "GUEST", "Null", "0", "[object Object]", "'none'", '"undefined"', ""])
def test_ids_that_posthog_gives_no_person_are_known_in_any_case_and_in_quotes(name: str) -> None:
    assert is_illegal(name)


@pytest.mark.parametrize(
    "name", ["anonymous1", "00", "users", "'none", "ann", "''", "00000000-0000-0000-0000-00000000000"]
)
def test_ids_that_only_look_like_them_are_peoples(name: str) -> None:
    assert not is_illegal(name)


def test_each_wrong_id_has_its_place_and_its_reason() -> None:
    ids = texts("ann", None, "", "Guest", "x" * 200, "x" * 201, "ü" * 101, "a\x00b", "ü" * 100)
    assert id_flaws(ids) == {
        1: "distinct_id is empty",
        2: "distinct_id is empty",
        3: "distinct_id is one PostHog gives no person: 'Guest'",
        5: f"distinct_id is longer than 200 bytes: '{'x' * 60}'…",
        6: f"distinct_id is longer than 200 bytes: '{'ü' * 60}'…",
        7: "distinct_id holds a NUL character",
    }
    assert id_flaws(ids.slice(3, 2)) == {0: "distinct_id is one PostHog gives no person: 'Guest'"}
    assert id_flaws(texts("ann", "bob")) == id_flaws(texts()) == {}


def test_times_from_1970_to_23_hours_after_the_export_are_stored_as_they_are() -> None:
    first, last = datetime(1970, 1, 1, tzinfo=UTC), FETCHED + timedelta(hours=23)
    assert storable(stamps(first, None, last), FETCHED) is None
    assert storable(stamps(), FETCHED) is None
    assert time_flaws(stamps(first, last), FETCHED) == {}
    outside = stamps(first - MICRO, first, None, last, last + MICRO)
    kept = storable(outside, FETCHED)
    assert kept is not None
    assert kept.to_pylist() == [False, True, True, True, False]
    assert time_flaws(outside, FETCHED) == {
        0: "timestamp lies before 1970, which PostHog cannot store: 1969-12-31T23:59:59.999999+00:00",
        4: "timestamp lies in the future: 2024-03-02T11:00:00.000001+00:00",
    }


def test_a_span_begins_with_its_first_instant_and_ends_before_its_last() -> None:
    times = stamps(FETCHED - MICRO, FETCHED, FETCHED + MICRO)
    assert span_flaws(times, FETCHED, None) == {
        0: "timestamp is before since: 2024-03-01T11:59:59.999999+00:00",
    }
    assert span_flaws(times, None, FETCHED) == {
        1: "timestamp is not before until: 2024-03-01T12:00:00+00:00",
        2: "timestamp is not before until: 2024-03-01T12:00:00.000001+00:00",
    }
    assert span_flaws(times, None, None) == {}


@pytest.mark.parametrize(
    ("properties", "flaw"),
    [
        ({}, None),
        ({"$groups": {"company": "acme"}}, None),
        ({"$groups": {"company": 17, "team": "a b"}}, None),
        ({"$groups": {}}, None),
        ({"$groups": None}, None),
        ({"$groups": {"company": "k" * 400}}, None),
        ({"$groups": {"company": "k" * 401}}, "group key is longer than 400 characters: company"),
        ({"$groups": {"a": "x", "company": "ü" * 401}}, "group key is longer than 400 characters: company"),
        ({"$groups": "acme"}, "$groups is no object: acme"),
        ({"$groups": ["acme"]}, "$groups is no object: ['acme']"),
        ({"$groups": {" ": "acme"}}, "$groups has a key without a group type"),
        ({"$groups": {"": "acme"}}, "$groups has a key without a group type"),
        ({"$groups": {"\u00a0\u2003": "acme"}}, "$groups has a key without a group type"),
        ({"$groups": {"会社": "acme"}}, None),
        ({"$groups": {"company": {"id": 1}}}, "group key is neither text nor a number: company"),
        ({"$groups": {"company": [1]}}, "group key is neither text nor a number: company"),
        # A member of the same name further inside is no group.
        ({"inner": {"$groups": "acme"}}, None),
        ({"inner": {"$groups": {"a": "b"}}, "$groups": "acme"}, "$groups is no object: acme"),
        ({"text": '"$groups":'}, None),
    ],
)
def test_groups_are_an_object_of_keys_of_up_to_400_characters(properties: dict[str, Any], flaw: str | None) -> None:
    text = json.dumps(properties, ensure_ascii=False, separators=(",", ":"))
    found = flaws_of_groups(texts("edit", "edit"), texts("{}", text))
    assert found == ({} if flaw is None else {1: flaw})


@pytest.mark.parametrize(
    ("properties", "flaw"),
    [
        ({"$group_type": "company", "$group_key": "acme"}, None),
        ({"$group_type": "company", "$group_key": 0}, None),
        ({"$group_type": "company", "$group_key": "acme", "$group_set": {"a": 1}}, None),
        ({"$group_type": "company", "$group_key": "k" * 400}, None),
        ({"$group_key": "acme"}, "group call names no group type"),
        ({"$group_type": "", "$group_key": "acme"}, "group call names no group type"),
        ({"$group_type": 5, "$group_key": "acme"}, "group call names no group type"),
        ({"$group_type": "company"}, "group call names no group key: company"),
        ({"$group_type": "company", "$group_key": ""}, "group call names no group key: company"),
        ({"$group_type": "company", "$group_key": "k" * 401}, "group key is longer than 400 characters: company"),
        ({"$group_type": "c", "$group_key": ["a"]}, "group key is neither text nor a number: c"),
        ({"$group_type": "c", "$group_key": "a", "$group_set": [1]}, "$group_set is no object: [1]"),
    ],
)
def test_a_call_about_a_group_names_its_type_and_key(properties: dict[str, Any], flaw: str | None) -> None:
    found = flaws_of_groups(texts("$groupidentify"), texts(json.dumps(properties, separators=(",", ":"))))
    assert found == ({} if flaw is None else {0: flaw})


groups: st.SearchStrategy[Any] = st.none() | st.text(max_size=3) | st.dictionaries(
    st.sampled_from(["company", " ", "\u2003", "a\\b", 'q"', "ü"]),
    st.sampled_from(["acme", "", " ", "a\\b", 'q"', "k" * 400, "k" * 401, 5, 1.5, None, True, [], {}]),
    max_size=3,
)  # fmt: skip


@settings(max_examples=examples(60))
@given(groups)
def test_the_quick_look_at_groups_finds_what_the_slow_one_finds(value: Any) -> None:
    """A neighbour that is always looked at closely makes no difference."""
    text = json.dumps({"$groups": value}, ensure_ascii=False, separators=(",", ":"))
    alone = flaws_of_groups(texts("edit"), texts(text))
    call = texts('{"$group_type":"c","$group_key":"a"}')
    beside = flaws_of_groups(texts("edit", "$groupidentify"), pa.concat_arrays([texts(text), call]))
    assert alone == beside
    good = value is None or (
        isinstance(value, dict)
        and all(
            kind.strip() and not isinstance(key, list | dict) and len(str(key)) <= 400 for kind, key in value.items()
        )
    )
    assert (alone == {}) is good


def test_properties_of_899_000_bytes_leave_room_for_the_rest_of_the_event() -> None:
    most = "x" * 899_000
    assert size_flaws(texts("{}", most)) == {}
    assert size_flaws(texts("{}", most + "x")) == {1: "event is larger than 900,000 bytes: 899,001"}
    # Bytes, not characters.
    assert list(size_flaws(texts("ü" * 449_501))) == [0]


def test_an_event_with_several_flaws_has_the_reason_that_comes_first() -> None:
    names, properties = texts(None, "edit", "edit", "edit"), texts("{}", "{}", '{"$groups":1}', "{}")
    flaws = event_flaws(
        names,
        texts("", "guest", "ann", "ann"),
        stamps(datetime(1960, 1, 1, tzinfo=UTC), datetime(1960, 1, 1, tzinfo=UTC), FETCHED, FETCHED),
        properties,
        FETCHED,
        with_groups(names, properties),
    )
    assert flaws == {
        0: "event name is empty",
        1: "distinct_id is one PostHog gives no person: 'guest'",
        2: "$groups is no object: 1",
    }


def test_wrong_names_are_found_at_each_of_their_places() -> None:
    names = texts("a", "x" * 201, None, "a", "x" * 201)
    count = len(names)
    ids, properties = texts(*["ann"] * count), texts(*["{}"] * count)
    flaws = event_flaws(names, ids, stamps(*[FETCHED] * count), properties, FETCHED, None)
    long = f"event name is longer than 200 bytes: '{'x' * 60}'…"
    assert flaws == {1: long, 2: "event name is empty", 4: long}
