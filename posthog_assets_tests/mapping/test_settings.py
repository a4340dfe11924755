"""The section `mapping`: its short forms, where a person's property goes, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from posthog_assets.mapping.settings import Mapping, PersonProperties, Sessions


def test_without_a_word_nothing_is_renamed_and_living_people_are_not_overwritten() -> None:
    mapping = Mapping.model_validate({})
    assert (mapping.events, mapping.groups, mapping.steps) == ({}, {}, [])
    assert mapping.person_properties.default == "set_once"
    assert (mapping.identify, mapping.shared_devices, mapping.repeats) == (True, "first", "keep")
    assert (mapping.sessions.mode, mapping.asks_history) == ("off", False)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            "set",
            {("a", "set"): "set", ("a", "set_once"): "set_once"},
        ),
        ("set_once", {("a", "set"): "set_once", ("a", "set_once"): "set_once"}),
        ("none", {("a", "set"): "none", ("a", "set_once"): "none"}),
        (
            {"default": "none", "set": ["plan"], "set_once": ["first"]},
            {("plan", "set_once"): "set", ("first", "set"): "set_once", ("a", "set"): "none"},
        ),
        (
            {"default": "set", "none": ["secret"]},
            {("secret", "set"): "none", ("a", "set"): "set", ("a", "set_once"): "set_once"},
        ),
    ],
)
def test_a_persons_property_goes_to(given: Any, expected: dict[tuple[str, Any], str]) -> None:
    places = PersonProperties.model_validate(given)
    assert {key: places.place(*key) for key in expected} == expected
    assert places.is_plain is isinstance(given, str)


@pytest.mark.parametrize("given", [{"set": ["a", "a"]}, {"set": ["a"], "none": ["b", "a"]}])
def test_a_property_goes_to_one_place(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="a: each property goes to one place"):
        PersonProperties.model_validate(given)


@pytest.mark.parametrize(
    ("given", "mode"),
    [("auto", "auto"), ("off", "off"), (True, "auto"), (False, "off"), ({"idle_minutes": 30}, "auto"), ({}, "auto")],
)
def test_sessions_are_on_or_off_as_yaml_reads_it(given: Any, mode: str) -> None:
    assert Sessions.model_validate(given).mode == mode


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ([{"sessions": {"idle_minutes": 1}}, {"sessions": {"idle_minutes": 720}}],
         [{"sessions": {"idle_minutes": 0}}, {"sessions": {"idle_minutes": 721}}]),
        ([{"transform": "my_package.hooks:clean"}],
         [{"transform": "hooks"}, {"transform": "hooks:a.b"}, {"transform": "hooks:"}, {"transform": "1a:b"}]),
        ([{"first_events": {"a": "x" * 200}}], [{"first_events": {"a": "x" * 201}}, {"first_events": {"a": " "}}]),
        ([{"identity_map": {"path": "a.csv"}}], [{"identity_map": {"path": ""}}, {"identity_map": {}}]),
        ([{"shared_devices": "skip"}], [{"shared_devices": "last"}]),
    ],
)  # fmt: skip
def test_limits_hold_exactly(good: list[dict[str, Any]], bad: list[dict[str, Any]]) -> None:
    for given in good:
        Mapping.model_validate(given)
    for given in bad:
        with pytest.raises(ValidationError):
            Mapping.model_validate(given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"first_events": {"buy": "buy"}}, "'buy' is the name of the event itself; give another"),
        ({"events": {"buy": "Bought"}, "first_events": {"buy": "Bought"}}, "'Bought' is the name of the event itself"),
        (
            {"events": {"a": "Bought", "b": "Bought"}, "first_events": {"a": "First a", "b": "First b"}},
            "'a' and 'b' are both called 'Bought' in PostHog, so their first ones need the same name",
        ),
        ({"properties": {"add": {"$import_day": "x"}}}, r"\$import_day cannot be set: every imported event carries it"),
        ({"properties": {"rename": {"$geoip_disable": "g"}}}, r"\$geoip_disable cannot be set"),
        ({"markers": {"day": "d"}, "properties": {"add": {"d": 1}}}, "d cannot be set"),
    ],
)
def test_what_contradicts_itself_is_refused_with_the_reason(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Mapping.model_validate(given)


def test_a_first_event_may_have_the_old_name_of_an_event_that_is_renamed() -> None:
    Mapping.model_validate({"events": {"buy": "Bought"}, "first_events": {"buy": "buy"}})


@pytest.mark.parametrize(
    "given", [{"first_time": ["a"]}, {"first_events": {"a": "First a"}}, {"since_previous": ["a"]}]
)
def test_what_only_all_days_together_know_asks_for_history(given: dict[str, Any]) -> None:
    assert Mapping.model_validate(given).asks_history
