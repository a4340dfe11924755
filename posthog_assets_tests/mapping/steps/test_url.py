"""Addresses of pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from posthog_assets_tests.mapping.steps.applying import left
from posthog_assets_tests.mapping.steps.records import segment_contexts

FULL = "https://u:p@shop.example:8443/a%20b/?utm_source=news%20letter&session=1&q=x&gclid=7#top"


def test_an_address_tells_host_path_and_campaign() -> None:
    assert left({"step": "url"}, {"$current_url": FULL, "gclid": "own"}) == {
        "$current_url": FULL, "gclid": "own", "$host": "shop.example:8443", "$pathname": "/a%20b/",
        "utm_source": "news letter",
    }  # fmt: skip


def test_parameters_are_stripped_after_they_were_read() -> None:
    step = {"step": "url", "strip": ["tracking", "sess*"], "fragment": False}
    changed = left(step, {"$current_url": FULL})
    assert changed["$current_url"] == "https://u:p@shop.example:8443/a%20b/?q=x"
    assert (changed["utm_source"], changed["gclid"]) == ("news letter", "7")
    assert left(step | {"strip": ["*"]}, {"$current_url": FULL})["$current_url"] == (
        "https://u:p@shop.example:8443/a%20b/"
    )


def test_the_rest_of_an_address_keeps_every_byte() -> None:
    step = {"step": "url", "strip": ["b"], "host": None, "path": None}
    for before, expected in {
        "/x?a=%7e&b=1&c&&d=%zz#?b=1": "/x?a=%7e&c&&d=%zz#?b=1",
        "HTTP://A.example?b": "HTTP://A.example",
        "http://[broken?b=1": "http://[broken?b=1",
        "": "",
        "no address": "no address",
    }.items():
        assert left(step, {"$current_url": before}) == {"$current_url": before if "[" in before else expected}


def test_a_referrer_tells_its_domain_only() -> None:
    step = {"step": "url", "name": "$referrer", "host": "$referring_domain", "path": None, "campaign": False}
    assert left(step, {"$referrer": "https://search.example/?utm_source=x"}) == {
        "$referrer": "https://search.example/?utm_source=x", "$referring_domain": "search.example"
    }  # fmt: skip
    assert left(step, {"$referrer": None, "page": 1}) == {"$referrer": None, "page": 1}


def test_pages_of_real_messages(real_data: Callable[[str], Path]) -> None:
    pages = [context["page"] for context in segment_contexts(real_data) if isinstance(context.get("page"), dict)]
    urls = [page["url"] for page in pages if page.get("url")]
    told = [left({"step": "url"}, {"$current_url": url}) for url in urls]
    assert {one["$host"] for one in told if "docs.rudderstack.com" in one["$current_url"]} == {"docs.rudderstack.com"}
    assert next(one["$pathname"] for one in told if one["$current_url"].endswith("/best-seller/1")) == "/best-seller/1"
