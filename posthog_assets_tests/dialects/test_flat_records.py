"""What vendors' dialects share for flat records, names, and text that holds JSON or numbers."""

from __future__ import annotations

from typing import Any

import pytest

from posthog_assets.dialects.record import Record, nested, number
from posthog_assets.dialects.urls import add_place
from posthog_assets.dialects.vendor import Vendor


class Flat(Vendor):
    """A vendor whose records are flat."""

    type: str = "flat"
    names = {"Page": "$pageview"}
    renames = {"Path": "$pathname"}
    dropped = frozenset({"internal"})
    nothing = frozenset({"", "EMPTY"})


def test_members_of_a_flat_record_become_properties_where_they_have_a_value() -> None:
    into: Record = {"n": 1}
    Flat().take({"Path": "/", "internal": 1, "n": 0, "a": None, "b": "EMPTY", "c": "", "d": [], "e": False}, into)
    assert into == {"n": 0, "$pathname": "/", "d": [], "e": False}


def test_an_event_that_is_kept_keeps_its_own_name() -> None:
    assert Flat().named("Page") == "$pageview"
    assert Flat(keep=["Page"]).named("Page") == "Page"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ('{"a": 1}', {"a": 1}), ("[1]", [1]), ('"{\\"a\\": 1}"', {"a": 1}), ({"a": 1}, {"a": 1}),
        ('"text"', '"text"'), ("{broken", "{broken"), ("5", "5"), ("", ""), (5, 5), (None, None),
    ],
)  # fmt: skip
def test_json_text_is_what_it_says_once_or_twice_escaped(value: Any, found: Any) -> None:
    assert nested(value) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("5", 5), ("-5", -5), ("5.50", 5.5), ("1e3", 1000.0), ("", ""), ("tall", "tall"), ("nan", "nan"),
        ("inf", "inf"), ("9007199254740993", "9007199254740993"), (5, 5), (None, None), (True, True),
    ],
)  # fmt: skip
def test_text_that_is_a_number_becomes_one_unless_that_would_change_it(value: Any, found: Any) -> None:
    result = number(value)
    assert (result, type(result)) == (found, type(found))


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://shop.example/a/b?c=/d#e", "shop.example", "/a/b"), ("http://shop.example", "shop.example", "/"),
        ("https://shop.example?x=1", "shop.example", "/"), ("https://shop.example:8443/#x", "shop.example:8443", "/"),
    ],
)  # fmt: skip
def test_an_address_says_host_and_path(url: str, host: str, path: str) -> None:
    into: Record = {}
    add_place(url, into)
    assert into == {"$host": host, "$pathname": path}


@pytest.mark.parametrize("url", [None, 5, "", "/a", "app://shop/a", ["https://shop.example/"]])
def test_what_is_no_address_says_nothing(url: Any) -> None:
    into: Record = {}
    add_place(url, into)
    assert into == {}


def test_a_known_host_and_path_stay() -> None:
    into: Record = {"$host": "own", "$pathname": "/own"}
    add_place("https://shop.example/a", into)
    assert into == {"$host": "own", "$pathname": "/own"}
