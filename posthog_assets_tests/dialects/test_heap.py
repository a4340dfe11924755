"""Heap's tables, with rows as its published schema describes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from posthog_assets_tests.dialects.staging import reason, stage_one

HEAP = {"type": "heap"}

PAGEVIEW: dict[str, Any] = {
    "event_id": 3141592653589793, "event_table_name": "pageviews", "user_id": 777, "session_id": 99,
    "time": "2024-03-01 10:00:00.123456", "session_time": "2024-03-01 09:59:00", "identity": "ann@mail.example",
    "platform": "Mac OS X 10.15.7", "browser": "Chrome 122", "device_type": "Desktop", "ip": "198.51.100.7",
    "library": "web", "referrer": "https://search.example/", "path": "/cart", "domain": "shop.example",
    "landing_page": "https://shop.example/", "city": "Berlin", "region": "Berlin", "country": "Germany",
    "title": "Cart", "utm_source": "newsletter", "utm_medium": None, "utm_term": "", "app_version": "2.1",
    "initial_referrer": "https://first.example/", "initial_landing_page": "https://shop.example/first",
    "initial_platform": "iOS 17.1", "initial_utm_source": "podcast", "initial_shoe_size": 42,
    "cart": json.dumps({"items": 2}), "tags": json.dumps(json.dumps(["a", "b"])), "note": "{not json",
}  # fmt: skip


def test_a_pageview_becomes_one_with_the_columns_as_posthog_names_them() -> None:
    row = stage_one(HEAP, PAGEVIEW)
    assert (row["kind"], row["event"], row["source_id"]) == ("event", "$pageview", "3141592653589793")
    assert (row["user_id"], row["anonymous_id"]) == ("ann@mail.example", "777")
    assert row["timestamp"] == datetime(2024, 3, 1, 10, 0, 0, 123_456, tzinfo=UTC)
    assert row["properties"] == {
        "$os": "Mac OS X", "$os_version": "10.15.7", "$browser": "Chrome 122", "$device_type": "Desktop",
        "$ip": "198.51.100.7", "$lib": "web", "$referrer": "https://search.example/", "$pathname": "/cart",
        "$host": "shop.example", "$current_url": "https://shop.example/cart", "$session_entry_url": "https://shop.example/",
        "$geoip_city_name": "Berlin",
        "$geoip_subdivision_1_name": "Berlin", "$geoip_country_name": "Germany", "heap_session_id": 99,
        "$app_version": "2.1", "title": "Cart", "utm_source": "newsletter", "cart": {"items": 2},
        "tags": ["a", "b"], "note": "{not json",
    }  # fmt: skip


def test_what_was_first_known_of_a_person_is_set_once() -> None:
    row = stage_one(HEAP, PAGEVIEW)
    assert row["set"] is None
    assert row["set_once"] == {
        "$initial_referrer": "https://first.example/", "$initial_current_url": "https://shop.example/first",
        "$initial_os": "iOS", "$initial_os_version": "17.1", "$initial_utm_source": "podcast",
        "initial_shoe_size": 42,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("platform", "system", "version"),
    [("iOS 17.1", "iOS", "17.1"), ("Windows 10", "Windows", "10"), ("Linux", "Linux", None),
     ("Chrome OS", "Chrome OS", None), ("Mac OS X 10.15.7", "Mac OS X", "10.15.7")],
)  # fmt: skip
def test_a_platform_is_a_system_and_its_version(platform: str, system: str, version: str | None) -> None:
    properties = stage_one(HEAP, PAGEVIEW | {"platform": platform})["properties"]
    assert (properties["$os"], properties.get("$os_version")) == (system, version)


def test_rows_that_do_not_say_their_table_are_of_the_one_the_import_names() -> None:
    record = {key: value for key, value in PAGEVIEW.items() if key != "event_table_name"}
    assert reason(HEAP, record) == "event name is empty"
    assert stage_one(HEAP | {"table": "item_bought"}, record)["event"] == "item_bought"
    assert stage_one(HEAP | {"table": "item_bought"}, PAGEVIEW)["event"] == "$pageview"


def test_a_user_without_identity_is_the_anonymous_one() -> None:
    row = stage_one(HEAP, PAGEVIEW | {"identity": None})
    assert (row["user_id"], row["anonymous_id"]) == (None, "777")


def test_sessions_are_left_out() -> None:
    assert reason(HEAP, PAGEVIEW | {"event_table_name": "sessions"}) == (
        "left out, PostHog makes sessions itself: sessions"
    )


def test_a_row_of_users_identifies_the_user() -> None:
    user = {
        "user_id": 777, "identity": "ann@mail.example", "joindate": "2024-01-01 00:00:00",
        "last_modified": "2024-03-01 10:00:00", "plan": "pro", "platform": "iOS 17.1", "lastseen": "Invalid date",
        "initial_browser": "Safari", "full_initial_referrer": "x",
    }  # fmt: skip
    row = stage_one(HEAP, user)
    assert (row["kind"], row["user_id"], row["anonymous_id"]) == ("identify", "ann@mail.example", "777")
    assert row["timestamp"] == datetime(2024, 3, 1, 10, tzinfo=UTC)
    assert row["set"] == {
        "plan": "pro", "joindate": "2024-01-01 00:00:00", "last_modified": "2024-03-01 10:00:00", "$os": "iOS",
        "$os_version": "17.1",
    }  # fmt: skip
    assert row["set_once"] == {"$initial_browser": "Safari"}
    assert row["source_id"] == "user 777 2024-03-01 10:00:00"
    odd = stage_one(HEAP, user | {"last_modified": "Invalid date"})
    assert odd["timestamp"] == datetime(2024, 1, 1, tzinfo=UTC)


def test_a_user_migration_is_an_alias() -> None:
    row = stage_one(HEAP, {"from_user_id": 1, "to_user_id": 2, "time": "2024-03-01 10:00:00"})
    assert (row["kind"], row["user_id"], row["anonymous_id"]) == ("alias", "2", "1")
    assert row["source_id"] == "migration 1 2"
    assert reason(HEAP, {"from_user_id": 1, "to_user_id": None, "time": "2024-03-01"}) == (
        "user migration does not name two users"
    )


@pytest.mark.parametrize(
    ("parts", "address"),
    [
        ({"domain": "e.com", "path": "/x", "query": "?a=1", "landing_page": "https://e.com/start"},
         "https://e.com/x?a=1"),
        ({"domain": "e.com", "path": "/x", "query": "a=1", "hash": "top"}, "https://e.com/x?a=1#top"),
        ({"domain": "e.com", "path": "/", "query": "?", "hash": "#"}, "https://e.com/"),
        ({"domain": "e.com", "path": "/x", "query": None, "landing_page": "http://e.com/"}, "http://e.com/x"),
        ({"domain": "e.com", "path": "/x", "query": "", "landing_page": "http://other.com/"}, "https://e.com/x"),
        ({"domain": "e.com", "path": None, "landing_page": "https://e.com/start"}, None),
        ({"domain": None, "path": "/x", "landing_page": "https://e.com/start"}, None),
    ],
)  # fmt: skip
def test_the_address_of_a_page_is_made_of_its_parts(parts: dict[str, Any], address: str | None) -> None:
    properties = stage_one(HEAP, PAGEVIEW | {"landing_page": None} | parts)["properties"]
    assert properties.get("$current_url") == address
    assert properties.get("$session_entry_url") == parts.get("landing_page")
