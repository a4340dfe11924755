"""The sandbox's page `/`: newest first, by name and person, with what senders wrote as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import urllib3

from posthog_assets.sandbox import Sandbox
from posthog_assets.sandbox.events_page import Filter

pytest.importorskip("chdb", reason="needs the extra posthog_assets[sandbox]")

HTTP = urllib3.PoolManager()
HOSTILE = "<script>alert('x')</script>\u202e\\' OR 1=1 --"


def send(sandbox: Sandbox, *events: tuple[str, str, str, dict[str, Any]]) -> None:
    batch = [
        {"event": event, "distinct_id": person, "timestamp": stamp, "properties": properties}
        for event, person, stamp, properties in events
    ]
    answer = HTTP.request("POST", f"{sandbox.url}/batch/", json={"api_key": "phc_test", "batch": batch})
    assert answer.status == 200


def page(sandbox: Sandbox, *pairs: tuple[str, str]) -> str:
    answer = HTTP.request("GET", f"{sandbox.url}/?{urlencode(pairs)}")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return answer.data.decode()


def rows(text: str) -> list[tuple[str, str, str]]:
    """Return time, event and person of each row of the page."""
    cells = r'<td class="moment">(.*?)</td><td><a href=".*?">(.*?)</a></td><td><a href=".*?">(.*?)</a></td>'
    return [(stamp, unescape(event), unescape(person)) for stamp, event, person in re.findall(cells, text)]


@pytest.fixture(scope="module")
def shop() -> Iterator[Sandbox]:
    with Sandbox() as running:
        send(
            running,
            ("page", "ann", "2024-03-01T10:00:00Z", {"shop": "a", "plan": "x"}),
            ("order", "ann", "2024-03-03T10:00:00.250Z", {"shop": "b"}),
            ("page", "bob", "2024-03-02T10:00:00Z", {"shop": "a"}),
            (HOSTILE, HOSTILE, "2024-02-01T00:00:00Z", {"shop": HOSTILE, "plan": "x"}),
        )
        moments = [f"2020-03-01T{hour}:{minute:02}:00Z" for hour in (10, 11) for minute in range(60)]
        send(running, *(("click", "eve", moment, {"kind": "many"}) for moment in moments))
        yield running


def test_all_events_are_there_newest_first(shop: Sandbox) -> None:
    assert rows(page(shop))[:3] == [
        ("2024-03-03 10:00:00.250000", "order", "ann"),
        ("2024-03-02 10:00:00", "page", "bob"),
        ("2024-03-01 10:00:00", "page", "ann"),
    ]


def test_they_are_filtered_by_name_person_time_and_property(shop: Sandbox) -> None:
    assert [row[2] for row in rows(page(shop, ("event", "page")))] == ["bob", "ann"]
    assert [row[1] for row in rows(page(shop, ("person", "ann")))] == ["order", "page"]
    assert rows(page(shop, ("event", "page"), ("person", "ann"))) == [("2024-03-01 10:00:00", "page", "ann")]
    assert rows(page(shop, ("property", "shop=a"), ("after", "2024-03-02T00:00:00+00:00"))) == [
        ("2024-03-02 10:00:00", "page", "bob")
    ]
    assert len(rows(page(shop, ("property", "plan=x"), ("before", "2024-03-01T00:00:00Z")))) == 1
    assert "No event is like this." in page(shop, ("event", "absent"))


def test_what_senders_wrote_is_text_on_the_page_and_in_the_filter(shop: Sandbox) -> None:
    text = page(shop, ("event", HOSTILE), ("person", HOSTILE), ("property", f"shop={HOSTILE}"))
    assert rows(text) == [
        ("2024-02-01 00:00:00", HOSTILE.replace("\u202e", "\\u202e"), HOSTILE.replace("\u202e", "\\u202e"))
    ]
    assert "<script" not in text
    assert "default-src &#39;none&#39;" in text


@pytest.mark.parametrize(
    "query",
    [
        "after=never",
        "after=9999-12-31T23:59:59-10:00",
        "page=-1",
        "page=x",
        "page=\u0663",
        "property==x",
        "page=99999999",
    ],
)  # fmt: skip
def test_what_cannot_be_read_of_an_address_is_not_asked_for(query: str, shop: Sandbox) -> None:
    assert HTTP.request("GET", f"{shop.url}/?{quote(query, safe='=')}").data.decode().count('class="moment"') == 100


def test_many_events_stand_on_pages_that_lead_to_each_other(shop: Sandbox) -> None:
    first = page(shop, ("property", "kind=many"))
    older = unescape(re.findall(r'<a href="([^"]+)">older</a>', first)[0])
    second = HTTP.request("GET", shop.url + older).data.decode()
    assert "Events 1 to 100 of 120, newest first" in first
    assert "Events 101 to 120 of 120, newest first" in second
    assert (rows(first)[0][0], rows(second)[-1][0]) == ("2020-03-01 11:59:00", "2020-03-01 10:00:00")
    assert 'href="/?property=kind%3Dmany">newer</a>' in second


def test_links_keep_what_is_filtered() -> None:
    wanted = Filter(event="a&b", properties=(("k", "v=w"),), page=2)
    assert wanted.address(person="é") == "/?event=a%26b&person=%C3%A9&property=k%3Dv%3Dw&page=2"
