"""Under which ids a person goes on, by what a day's records link."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from posthog_assets.core.schemas import STAGED_EVENTS
from posthog_assets.mapping.steps.linked_ids import Links


def linked(*pairs: tuple[str | None, str | None], **more: Any) -> Links:
    links = Links()
    for anonymous, user in pairs:
        one = {"anonymous_id": anonymous, "user_id": user} | more
        links.add(pa.RecordBatch.from_pylist([one], schema=STAGED_EVENTS))
    return links


def test_a_chain_of_links_ends_with_the_id_that_is_linked_to_no_other() -> None:
    links = linked(("a", "b"), ("b", "c"))
    assert (list(links.of("a")), list(links.of("b")), list(links.of("c"))) == (["c"], ["c"], [])


def test_a_device_of_several_users_goes_on_under_each_of_them() -> None:
    assert list(linked(("dev", "bob"), ("dev", "ann")).of("dev")) == ["ann", "bob"]


def test_of_a_circle_the_smallest_id_counts() -> None:
    links = linked(("b", "c"), ("c", "b"))
    assert (list(links.of("b")), list(links.of("c"))) == (["b"], ["b"])


def test_a_link_that_comes_later_counts_too() -> None:
    links = linked(("a", "b"))
    assert list(links.of("a")) == ["b"]
    links.add(pa.RecordBatch.from_pylist([{"anonymous_id": "b", "user_id": "c"}], schema=STAGED_EVENTS))
    assert list(links.of("a")) == ["c"]


@pytest.mark.parametrize("pair", [("a", "a"), (" a", "a "), ("a", "null"), (None, "a"), ("a", None)])
def test_what_is_no_pair_of_persons_links_nothing(pair: tuple[str | None, str | None]) -> None:
    assert list(linked(pair).of("a")) == []


def test_a_rejected_record_links_nothing() -> None:
    assert list(linked(("a", "b"), reject_reason="odd").of("a")) == []


def test_an_event_without_an_id_goes_on_under_none() -> None:
    assert list(linked(("a", "b")).of(None)) == []
