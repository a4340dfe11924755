"""What an address says of a page."""

from __future__ import annotations

from typing import Any

import pytest

from posthog_assets.dialects.urls import add_place


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://shop.example/a/b?c=/d#e", "shop.example", "/a/b"), ("http://shop.example", "shop.example", "/"),
        ("https://shop.example?x=1", "shop.example", "/"), ("https://shop.example:8443/#x", "shop.example:8443", "/"),
    ],
)  # fmt: skip
def test_an_address_says_host_and_path(url: str, host: str, path: str) -> None:
    into: dict[str, Any] = {}
    add_place(url, into)
    assert into == {"$host": host, "$pathname": path}


@pytest.mark.parametrize("url", [None, 5, "", "/a", "app://shop/a", ["https://shop.example/"]])
def test_what_is_no_address_says_nothing(url: Any) -> None:
    into: dict[str, Any] = {}
    add_place(url, into)
    assert into == {}


def test_a_known_host_and_path_stay() -> None:
    into: dict[str, Any] = {"$host": "own", "$pathname": "/own"}
    add_place("https://shop.example/a", into)
    assert into == {"$host": "own", "$pathname": "/own"}
