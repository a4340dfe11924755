"""What RudderStack writes and Segment does not."""

from __future__ import annotations

from typing import Any

import pytest

from posthog_assets.dialects.rudderstack import RudderStack
from posthog_assets_tests.dialects.staging import stage_one
from posthog_assets_tests.dialects.test_segment import RUDDERSTACK, TRACK, call


def test_rudderstack_adds_its_own_fields() -> None:
    context = {
        "page": {"initial_referrer": "$direct", "initial_referring_domain": "", "referring_domain": "search.example"},
        "screen": {"innerWidth": 1200, "innerHeight": 700}, "sessionId": 171,
    }  # fmt: skip
    more = {"request_ip": "198.51.100.9", "rudderId": "r-1", "channel": "web", "context": context}
    row = stage_one(RUDDERSTACK, TRACK | more)
    assert row["properties"] == {
        "$ip": "198.51.100.9", "rudder_id": "r-1", "channel": "web", "$referring_domain": "search.example",
        "$viewport_width": 1200, "$viewport_height": 700, "rudder_session_id": 171, "price": 12.5, "$os": "mine",
    }  # fmt: skip
    assert row["set_once"] == {"$initial_referrer": "$direct"}
    known = stage_one(RUDDERSTACK, TRACK | more | {"context": {"ip": "198.51.100.7"}})
    assert known["properties"]["$ip"] == "198.51.100.7"


def test_rudderstack_says_the_type_of_a_group_in_edition_2() -> None:
    message = call("group", groupId="g-1", traits={"groupType": "team", "seats": 5})
    row = stage_one(RUDDERSTACK | {"edition": 2}, message)
    assert (row["groups"], row["set"]) == ({"team": "g-1"}, {"seats": 5})
    row = stage_one(RUDDERSTACK, message)
    assert (row["groups"], row["set"]) == ({"company": "g-1"}, {"groupType": "team", "seats": 5})
    assert stage_one(RUDDERSTACK | {"edition": 2}, call("group", groupId="g-1"))["groups"] == {"company": "g-1"}


@pytest.mark.parametrize("own", ["rudderId", "request_ip", "requestIP", "channel"])
def test_a_message_is_known_by_each_of_rudderstacks_own_fields(own: str) -> None:
    assert own in RudderStack.recognize(TRACK | {own: "x"})


@pytest.mark.parametrize(
    ("context", "marks"),
    [
        (
            {"library": {"name": "RudderLabs JavaScript SDK"}},
            ("type", "messageId", "originalTimestamp", "RudderStack's SDK"),
        ),
        ({"library": {"name": "analytics.js"}}, ()),
        ({"library": {"name": 5}}, ()),
        ({"library": "rudder"}, ()),
        ("rudder", ()),
    ],
)
def test_a_message_without_such_a_field_is_known_by_the_name_of_its_library(
    context: Any, marks: tuple[str, ...]
) -> None:
    assert RudderStack.recognize(TRACK | {"context": context}) == marks
