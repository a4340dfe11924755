"""Links into PostHog: an address that browsers and PostHog read back as it was meant."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote, urlsplit

import pytest

from posthog_assets.destination.explore import explore_url
from posthog_assets.destination.settings import Destination

FIRST, LAST = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 1, 23, 59, 59, 999_999, tzinfo=UTC)
CLOUD = Destination.model_validate({"host": "https://eu.i.posthog.com", "project_id": 7})


def test_the_address_is_of_the_app_and_holds_the_properties_and_the_whole_span() -> None:
    url = explore_url(CLOUD, {"$import_job_id": "shop", "$import_day": "2024-03-01"}, (FIRST, LAST))
    assert url is not None
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "eu.posthog.com", "/project/7/activity/explore")
    query = json.loads(unquote(parts.fragment.removeprefix("q=")))
    assert query["kind"] == "DataTableNode"
    assert query["source"]["kind"] == "EventsQuery"
    assert query["source"]["properties"] == [
        {"type": "event", "key": "$import_job_id", "operator": "exact", "value": ["shop"]},
        {"type": "event", "key": "$import_day", "operator": "exact", "value": ["2024-03-01"]},
    ]
    # Both ends are exclusive.
    assert datetime.fromisoformat(query["source"]["after"]) == FIRST - timedelta(seconds=1)
    assert datetime.fromisoformat(query["source"]["before"]) == LAST + timedelta(seconds=1)


@pytest.mark.parametrize("value", ["a&b=c", "1+1", "50 %", 'say "hi"', "ü/#?", "{'a'}"])
def test_any_value_comes_back_as_it_was(value: str) -> None:
    url = explore_url(CLOUD, {"name": value}, (FIRST, LAST))
    assert url is not None
    state = url.partition("#q=")[2]
    assert not set(state) & set("&=+ #\"'")
    assert json.loads(unquote(state))["source"]["properties"][0]["value"] == [value]


def test_the_ends_of_the_calendar_are_no_error() -> None:
    span = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    url = explore_url(CLOUD, {}, span)
    assert url is not None
    source = json.loads(unquote(url.partition("#q=")[2]))["source"]
    assert (source["after"][:4], source["before"][:4]) == ("0001", "9999")


@pytest.mark.parametrize("given", [{"host": ""}, {"project_id": None}, {"project_id": "7/settings"}])
def test_where_the_project_is_not_known_there_is_no_address(given: dict[str, str | None]) -> None:
    destination = Destination.model_validate({"host": "https://eu.i.posthog.com", "project_id": 7} | given)
    assert explore_url(destination, {"a": "b"}, (FIRST, LAST)) is None
