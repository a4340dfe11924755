"""The event a step sees, and what a step may ask for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from posthog_assets.mapping.steps.base import Event, Scope, need


def sample() -> Event:
    event = Event("buy", "ann", 1_709_294_400_000_001, {"n": 1, "$set": {"inner": 1}, "$set_once": "no object"})
    event.set, event.set_once, event.group_set = {"last": 1}, {"first": 1}, {"plan": "pro"}
    return event


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("event", ["n"]),
        ("person", ["last", "first", "inner"]),
        ("group", ["plan"]),
        ("all", ["n", "last", "first", "inner", "plan"]),
    ],
)
def test_a_scope_names_the_objects_that_hold_such_properties(scope: Scope, names: list[str]) -> None:
    assert [name for bag in sample().bags(scope) for name in bag if not name.startswith("$")] == names


def test_the_time_of_an_event_is_in_utc_to_the_microsecond() -> None:
    assert sample().timestamp == datetime(2024, 3, 1, 12, 0, 0, 1, tzinfo=UTC)


def test_facts_of_an_event_cannot_be_changed() -> None:
    for fact in ("distinct_id", "user_id", "anonymous_id", "timestamp", "is_anonymous", "linked_ids"):
        with pytest.raises(AttributeError):
            setattr(sample(), fact, "other")


def test_an_event_is_anonymous_as_long_as_no_user_is_known() -> None:
    assert Event("buy", "dev", 0, {}, anonymous_id="dev").is_anonymous
    assert not Event("buy", "ann", 0, {}, user_id="ann", anonymous_id="dev").is_anonymous


def test_a_library_that_is_not_installed_is_named_with_how_to_install_it() -> None:
    need("orjson", "geoip")
    with pytest.raises(ValueError, match="the step geoip needs another package: pip install"):
        need("no_such_library", "geoip")
