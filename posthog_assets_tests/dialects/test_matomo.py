"""Matomo's visits, with fields as `Live.getLastVisitsDetails` writes them."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from posthog_assets.sources.formats import Format, Framing, read_records
from posthog_assets_tests.dialects.staging import notes, reason, stage, stage_one

MATOMO = {"type": "matomo"}

ACTION: dict[str, Any] = {
    "type": "action", "url": "https://shop.example/cart?step=1", "pageTitle": "Cart", "pageIdAction": "7",
    "idpageview": "x1", "serverTimePretty": "Mar 1, 2024 10:00:00", "pageId": "70", "timeSpent": "5",
    "timeSpentPretty": "5s", "pageviewPosition": "1", "title": "Cart", "subtitle": "https://shop.example/cart",
    "icon": "", "iconSVG": "x.svg", "timestamp": 1709287200, "dimension2": "b",
}  # fmt: skip

EVENT: dict[str, Any] = {
    "type": "event", "url": "https://shop.example/cart", "pageIdAction": "7", "pageId": "71",
    "eventCategory": "cart", "eventAction": "item added", "eventName": "shoe", "eventValue": 2,
    "timestamp": 1709287260, "icon": "event.svg",
}  # fmt: skip

VISIT: dict[str, Any] = {
    "idSite": 1, "idVisit": 5, "visitIp": "198.51.100.0", "visitorId": "abcdef0123456789", "userId": "ann",
    "siteName": "Shop", "visitorType": "returning", "visitDuration": 60, "visitDurationPretty": "1 min",
    "browserName": "Chrome", "browserVersion": "122.0", "browserIcon": "chrome.png", "operatingSystemName": "Mac",
    "operatingSystemVersion": "14", "deviceType": "Smartphone", "deviceBrand": "Unknown", "deviceModel": "Phone 1",
    "languageCode": "de", "city": "Berlin", "region": "Berlin", "regionCode": "BE", "country": "Germany",
    "countryCode": "de", "continent": "Europe", "latitude": "52.500", "longitude": "13.400",
    "referrerUrl": "https://search.example/", "referrerType": "search", "referrerName": "Search",
    "referrerKeyword": "Keyword not defined", "campaignName": "spring", "resolution": "1920x1080", "plugins": "pdf",
    "dimension1": "pro", "dimension3": "", "serverTimestamp": 1709290000,
}  # fmt: skip


def record(action: Any = ACTION, **changes: Any) -> dict[str, Any]:
    return VISIT | {"actionDetails": action} | changes


def test_an_action_is_a_pageview_with_the_fields_of_its_visit() -> None:
    row = stage_one(MATOMO, record())
    assert (row["event"], row["source_id"]) == ("$pageview", "5-70")
    assert (row["user_id"], row["anonymous_id"]) == ("ann", "abcdef0123456789")
    assert row["timestamp"] == datetime(2024, 3, 1, 10, tzinfo=UTC)
    assert row["properties"] == {
        "matomo_site_id": 1, "matomo_visit_id": 5, "site_name": "Shop", "visitor_type": "returning",
        "$ip": "198.51.100.0", "$browser": "Chrome", "$browser_version": "122.0", "$os": "Mac", "$os_version": "14",
        "$device_type": "Mobile", "$device_model": "Phone 1", "$browser_language": "de",
        "$geoip_city_name": "Berlin", "$geoip_subdivision_1_name": "Berlin", "$geoip_subdivision_1_code": "BE",
        "$geoip_country_name": "Germany", "$geoip_country_code": "de", "$geoip_continent_name": "Europe",
        "$geoip_latitude": 52.5, "$geoip_longitude": 13.4, "$referrer": "https://search.example/",
        "referrer_type": "search", "referrer_name": "Search", "utm_campaign": "spring", "$screen_width": 1920,
        "$screen_height": 1080, "dimension1": "pro", "dimension2": "b", "timeSpent": "5", "pageviewPosition": "1",
        "$current_url": "https://shop.example/cart?step=1", "title": "Cart", "$host": "shop.example",
        "$pathname": "/cart",
    }  # fmt: skip


def test_an_event_is_named_by_its_action() -> None:
    row = stage_one(MATOMO, record(EVENT))
    said = {name: row["properties"][name] for name in ("eventCategory", "eventAction", "eventName", "eventValue")}
    assert row["event"] == "item added"
    assert said == {"eventCategory": "cart", "eventAction": "item added", "eventName": "shoe", "eventValue": 2}


@pytest.mark.parametrize(
    ("action", "event", "properties"),
    [
        ({"type": "download", "url": "https://a.example/a.pdf"}, "download", {"$current_url": "https://a.example/a.pdf"}),
        ({"type": "outlink", "url": "https://other.example/"}, "outlink", {"$current_url": "https://other.example/"}),
        ({"type": "search", "siteSearchKeyword": "shoe", "siteSearchCount": 3}, "site search",
         {"search_keyword": "shoe", "search_count": 3}),
        ({"type": "ecommerceOrder", "orderId": "o-1", "revenue": 12.5}, "ecommerceOrder",
         {"orderId": "o-1", "revenue": 12.5}),
    ],
)  # fmt: skip
def test_other_actions_are_events_of_their_type(action: dict[str, Any], event: str, properties: dict[str, Any]) -> None:
    row = stage_one(MATOMO, record(action | {"timestamp": 1709287200}))
    assert row["event"] == event
    assert properties.items() <= row["properties"].items()


@pytest.mark.parametrize("name", ["goal", "search", "action"])
def test_the_name_a_sender_gave_an_event_is_never_taken_for_a_type(name: str) -> None:
    assert stage_one(MATOMO, record(EVENT | {"eventAction": name}))["event"] == name


def test_a_place_that_is_no_number_stays_as_it_is() -> None:
    assert stage_one(MATOMO, record(latitude="north"))["properties"]["$geoip_latitude"] == "north"


def test_an_action_without_a_page_gets_an_id_that_does_not_depend_on_the_rest_of_the_visit() -> None:
    order = {"type": "ecommerceOrder", "orderId": "o-1", "timestamp": 1709287200}
    first, later, other = stage(
        MATOMO, record(order), record(order, visitDuration=99), record(order | {"orderId": "o-2"})
    )
    assert first["source_id"] == later["source_id"] != other["source_id"]
    assert first["source_id"].startswith("content:")


@pytest.mark.parametrize("visitor", [False, True, 1.5, ["x"]])
def test_a_visitor_without_an_id_of_its_own_is_the_user(visitor: Any) -> None:
    row = stage_one(MATOMO, record(visitorId=visitor, userId="24"))
    assert (row["user_id"], row["anonymous_id"], row["reject_reason"]) == ("24", None, None)
    found = notes(MATOMO, record(visitorId=visitor, userId="24"))
    assert found.remarks == {"anonymous id is neither text nor a whole number, so it counts as absent": 1}


def test_a_visit_of_which_nothing_says_who_it_is_is_rejected() -> None:
    words = "anonymous id is neither text nor a whole number: False"
    assert reason(MATOMO, record(visitorId=False, userId=None)) == words


def test_actions_in_an_object_with_numbered_keys_are_read_as_its_list() -> None:
    visit = VISIT | {"actionDetails": {"10": EVENT, "2": ACTION}}
    framing = Framing(Format.JSONL, unfold="actionDetails")
    (chunk,) = read_records(io.BytesIO(json.dumps(visit).encode()), framing, "visits.jsonl")
    assert [row["event"] for row in stage(MATOMO, *chunk.records)] == ["$pageview", "item added"]
    assert reason(MATOMO, visit) == "visit is not unfolded into its actions, set source.unfold to actionDetails"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (record({"type": "goal"}), "left out, a goal repeats the action that reached it: goal"),
        (record([ACTION]), "visit is not unfolded into its actions, set source.unfold to actionDetails"),
        (record([]), "visit has no actions"),
        (VISIT, "record has no actionDetails"),
        (record(EVENT | {"eventAction": ""}), "event name is empty"),
        (record(userId=None, visitorId=""), "record has no id of a user or device: userId, visitorId"),
        (record(ACTION | {"timestamp": None}), "timestamp is empty"),
    ],
)  # fmt: skip
def test_what_is_no_event_is_a_row_with_its_reason(found: dict[str, Any], words: str) -> None:
    assert reason(MATOMO, found) == words


def test_the_answer_of_the_api_unfolds_into_one_record_per_action() -> None:
    answer = json.dumps([VISIT | {"actionDetails": [ACTION, EVENT]}, VISIT | {"actionDetails": []}])
    framing = Framing(Format.JSON, unfold="actionDetails")
    (chunk,) = read_records(io.BytesIO(answer.encode()), framing, "visits.json")
    assert list(chunk.positions) == [1, 1, 2]
    rows = stage(MATOMO, *chunk.records)
    assert [row["source_id"] for row in rows] == ["5-70", "5-71", None]
    assert [row["reject_reason"] for row in rows] == [None, None, "visit has no actions"]
