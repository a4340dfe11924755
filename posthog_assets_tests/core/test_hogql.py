"""Answers of PostHog's query API: the rows, and whether they are all of them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from posthog_assets.core.hogql import Answer, quoted, read_answer


@pytest.mark.parametrize(
    ("printed", "limit"),
    [
        ("SELECT 1 LIMIT 3", 3),
        ("select 1 limit 50000 ", 50_000),
        ("SELECT 1\nLIMIT 7\n", 7),
        # A LIMIT of an inner query, or in a text, says nothing of the answer.
        ("SELECT * FROM (SELECT 1 LIMIT 3)", None),
        ("SELECT 'LIMIT 3'", None),
        ("SELECT 1 LIMIT 3 OFFSET 6", None),
        ("SELECT 1 NOLIMIT 3", None),
        (None, None),
        (5, None),
    ],
)
def test_the_limit_that_was_applied_is_read_from_the_printed_query(printed: Any, limit: int | None) -> None:
    assert read_answer(orjson.dumps({"results": [[1], [2]], "hogql": printed})).limit == limit


@pytest.mark.parametrize(
    ("rows", "limit", "is_all"),
    [([], None, True), ([], 3, True), ([[1]], None, False), ([[1]] * 2, 3, True), ([[1]] * 3, 3, False)],
)
def test_fewer_rows_than_the_limit_are_all_and_without_a_limit_only_none(
    rows: list[list[int]], limit: int | None, is_all: bool
) -> None:
    assert Answer(rows, limit).is_all is is_all


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"5", b"{}", b'{"results":null}', b'{"results":{}}', b'{"results":[[1],{"a":1}]}']
)
def test_an_answer_without_rows_is_an_error(body: bytes) -> None:
    # The reader of JSON has words of its own.
    with pytest.raises(ValueError, match="results|JSON|unexpected|EOF|column"):
        read_answer(body)


def test_half_a_pair_of_surrogates_in_an_answer_costs_no_row() -> None:
    assert read_answer(b'{"results":[["a\\ud83d"]]}').rows == [["a\ufffd"]]


@pytest.mark.parametrize(
    ("text", "literal"),
    [("a", "'a'"), ("it's", r"'it\'s'"), ("a\\", r"'a\\'"), ("\\'", r"'\\\''"), ("", "''"), ('ü"', "'ü\"'")],
)
def test_no_text_ends_its_own_literal(text: str, literal: str) -> None:
    assert quoted(text) == literal
