"""Columns of texts as JSON strings, held against orjson."""

from __future__ import annotations

import orjson
import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from posthog_assets.core.arrow_columns import count_of, json_strings, may_hold

_TEXTS = st.lists(st.none() | st.text(st.characters(codec="utf-8")), max_size=6)


@given(_TEXTS, st.integers(0, 3))
@example(['a"b', "plain"], 1)
@example(["plain", "a\\b"], 0)
@example(["\x1f", None], 0)
@example(["\x7f\u2028 é"], 0)
def test_every_text_is_written_as_orjson_writes_it(texts: list[str | None], start: int) -> None:
    expected = [None if text is None else orjson.dumps(text).decode() for text in texts]
    # A slice begins in the middle of the array's data.
    assert json_strings(pa.array(texts, pa.string()).slice(start)).to_pylist() == expected[start:]


def test_a_search_over_all_texts_sees_a_slice_only() -> None:
    texts = pa.array(["a key", None, "no", "a key, a key"])
    assert may_hold(texts, b"key")
    assert not may_hold(texts.slice(1, 2), b"key")
    assert not may_hold(pa.array([], pa.string()), b"key")
    assert not may_hold(pa.nulls(2, pa.string()), b"key")
    assert [count_of(texts.slice(start), b"key") for start in (0, 1, 4)] == [3, 2, 0]


@given(
    st.lists(st.text('a$_":.', max_size=8), max_size=5), st.lists(st.text('a$_":.', min_size=1, max_size=4), max_size=3)
)
def test_no_part_of_a_text_is_overlooked(texts: list[str], parts: list[str]) -> None:
    column = pa.array(["before", *texts], pa.string()).slice(1)
    holds = any(part in text for part in parts for text in texts)
    assert may_hold(column, *(part.encode() for part in parts)) >= holds
