"""rename, drop, keep, add."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from posthog_assets.mapping.steps import load_step
from posthog_assets_tests.mapping.steps.applying import after, event, left
from posthog_assets_tests.mapping.steps.records import first_edit


def test_properties_get_other_names_and_a_star_takes_its_text_along(real_data: Callable[[str], Path]) -> None:
    step = {"step": "rename", "names": {"cityName": "$geoip_city_name", "country*": "country_*", "region*": "$r_*_x"}}
    changed = left(step, first_edit(real_data))
    assert list(changed) == [
        "channel", "comment", "isAnonymous", "isMinor", "isNew", "isRobot", "isUnpatrolled", "metroCode", "namespace",
        "page", "delta", "added", "deleted", "$geoip_city_name", "country_IsoCode", "country_Name", "$r_IsoCode_x",
        "$r_Name_x",
    ]  # fmt: skip
    assert changed["page"] == "Talk:Oswald Tilghman"


def test_a_renamed_property_replaces_its_like_and_two_may_change_places() -> None:
    assert left({"step": "rename", "names": {"a": "b"}}, {"a": 1, "b": 2}) == {"b": 1}
    assert left({"step": "rename", "names": {"a": "b", "b": "a"}}, {"a": 1, "b": 2}) == {"b": 1, "a": 2}


def test_brackets_and_question_marks_are_letters_of_a_name() -> None:
    step = {"step": "rename", "names": {"[Amplitude] *": "*", "why?": "reason"}}
    assert left(step, {"[Amplitude] Page": 1, "A Page": 2, "why?": 3}) == {"A Page": 2, "Page": 1, "reason": 3}


def test_properties_are_left_out_of_the_event_and_of_the_person() -> None:
    given = event({"debug_a": 1, "debug_b": 2, "page": 3, "$set": {"debug_a": 1}})
    given.set, given.set_once = {"debug_a": 1, "mail": 2}, {"debug_b": 1}
    after({"step": "drop", "names": ["debug_*"]}, given)
    assert given.properties == {"page": 3, "$set": {"debug_a": 1}}
    assert given.set == {"debug_a": 1, "mail": 2}
    after({"step": "drop", "names": ["debug_*"], "scope": "all"}, given)
    assert (given.properties, given.set, given.set_once) == ({"page": 3, "$set": {}}, {"mail": 2}, {})


def test_what_is_not_kept_goes_but_never_the_person() -> None:
    properties = {"page": 1, "$ip": "1.1.1.1", "other": 2, "$set": {"a": 1}, "$groups": {"company": "5"}}
    assert left({"step": "keep", "names": ["page"]}, properties) == {
        "page": 1, "$set": {"a": 1}, "$groups": {"company": "5"}
    }  # fmt: skip
    assert left({"step": "keep", "names": ["$*"]}, {"page": 1, "$ip": "1.1.1.1"}) == {"$ip": "1.1.1.1"}


def test_a_star_alone_never_takes_the_person_with_it() -> None:
    assert left({"step": "drop", "names": ["*"]}, {"page": 1, "$set": {"a": 1}}) == {"$set": {"a": 1}}
    assert left({"step": "drop", "names": ["$set"]}, {"page": 1, "$set": {"a": 1}}) == {"page": 1}


def test_constants_and_copies_are_added() -> None:
    step: dict[str, Any] = {"step": "add", "values": {"origin": "shop", "tags": ["a"]}, "copy": {"$current_url": "url"}}
    changed = left(step, {"url": "https://a.example", "origin": "web"})
    assert changed == {
        "url": "https://a.example", "origin": "shop", "tags": ["a"], "$current_url": "https://a.example"
    }  # fmt: skip
    assert left(step | {"overwrite": False}, {"origin": "web"}) == {"origin": "web", "tags": ["a"]}


def test_a_copy_is_not_changed_with_its_original() -> None:
    given = event({"plan": {"name": "pro"}})
    after({"step": "add", "copy": {"kept": "plan"}}, given)
    given.properties["plan"]["name"] = "free"
    assert given.properties["kept"] == {"name": "pro"}


def test_a_copy_may_go_to_the_person() -> None:
    given = after({"step": "add", "copy": {"email": "mail"}, "scope": "person"}, event({"mail": "a@b.example"}))
    assert (given.properties, given.set) == ({"mail": "a@b.example"}, {"email": "a@b.example"})


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"step": "rename", "names": {"a": "$import_job_id"}}, "every imported event carries it"),
        ({"step": "rename", "names": {"a": "b_*"}}, "more \\* than"),
        ({"step": "add"}, "needs values or copy"),
        ({"step": "add", "values": {"$geoip_disable": False}}, "every imported event carries it"),
        ({"step": "drop", "names": []}, "at least 1 item"),
        ({"step": "drop", "name": ["a"]}, "Field required"),
    ],
)
def test_a_step_that_cannot_be_meant_is_refused(step: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        load_step(step)
