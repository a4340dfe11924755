"""Paths into JSON."""

from __future__ import annotations

from typing import Any

import pytest

from posthog_assets.sources.formats.json_paths import NOTHING, find, steps_of, with_value

ANSWER = {"data": [{"id": 1}, {"id": 2, "tags": ["a", "b"]}], "paging": {"next": None}, "a.b": "dotted"}


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("$", ()),
        ("", ()),
        ("data", ("data",)),
        ("$.data[*]", ("data",)),
        ("data.-1.id", ("data", "-1", "id")),
        ("data[-1].id", ("data", "-1", "id")),
        ("$['a.b'][\"c\"]", ("a.b", "c")),
        (" paging.next ", ("paging", "next")),
    ],
)
def test_a_path_is_a_row_of_steps(path: str, steps: tuple[str, ...]) -> None:
    assert steps_of(path) == steps


@pytest.mark.parametrize("path", ["a..b", "a[", "a[*].b", "*", "a]b"])
def test_what_is_no_path_says_how_one_is_written(path: str) -> None:
    with pytest.raises(ValueError, match="is no path; write it as in data, data.-1.id or paging.next.after"):
        steps_of(path)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", ANSWER),
        ("data.0.id", 1),
        ("data.-1.tags.1", "b"),
        ("data[1].tags[-2]", "a"),
        ("paging.next", None),
        ("a.b", "dotted"),
        ("data.2", NOTHING),
        ("data.-3", NOTHING),
        ("data.x", NOTHING),
        ("data.--1", NOTHING),
        ("data.²", NOTHING),
        ("data.-", NOTHING),
        ("paging.next.more", NOTHING),
        ("gone", NOTHING),
    ],
)
def test_what_stands_at_a_path_is_found_and_null_is_something(path: str, found: Any) -> None:
    assert find(ANSWER, path) == found


def test_a_value_is_set_in_a_copy_and_objects_on_the_way_are_made() -> None:
    body = {"filters": [{"from": 1}]}
    assert with_value(body, "filters[0].from", 2) == {"filters": [{"from": 2}]}
    assert with_value(body, "page.after", "x") == {"filters": [{"from": 1}], "page": {"after": "x"}}
    assert body == {"filters": [{"from": 1}]}
    assert with_value(None, "after", "x") == {"after": "x"}
