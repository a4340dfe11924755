"""What a user agent tells of browser, system and device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.mapping.steps import Rejected, load_step
from posthog_assets.mapping.steps.base import Apply
from posthog_assets_tests.mapping.steps.applying import Given, event, left
from posthog_assets_tests.mapping.steps.records import segment_contexts


@pytest.fixture(scope="module")
def read() -> Apply:
    """The step without settings: to compile the library's rules takes most of a second."""
    return load_step({"step": "user_agent"}).ready(Given())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/17.1 Mobile/15E148 Safari/604.1",
            ["Mobile Safari", 17.1, "iOS", "17.1.0", "iPhone", "Mobile"],
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 12_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/73.0 "
            "Mobile/15E148 Safari/604.1",
            ["Chrome iOS", 73, "iOS", "12.2.0", "iPad", "Tablet"],
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 "
            "Safari/537.36 Edg/120.0.0.0",
            ["Microsoft Edge", 120, "Windows", "10", None, "Desktop"],
        ),
        (
            "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko",
            ["Internet Explorer", 11, "Windows", "7", None, "Desktop"],
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; SM-S908B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0.0.0 "
            "Mobile Safari/537.36",
            ["Chrome", 112, "Android", "13.0.0", "Android", "Mobile"],
        ),
        (
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0",
            ["Firefox", 115, "Linux", None, None, "Desktop"],
        ),
        ("Mozilla/5.0 (PlayStation 4 3.11) AppleWebKit/537.73", [None, None, None, None, "PlayStation 4", "Console"]),
        ("unknown", [None] * 6),
    ],
)
def test_a_user_agent_tells_what_posthogs_web_sdk_would(text: str, expected: list[Any], read: Apply) -> None:
    given = event({"$raw_user_agent": text})
    read(given)
    told = given.properties
    names = ["$browser", "$browser_version", "$os", "$os_version", "$device", "$device_type"]
    assert [told.get(name) for name in names] == expected


def test_what_the_source_knew_already_stays() -> None:
    told = left({"step": "user_agent", "names": ["ua"]}, {"ua": "curl/8.1.2", "$browser": "Own", "$os": None})
    assert told == {
        "ua": "curl/8.1.2", "$browser": "Own", "$os": None, "$browser_version": 8.1, "$device_type": "Desktop"
    }  # fmt: skip


def test_crawlers_may_be_left_out() -> None:
    bot = {"user_agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}
    assert left({"step": "user_agent"}, dict(bot))["$browser"] == "Googlebot"
    with pytest.raises(Rejected, match="^user agent is a bot's: Googlebot$"):
        left({"step": "user_agent", "bots": "reject"}, bot)


def test_user_agents_of_real_messages(real_data: Callable[[str], Path]) -> None:
    agents = [context["userAgent"] for context in segment_contexts(real_data) if context.get("userAgent")]
    step, events = load_step({"step": "user_agent"}).ready(Given()), [event({"userAgent": text}) for text in agents]
    for one in events:
        step(one)
    told = [one.properties for one in events]
    chromes = [one for one in told if one.get("$browser") == "Chrome" and one.get("$os") == "Mac OS X"]
    assert len(chromes) > 200
    assert {one["$os_version"] for one in chromes} >= {"10.14.5", "10.15.2", "10.15.7"}
    assert {one["$device_type"] for one in chromes} == {"Desktop"}
