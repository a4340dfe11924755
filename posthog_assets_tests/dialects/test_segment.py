"""Segment's and RudderStack's messages, with messages as their specifications show them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from posthog_assets_tests.dialects.staging import reason, stage_one

SEGMENT = {"type": "segment"}
RUDDERSTACK = {"type": "rudderstack"}

CONTEXT: dict[str, Any] = {
    "page": {
        "url": "https://shop.example/cart?step=1", "path": "/cart", "referrer": "https://search.example/",
        "title": "Cart", "search": "?step=1",
    },
    "campaign": {"name": "spring", "source": "newsletter", "medium": "email", "term": "shoes", "content": "top"},
    "os": {"name": "iOS", "version": "17.1"},
    "device": {"id": "dev-1", "manufacturer": "Apple", "model": "iPhone15,2", "name": "phone", "type": "ios"},
    "screen": {"width": 390, "height": 844, "density": 3},
    "app": {"name": "Shop", "version": "2.1", "build": "210", "namespace": "com.example.shop"},
    "library": {"name": "analytics-ios", "version": "4.1.6"},
    "network": {"carrier": "Any", "cellular": True, "wifi": False},
    "location": {"city": "Berlin", "country": "Germany", "region": "Berlin", "latitude": 52.5, "longitude": 13.4},
    "ip": "198.51.100.7", "locale": "de-DE", "timezone": "Europe/Berlin", "userAgent": "Shop/2.1",
}  # fmt: skip

TRACK: dict[str, Any] = {
    "type": "track", "event": "Item Bought", "messageId": "m-1", "userId": "ann", "anonymousId": "a-1",
    "timestamp": "2024-03-01T10:00:00.250Z", "originalTimestamp": "2024-03-01T10:00:01Z",
    "receivedAt": "2024-03-05T00:00:00Z", "sentAt": "2024-03-05T00:00:00Z",
    "properties": {"price": 12.5, "$os": "mine"}, "context": CONTEXT, "integrations": {"All": True},
}  # fmt: skip


def call(kind: str, **more: Any) -> dict[str, Any]:
    base = {key: TRACK[key] for key in ("messageId", "userId", "anonymousId", "timestamp")}
    return base | {"type": kind} | more


def test_a_track_call_is_its_event_with_the_context_as_posthog_names_it() -> None:
    row = stage_one(SEGMENT, TRACK)
    assert (row["kind"], row["event"], row["source_id"]) == ("event", "Item Bought", "m-1")
    assert (row["user_id"], row["anonymous_id"]) == ("ann", "a-1")
    assert row["timestamp"] == datetime(2024, 3, 1, 10, 0, 0, 250_000, tzinfo=UTC)
    assert row["properties"] == {
        "$current_url": "https://shop.example/cart?step=1", "$pathname": "/cart",
        "$referrer": "https://search.example/", "title": "Cart", "$search": "?step=1",
        "utm_campaign": "spring", "utm_source": "newsletter", "utm_medium": "email", "utm_term": "shoes",
        "utm_content": "top", "$os": "mine", "$os_version": "17.1", "$device_id": "dev-1",
        "$device_manufacturer": "Apple", "$device_model": "iPhone15,2", "$device_name": "phone",
        "$device_type": "Mobile", "$screen_width": 390, "$screen_height": 844, "$app_name": "Shop",
        "$app_version": "2.1", "$app_build": "210", "$app_namespace": "com.example.shop", "$lib": "analytics-ios",
        "$lib_version": "4.1.6", "$network_carrier": "Any", "$network_cellular": True, "$network_wifi": False,
        "$geoip_city_name": "Berlin", "$geoip_country_name": "Germany", "$geoip_subdivision_1_name": "Berlin",
        "$geoip_latitude": 52.5, "$geoip_longitude": 13.4, "$ip": "198.51.100.7", "$locale": "de-DE",
        "$timezone": "Europe/Berlin", "$raw_user_agent": "Shop/2.1", "price": 12.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("stamps", "instant"),
    [
        ({"timestamp": "2024-03-01T12:00:00.5+0530"}, datetime(2024, 3, 1, 6, 30, 0, 500_000, tzinfo=UTC)),
        ({"timestamp": 1_709_287_200_000}, datetime(2024, 3, 1, 10, tzinfo=UTC)),
        ({"originalTimestamp": "2024-03-01 10:00:00.000"}, datetime(2024, 3, 1, 10, tzinfo=UTC)),
        ({"timestamp": "", "originalTimestamp": "2024-03-01T10:00:00Z"}, datetime(2024, 3, 1, 10, tzinfo=UTC)),
    ],
)
def test_the_time_is_that_of_the_device_corrected_and_never_of_the_arrival(
    stamps: dict[str, Any], instant: datetime
) -> None:
    message = {key: value for key, value in TRACK.items() if key not in ("timestamp", "originalTimestamp")}
    assert stage_one(SEGMENT, message | stamps)["timestamp"] == instant
    assert reason(SEGMENT, message) == "timestamp is empty"


def test_a_page_call_is_a_pageview_and_its_name_a_property() -> None:
    own = {"url": "https://shop.example/own", "path": "/own", "referrer": "", "title": "Own", "section": "sale"}
    row = stage_one(SEGMENT, call("page", name="Cart", category="Shop", properties=own, context=CONTEXT))
    properties = row["properties"]
    assert row["event"] == "$pageview"
    assert (properties["name"], properties["category"], properties["section"]) == ("Cart", "Shop", "sale")
    assert (properties["$current_url"], properties["$pathname"]) == ("https://shop.example/own", "/own")
    assert (properties["$referrer"], properties["title"]) == ("https://search.example/", "Own")
    assert not {"url", "path", "referrer"} & properties.keys()


def test_the_url_of_a_track_call_stays_what_the_sender_called_it() -> None:
    assert stage_one(SEGMENT, TRACK | {"properties": {"url": "x"}})["properties"]["url"] == "x"


def test_a_screen_call_names_the_screen() -> None:
    row = stage_one(SEGMENT, call("screen", name="Cart", properties={"variation": "b"}))
    assert (row["event"], row["properties"]) == ("$screen", {"$screen_name": "Cart", "variation": "b"})
    said = stage_one(SEGMENT, call("screen", properties={"name": "Cart"}))["properties"]
    assert said == {"$screen_name": "Cart"}
    both = stage_one(SEGMENT, call("screen", name="Cart", category="Shop", properties={"name": "x"}))["properties"]
    assert both == {"$screen_name": "Cart", "name": "x", "category": "Shop"}


def test_an_identify_call_sets_the_traits_of_the_context_and_its_own_which_win() -> None:
    context = {"traits": {"plan": "free", "city": "Berlin"}}
    row = stage_one(SEGMENT, call("identify", traits={"plan": "pro"}, context=context))
    assert (row["kind"], row["user_id"], row["anonymous_id"]) == ("identify", "ann", "a-1")
    assert row["set"] == {"plan": "pro", "city": "Berlin"}


def test_the_name_of_a_call_is_read_without_regard_to_case() -> None:
    assert stage_one(SEGMENT, call("Identify"))["kind"] == "identify"


def test_traits_in_the_context_of_other_calls_are_the_persons_unless_the_import_says_otherwise() -> None:
    message = TRACK | {"context": {"traits": {"plan": "pro"}}}
    assert stage_one(SEGMENT, message)["set"] == {"plan": "pro"}
    assert stage_one(SEGMENT | {"persons": "identify"}, message)["set"] is None
    assert stage_one(RUDDERSTACK, message)["set"] is None


def test_a_group_call_names_a_group_of_the_imports_type_and_sets_its_traits() -> None:
    row = stage_one(SEGMENT, call("group", groupId="g-1", traits={"name": "Acme"}, context={"traits": {"a": 1}}))
    assert (row["kind"], row["groups"], row["set"]) == ("group", {"company": "g-1"}, {"name": "Acme"})
    assert stage_one(SEGMENT | {"group_type": "team"}, call("group", groupId=5))["groups"] == {"team": "5"}
    assert reason(SEGMENT, call("group")) == "group call has no groupId"


def test_the_group_in_the_context_of_an_event_is_its_group() -> None:
    assert stage_one(SEGMENT, TRACK | {"context": {"groupId": "g-1"}})["groups"] == {"company": "g-1"}


def test_an_alias_call_links_the_previous_id() -> None:
    row = stage_one(SEGMENT, call("alias", previousId="old"))
    assert (row["kind"], row["user_id"], row["anonymous_id"]) == ("alias", "ann", "old")
    assert stage_one(SEGMENT, call("alias"))["anonymous_id"] == "a-1"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (TRACK | {"userId": None, "anonymousId": ""}, "record has no id of a user or device: userId, anonymousId"),
        (TRACK | {"event": None}, "event name is empty"),
        (TRACK | {"event": {"name": "x"}}, "event name is no text: {'name': 'x'}"),
        (TRACK | {"properties": [1]}, "properties are no object: [1]"),
        (TRACK | {"type": "delete"}, "type is none of track, page, screen, identify, group, alias: delete"),
        (TRACK | {"type": None}, "type is none of track, page, screen, identify, group, alias: None"),
        (
            TRACK | dict.fromkeys(("timestamp", "originalTimestamp", "receivedAt"), "NOW"),
            "timestamp cannot be read: 'NOW'",
        ),
        (call("group", groupId=["x"]), "groupId is neither text nor a whole number: ['x']"),
    ],
)
def test_a_message_that_cannot_be_an_event_is_rejected_with_its_reason(message: dict[str, Any], words: str) -> None:
    assert reason(SEGMENT, message) == words


def test_a_context_that_is_none_or_holds_nothing_is_no_obstacle() -> None:
    context = {"ip": "0.0.0.0", "locale": "", "os": None, "device": "phone", "traits": None}
    assert stage_one(SEGMENT, TRACK | {"context": context, "properties": None})["properties"] == {}
    assert reason(SEGMENT, TRACK | {"context": None}) is None


def test_segment_links_ids_seen_together_and_rudderstack_only_those_of_identify_calls() -> None:
    from posthog_assets.dialects import load_dialect

    assert load_dialect(SEGMENT).links_identities
    assert not load_dialect(RUDDERSTACK).links_identities
    assert load_dialect(RUDDERSTACK | {"persons": "every_call"}).links_identities


@pytest.mark.parametrize("dialect", [SEGMENT, RUDDERSTACK])
def test_objects_of_a_message_may_be_json_text(dialect: dict[str, Any]) -> None:
    as_text = call(
        "identify", traits='{"plan":"pro"}', context='{"traits":"{\\"team\\":\\"a\\"}","os":"{\\"name\\":\\"iOS\\"}"}',
        properties='{"n":1}',
    )  # fmt: skip
    as_objects = call(
        "identify", traits={"plan": "pro"}, context={"traits": {"team": "a"}, "os": {"name": "iOS"}},
        properties={"n": 1},
    )  # fmt: skip
    row = stage_one(dialect, as_text)
    assert row == stage_one(dialect, as_objects)
    assert (row["set"], row["properties"]) == ({"plan": "pro", "team": "a"}, {"n": 1, "$os": "iOS"})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"traits": "pro"}, "traits is no object: pro"),
        ({"traits": [1]}, "traits is no object: [1]"),
        ({"context": {"traits": "{half"}}, "context.traits is no object: {half"),
        ({"context": "web"}, "context is no object: web"),
        ({"properties": "n=1"}, "properties are no object: n=1"),
    ],
)
def test_an_object_of_a_message_that_is_none_rejects_it(changes: dict[str, Any], words: str) -> None:
    assert reason(SEGMENT, call("identify") | changes) == words


def test_the_host_of_a_page_is_that_of_its_url_in_edition_2() -> None:
    page = call("page", properties={"url": "https://shop.example/cart?a=1"})
    assert "$host" not in stage_one(SEGMENT, page)["properties"]
    properties = stage_one(SEGMENT | {"edition": 2}, page)["properties"]
    assert (properties["$host"], properties["$pathname"]) == ("shop.example", "/cart")
    assert stage_one(SEGMENT | {"edition": 2}, TRACK)["properties"]["$host"] == "shop.example"


def test_versions_that_are_numbers_become_text_in_edition_2() -> None:
    message = TRACK | {"context": CONTEXT | {"os": {"name": "Android", "version": 14}, "app": {"version": 2.1}}}
    assert stage_one(SEGMENT, message)["properties"]["$os_version"] == 14
    properties = stage_one(SEGMENT | {"edition": 2}, message)["properties"]
    assert (properties["$os_version"], properties["$app_version"]) == ("14", "2.1")
