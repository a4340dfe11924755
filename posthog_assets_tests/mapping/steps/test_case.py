"""Names in one style."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_assets.mapping.steps.case import in_style, words
from posthog_assets_tests.mapping.steps.applying import after, event, left
from posthog_assets_tests.mapping.steps.records import first_edit


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("PageViewed", ["Page", "Viewed"]),
        ("page viewed", ["page", "viewed"]),
        ("HTTPStatus", ["HTTP", "Status"]),
        ("userID", ["user", "ID"]),
        ("userIDs", ["user", "IDs"]),
        ("IDsOfUsers", ["IDs", "Of", "Users"]),
        ("XMLHttpRequest", ["XML", "Http", "Request"]),
        ("MP3Player", ["MP3", "Player"]),
        ("[Amplitude] Page URL", ["Amplitude", "Page", "URL"]),
        ("PAGE_VIEW", ["PAGE", "VIEW"]),
        ("User's plan", ["Users", "plan"]),
        ("GrößeÄndern", ["Größe", "Ändern"]),
        ("हिन्दी शब्द", ["हिन्दी", "शब्द"]),
        ("!!", []),
    ],
)
def test_a_name_is_taken_apart_into_its_words(name: str, expected: list[str]) -> None:
    assert words(name) == expected


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("snake_case", "http_status_of_user_ids"),
        ("kebab-case", "http-status-of-user-ids"),
        ("camelCase", "httpStatusOfUserIds"),
        ("PascalCase", "HttpStatusOfUserIds"),
        ("Title Case", "HTTP Status Of User IDs"),
        ("Sentence case", "HTTP status of user IDs"),
        ("lower case", "http status of user ids"),
    ],
)
def test_acronyms_stay_words_in_every_style(style: str, expected: str) -> None:
    assert in_style("HTTPStatus of userIDs", style) == expected  # type: ignore[arg-type]


def test_what_was_shouted_is_no_acronym() -> None:
    assert in_style("PAGE VIEW", "Title Case") == "Page View"


def test_names_of_a_real_record_become_snake_case(real_data: Callable[[str], Path]) -> None:
    given = after({"step": "case", "style": "snake_case"}, event(first_edit(real_data), name="PageEdited"))
    assert given.name == "page_edited"
    assert list(given.properties) == [
        "channel", "city_name", "comment", "country_iso_code", "country_name", "is_anonymous", "is_minor", "is_new",
        "is_robot", "is_unpatrolled", "metro_code", "namespace", "page", "region_iso_code", "region_name", "delta",
        "added", "deleted",
    ]  # fmt: skip


def test_posthogs_own_names_and_those_to_leave_stay() -> None:
    step = {"step": "case", "style": "camelCase", "leave": ["SKU", "raw *"]}
    names = ["$current_url", "utm_source", "SKU", "raw Value", "Plan name"]
    assert list(left(step, dict.fromkeys(names))) == ["$current_url", "utm_source", "SKU", "raw Value", "planName"]
    assert after(step, event({}, name="$pageview")).name == "$pageview"
    assert after(step, event({}, name="survey sent")).name == "survey sent"


def test_two_names_that_would_become_one_lose_no_value() -> None:
    step = {"step": "case", "style": "snake_case"}
    assert left(step, {"userId": 1, "user_id": 2}) == {"userId": 1, "user_id": 2}
    assert left(step, {"userId": 1, "UserID": 2}) == {"user_id": 1, "UserID": 2}


def test_only_what_is_asked_for_is_written_again() -> None:
    given = after({"step": "case", "style": "snake_case", "of": ["event"]}, event({"userId": 1}, name="UserSeen"))
    assert (given.name, given.properties) == ("user_seen", {"userId": 1})
    given = after({"step": "case", "style": "snake_case", "of": ["properties"]}, event({"userId": 1}, name="UserSeen"))
    assert (given.name, given.properties) == ("UserSeen", {"user_id": 1})


@given(st.text("abcXYZ019_-. ä", max_size=12))
def test_a_name_in_snake_case_stays_so(name: str) -> None:
    once = in_style(name, "snake_case")
    assert in_style(once, "snake_case") == once
