"""Members of JSON objects, found without parsing."""

from __future__ import annotations

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.core.json_members import last_texts
from posthog_assets_tests.examples import examples

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


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=3), max_size=3))
def test_what_is_found_is_what_parsing_finds(objects: list[dict[str, object]]) -> None:
    texts = [orjson.dumps(value).decode() for value in objects]
    for value, found in zip(objects, last_texts(pa.array(texts, pa.string()), "id").to_pylist(), strict=True):
        assert found is None or value["id"] == found
