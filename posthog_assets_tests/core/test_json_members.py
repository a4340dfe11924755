"""Members are found, added and removed as if each object had been parsed."""

from __future__ import annotations

from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.core.json_members import last_texts, scalars, with_first, without
from posthog_assets_tests.examples import examples

#: Texts that look like members, brackets and escapes of the object around them.
TEXTS = ["", "a", "$id", '"$id":1', ',"$id":"x"', "{", "}", "[", "]", "\\", '\\"', "ü", ",", ":", "1", "\n"]

values: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([*TEXTS, 0, -7, 2**53, 1.5, None, True]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(TEXTS), inner, max_size=2),
    max_leaves=4,
)
objects = st.lists(st.dictionaries(st.sampled_from(TEXTS), values, max_size=4), max_size=6)


def texts(given_objects: list[dict[str, Any]]) -> pa.StringArray:
    return pa.array([orjson.dumps(value).decode() for value in given_objects], pa.string())


@settings(max_examples=examples(60))
@given(objects, st.sampled_from(["$id", "a", "ü", ""]))
def test_a_member_is_its_text_or_the_digits_of_its_whole_number(given_objects: list[dict[str, Any]], name: str) -> None:
    expected = [
        value if type(value := each.get(name)) is str and value else str(value) if type(value) is int else None
        for each in given_objects
    ]
    assert scalars(texts(given_objects), name).to_pylist() == expected


@settings(max_examples=examples(60))
@given(objects, st.sampled_from(["$id", "a", '"', "ü"]))
def test_an_object_without_a_member_has_all_its_others(given_objects: list[dict[str, Any]], name: str) -> None:
    left = without(texts(given_objects), name).to_pylist()
    assert [orjson.loads(text) for text in left] == [
        {key: value for key, value in each.items() if key != name} for each in given_objects
    ]


@settings(max_examples=examples(60))
@given(objects, st.lists(st.none() | values, min_size=6, max_size=6))
def test_a_member_that_is_added_stands_first_and_only_where_it_has_a_value(
    given_objects: list[dict[str, Any]], added: list[Any]
) -> None:
    news = added[: len(given_objects)]
    column = pa.array([None if value is None else orjson.dumps(value).decode() for value in news], pa.string())
    found = [orjson.loads(text) for text in with_first(texts(given_objects), "new", column).to_pylist()]
    assert [list(each.items()) for each in found] == [
        list(({} if value is None else {"new": value}).items()) + list(each.items())
        for each, value in zip(given_objects, news, strict=True)
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"$id":"x"}', "x"),
        ('{"a":{"$id":"inner"},"$id":"outer"}', "outer"),
        ('{"a":{"$id":"inner"}}', None),
        ('{"a":[{"$id":"inner"}],"b":{"$id":"too"},"$id":7,"c":[1]}', "7"),
        ('{"a":{"b":1},"$id":"q\\"uoted","c":{"d":2}}', 'q"uoted'),
        ('{"a":"\\"$id\\":5"}', None),
        ('{"$id":""}', None),
        ('{"$id":1.5}', None),
        ('{"$id":1e5}', None),
        ('{"$id":null}', None),
        ("{}", None),
    ],
)
def test_a_member_of_an_inner_object_is_not_the_outer_ones(text: str, found: str | None) -> None:
    column = pa.array(["{}", text, '{"$id":"z"}'])
    assert scalars(column, "$id").to_pylist() == [None, found, "z"]
    assert scalars(column.slice(1, 1), "$id").to_pylist() == [found]


def test_columns_without_rows_or_members_stay_columns() -> None:
    assert scalars(texts([]), "a").to_pylist() == []
    assert scalars(texts([{"b": 1}]), "a").type == pa.string()
    assert without(texts([{"b": 1}]), "a").to_pylist() == ['{"b":1}']
    assert with_first(texts([]), "a", pa.array([], pa.string())).to_pylist() == []


NAMES = st.sampled_from(["id", "x", '"id":', "id:"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text('a"\\{}[]:,$é', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "x", '"id":']), inner, max_size=2)
    ),
    max_leaves=4,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"id":"a"}', "a"),
        ('{"x":{"y":[1]},"id":"a b"}', "a b"),
        ('{"id":"a","x":1}', None),
        ('{"x":{"id":"a"}}', None),
        ('{"id":"a\\"b"}', None),
        ('{"id":""}', None),
        ('{"id":5}', None),
        ('{"x":"\\"id\\":","id":"a"}', "a"),
        ('{"x":1}', None),
    ],
)
def test_the_last_member_is_found_where_it_is_a_plain_text(text: str, found: str | None) -> None:
    assert last_texts(pa.array([text]), "id").to_pylist() == [found]


@settings(max_examples=examples(300))
@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=3), max_size=3))
def test_what_is_found_is_what_parsing_finds(objects: list[dict[str, object]]) -> None:
    texts = [orjson.dumps(value).decode() for value in objects]
    for value, found in zip(objects, last_texts(pa.array(texts, pa.string()), "id").to_pylist(), strict=True):
        assert found is None or value["id"] == found
