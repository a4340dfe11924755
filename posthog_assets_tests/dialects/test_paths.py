"""Finding values by path in a record."""

from __future__ import annotations

from typing import Any

import pytest

from posthog_assets.dialects.paths import Table, first_of, has_path

RECORD: dict[str, Any] = {
    "id": "", "time": None, "zero": 0, "page": {"url": "/a", "meta": {"title": "A", "lang": ""}},
    "text": '{"a":{"b":1}}',
}  # fmt: skip


def test_a_table_reads_what_has_a_value_at_any_depth() -> None:
    names = {"page.url": "$current_url", "page.meta.title": "title", "page.meta.lang": "lang", "zero": "n", "id": "id"}
    into: dict[str, Any] = {"title": "before", "own": 1}
    Table(names).read(RECORD, into, ("",))
    assert into == {"title": "A", "own": 1, "$current_url": "/a", "n": 0}


def test_texts_that_mean_nothing_are_no_values_of_a_table() -> None:
    into: dict[str, Any] = {}
    Table({"a": "a", "b.c": "c"}).read({"a": "EMPTY", "b": {"c": "(not set)"}}, into, ("EMPTY", "(not set)"))
    assert into == {}


def test_a_table_does_not_look_into_what_is_no_object() -> None:
    into: dict[str, Any] = {}
    Table({"page.url": "url"}).read({"page": "url"}, into, ())
    assert into == {}


@pytest.mark.parametrize(
    ("path", "there"),
    [("page.url", True), ("page.meta.title", True), ("time", True), ("text.a.b", True), ("text.a.c", False),
     ("page.url.more", False), ("page.size", False), ("gone", False)],
)  # fmt: skip
def test_a_path_is_there_whatever_its_value_and_also_in_json_text(path: str, there: bool) -> None:
    assert has_path(RECORD, path) is there


@pytest.mark.parametrize(
    ("paths", "value"),
    [
        (["id"], None), (["zero"], 0), (["gone"], None),
        (["id", "time", "zero"], 0), (["zero", "page"], 0), (["id", "gone"], None),
        (["page.meta.lang", "page.meta.title"], "A"), (["page.url.more", "zero"], 0), (["id", "page.gone"], None),
    ],
)  # fmt: skip
def test_the_first_value_that_is_neither_null_nor_empty_counts(paths: list[str], value: Any) -> None:
    assert first_of(paths)(RECORD) == value
