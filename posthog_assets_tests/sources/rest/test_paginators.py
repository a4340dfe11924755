"""What is asked for the next page, and what says that there is none."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from posthog_assets.core.errors import SourceRefused
from posthog_assets.sources.rest.paginators import (
    END,
    PageFacts,
    Paginator,
    PaginatorSettings,
    Place,
    same_host,
)
from posthog_assets.sources.rest.requests import Request

READ: TypeAdapter[Any] = TypeAdapter(Paginator)
REQUEST = Request("GET", "https://shop.example/orders", (("size", "2"),))


def paginator(**settings: Any) -> PaginatorSettings:
    return READ.validate_python(settings)


def facts(answer: Any, count: int = 2, **headers: str) -> PageFacts:
    return PageFacts(answer, {name.replace("_", "-"): text for name, text in headers.items()}, count, REQUEST)


def places(one: PaginatorSettings, *pages: PageFacts) -> list[Any]:
    """Return where the first page stands and where each page leads; the last may be the end."""
    found: list[Any] = [one.first]
    for page in pages:
        found.append(one.after(found[-1], page))
    return found


def test_a_paginator_without_its_two_methods_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract methods?.*after.*ask"):
        PaginatorSettings.model_validate({})


def test_a_cursor_leads_on_until_there_is_none() -> None:
    one = paginator(type="cursor", cursor_path="next", cursor_param="after")
    assert places(one, facts({"next": "x1"}), facts({"next": None})) == [None, "x1", END]
    assert one.ask(REQUEST, None) == REQUEST
    assert one.ask(REQUEST, "x1").params == (("size", "2"), ("after", "x1"))


def test_offsets_count_the_records_that_came() -> None:
    one = paginator(type="offset", limit=2, limit_param="size")
    assert places(one, facts({}, 2), facts({}, 1), facts({}, 0)) == [0, 2, 3, END]
    assert one.ask(REQUEST, 2).params == (("offset", "2"), ("size", "2"))


def test_page_numbers_end_with_the_total_of_pages() -> None:
    one = paginator(type="page_number", base_page=1, total_path="pages")
    assert places(one, facts({"pages": 2}), facts({"pages": 2})) == [1, 2, END]


def test_a_total_that_is_no_number_is_refused() -> None:
    one = paginator(type="offset", limit=2, total_path="total")
    with pytest.raises(SourceRefused, match=r"GET https://shop.example/orders: the answer has no number at total_path"):
        one.after(0, facts({"total": True}))


def test_a_link_in_the_header_may_be_relative_and_is_found_among_others() -> None:
    one = paginator(type="header_link")
    header = '<https://shop.example/orders?p=1>; rel="first", </orders?p=3>; rel=next'
    assert one.after(None, facts([], Link=header)) == "https://shop.example/orders?p=3"
    assert one.after(None, facts([])) == END


def test_a_link_in_the_answer_never_leads_to_another_host() -> None:
    one = paginator(type="json_link", next_url_path="next")
    with pytest.raises(SourceRefused, match=r"evil\.example"):
        one.after(None, facts({"next": "https://evil.example/orders?p=2"}))
    assert same_host("https://SHOP.example/a", "https://shop.example/b") == "https://SHOP.example/a"


@pytest.mark.parametrize(("more", "place"), [(True, "x1"), ("true", "x1"), (False, END), ("false", END)])
def test_the_answer_may_say_that_there_are_more_pages(more: Any, place: Place) -> None:
    one = paginator(type="cursor", cursor_path="next", cursor_param="after", has_more_path="more")
    assert one.after(None, facts({"next": "x1", "more": more})) == place


def test_a_promise_of_more_without_a_cursor_is_refused() -> None:
    one = paginator(type="cursor", cursor_path="next", cursor_param="after", has_more_path="more")
    with pytest.raises(SourceRefused):
        one.after(None, facts({"next": None, "more": True}))


def test_only_what_counts_needs_a_key_since_its_records_move() -> None:
    assert paginator(type="offset", limit=2).needs_key
    assert not paginator(type="header_link").needs_key


def test_an_unknown_paginator_and_one_without_an_end_are_refused() -> None:
    with pytest.raises(ValidationError, match="single_page"):
        paginator(type="guess")
    with pytest.raises(ValidationError, match="has no end: give total_path, has_more_path or stop_after_empty_page"):
        paginator(type="offset", limit=2, stop_after_empty_page=False)
