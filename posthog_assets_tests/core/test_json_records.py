"""A text is one record or says why it is none; no record is lost or rounded on the way."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from posthog_assets.core.json_records import TOO_LONG, Unparsed, parse
from posthog_assets.core.records import Unreadable


@pytest.mark.parametrize(
    ("text", "record"),
    [
        (b"{}", {}),
        (b' {"a": 1.5, "a": 2}\r\n', {"a": 2}),
        (b'{"n":18446744073709551616}', {"n": 2**64}),
        (b'{"n":-10000000000000000001}', {"n": -(10**19) - 1}),
        (b'{"n":NaN}', {"n": None}),
        (b'{"t":"a\\ud83d"}', {"t": "a\ufffd"}),
        (b'{"t":"\\ud83d\\ude00"}', {"t": "😀"}),
    ],
)
def test_a_text_is_read_exactly(text: bytes, record: dict[str, Any]) -> None:
    assert parse(text) == record


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"[1]", "not a JSON object but an array"),
        (b'"a"', "not a JSON object but text"),
        (b"5", "not a JSON object but a number"),
        (b"5.5", "not a JSON object but a number"),
        (b"true", "not a JSON object but a boolean"),
        (b"null", "not a JSON object but null"),
        (TOO_LONG, TOO_LONG.removeprefix(b"\0").decode()),
        (b'{"a":"\xff"}', "not valid JSON: not UTF-8, byte 0xff at byte 7"),
    ],
)
def test_a_text_that_is_no_object_says_what_it_is(text: bytes, reason: str) -> None:
    assert parse(text) == Unreadable(reason)


@pytest.mark.parametrize("text", [b"", b"{", b'{"a":}', b"{'a':1}", b'{"a":1}{"b":2}', b"\xef\xbb\xbf", b"\x00"])
def test_a_text_that_is_no_json_says_where(text: bytes) -> None:
    found = parse(text)
    assert isinstance(found, Unreadable)
    assert found.reason.startswith("not valid JSON: ")
    assert len(found.reason) <= 200


def test_a_place_is_shown_of_a_text_that_is_wrong() -> None:
    found = parse(b'{"a":1 "b":2}')
    assert isinstance(found, Unreadable)
    assert "column 8" in found.reason
    assert "at '\"b\":2}'" in found.reason


def test_a_number_that_json_cannot_hold_is_noticed_once_for_each() -> None:
    remarks: list[str] = []
    assert parse(b'{"a":NaN,"b":[Infinity,-Infinity],"c":1e400}', remarks.append) == {
        "a": None,
        "b": [None, None],
        "c": None,
    }
    assert len(remarks) == 4
    assert len(set(remarks)) == 1


LINES = [b'{"n":1}\n', b"[]\n", b'{"n":36893488147419103232}\n', b'{"n":NaN}\n', b"{", b"\n"]


@pytest.mark.parametrize("long_numbers", [False, True])
def test_records_are_read_when_they_are_asked_for_and_again_when_asked_again(long_numbers: bool) -> None:
    records = Unparsed(list(LINES), has_long_numbers=long_numbers)
    first, second = list(records), list(records)
    assert first == second
    assert len(records) == len(first) == 6
    assert first[0] == {"n": 1}
    assert first[0] is not second[0]
    assert first[1] == Unreadable("not a JSON object but an array")
    assert first[3] == {"n": None}
    assert [isinstance(record, Unreadable) for record in first] == [False, True, False, False, True, True]
    assert sum(records.remarks.values()) == 2
    assert records[0] == first[0]


def test_long_numbers_stay_exact_where_they_may_be_there() -> None:
    assert list(Unparsed(list(LINES), has_long_numbers=True))[2] == {"n": 2**65}
    assert parse(LINES[2].strip()) == {"n": 2**65}


def test_a_slice_holds_the_texts_of_its_places() -> None:
    part = Unparsed(list(LINES))[1:3]
    assert part.texts == LINES[1:3]
    assert len(part) == 2


def test_what_orjson_writes_comes_back() -> None:
    record = {"a": [1, 2.5, None, True, 'ü\n"\\', {"b": {}}], "": 0}
    assert parse(orjson.dumps(record)) == record
