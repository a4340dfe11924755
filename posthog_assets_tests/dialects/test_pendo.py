"""Pendo's events, with fields as its Data Sync schema names them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from posthog_assets_tests.dialects.staging import reason, stage_one

PENDO = {"type": "pendo"}

CLICK: dict[str, Any] = {
    "eventId": "e-1", "eventType": "click", "visitorId": "ann", "accountId": "acme", "oldVisitorId": "",
    "browserTimestamp": 1709287200123, "periodId": 20240301, "appId": "55", "eventSource": "web", "version": 3,
    "url": "https://shop.example/cart?step=1", "server": "shop.example", "remoteIp": "198.51.100.7",
    "userAgent": "Mozilla", "country": "DE", "region": "BE", "latitude": 52.5, "longitude": 13.4,
    "elementPath": "body > button", "destinationStepId": None,
    "propertiesJson": json.dumps({"plan": "pro", "appId": "own"}),
}  # fmt: skip


def test_a_click_is_an_autocaptured_one_with_the_columns_as_posthog_names_them() -> None:
    row = stage_one(PENDO, CLICK)
    assert (row["kind"], row["event"], row["source_id"], row["user_id"]) == ("event", "$autocapture", "e-1", "ann")
    assert row["timestamp"] == datetime(2024, 3, 1, 10, 0, 0, 123_000, tzinfo=UTC)
    assert row["groups"] == {"company": "acme"}
    assert row["properties"] == {
        "$event_type": "click", "$current_url": "https://shop.example/cart?step=1", "$host": "shop.example",
        "$pathname": "/cart", "$ip": "198.51.100.7", "$raw_user_agent": "Mozilla", "$lib": "web",
        "$geoip_country_name": "DE", "$geoip_subdivision_1_name": "BE", "$geoip_latitude": 52.5,
        "$geoip_longitude": 13.4, "element_path": "body > button", "appId": "own", "plan": "pro",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "event"),
    [("load", "$pageview"), ("change", "$autocapture"), ("focus", "$autocapture"), ("submit", "$autocapture"),
     ("pollResponse", "survey sent"), ("guideSeen", "guideSeen")],
)  # fmt: skip
def test_types_of_events_become_posthogs_names(kind: str, event: str) -> None:
    row = stage_one(PENDO, CLICK | {"eventType": kind})
    assert row["event"] == event
    assert ("$event_type" in row["properties"]) == (event == "$autocapture")


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"trackTypeName": "Item Bought"}, "Item Bought"),
        ({"propertiesJson": {"eventName": "Item Bought"}}, "Item Bought"),
        ({"trackTypeName": "click"}, "click"),
        ({}, "track"),
    ],
)
def test_a_track_event_has_its_own_name(changes: dict[str, Any], name: str) -> None:
    assert stage_one(PENDO, CLICK | {"eventType": "track"} | changes)["event"] == name


def test_an_identify_event_links_the_visitors_former_id() -> None:
    row = stage_one(PENDO, CLICK | {"eventType": "identify", "oldVisitorId": "_PENDO_T_1"})
    assert (row["kind"], row["user_id"], row["anonymous_id"]) == ("identify", "ann", "_PENDO_T_1")


@pytest.mark.parametrize("said", ['{"plan": "pr', "plan", [1], 5])
def test_properties_that_are_no_object_are_kept_as_they_are(said: Any) -> None:
    row = stage_one(PENDO, CLICK | {"propertiesJson": said, "properties": {"n": 1}})
    assert (row["reject_reason"], row["properties"]["propertiesJson"], row["properties"]["n"]) == (None, said, 1)


@pytest.mark.parametrize("said", [None, "", "{}", "[]", {}])
def test_properties_that_say_nothing_leave_no_trace(said: Any) -> None:
    row = stage_one(PENDO, CLICK | {"propertiesJson": said})
    assert not {"propertiesJson", "properties", "plan"} & row["properties"].keys()


def test_the_group_type_of_accounts_is_the_imports() -> None:
    assert stage_one(PENDO | {"group_type": "account"}, CLICK)["groups"] == {"account": "acme"}
    assert stage_one(PENDO, CLICK | {"accountId": ""})["groups"] is None


def test_an_event_of_nobody_is_rejected() -> None:
    assert reason(PENDO, CLICK | {"visitorId": None}) == "record has no id of a user or device: visitorId"
    assert reason(PENDO, CLICK | {"eventType": None}) == "event name is empty"
