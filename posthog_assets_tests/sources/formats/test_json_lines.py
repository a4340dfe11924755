"""JSON lines."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_assets.core.errors import BrokenPart
from posthog_assets.core.json_text import NO_NUMBER, load
from posthog_assets.sources.formats import Lines, RecordChunk, Unreadable, detect, read_records
from posthog_assets.sources.formats.json_lines import last_line
from posthog_assets_tests.sources.formats.reading import positions, read, shared


def _reason(line: bytes) -> str:
    found = read(b'{"a":1}\n' + line + b'\n{"b":2}\n', "a.jsonl")
    assert found[0] == {"a": 1}
    assert found[2] == {"b": 2}
    assert len(found) == 3
    assert isinstance(found[1], Unreadable)
    return found[1].reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a":', "not valid JSON: unexpected end of data (column 6, at '')"),
        (b'{"a": @}', "not valid JSON: unexpected character, expected a JSON value (column 7, at '@}')"),
        (b'{"a": 1e400', "not valid JSON: number is infinity when parsed as double (column 7, at '1e400')"),
        (b'{"a": "\xff"}', "not valid JSON: not UTF-8, byte 0xff at byte 8"),
        (b"[1, 2]", "not a JSON object but an array"),
        (b"12", "not a JSON object but a number"),
        (b"null", "not a JSON object but null"),
        (b'"text"', "not a JSON object but text"),
    ],
)
def test_a_bad_line_is_one_unreadable_record_that_says_why_and_where(line: bytes, reason: str) -> None:
    assert _reason(line) == reason


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        (r'"\ud83d"', "\ufffd"),
        (r'"cut \ud83d"', "cut \ufffd"),
        (r'"\uDE00\uD83D"', "\ufffd\ufffd"),
        (r'"\ud83d\ude00\ud83d"', "\U0001f600\ufffd"),
        (r'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        # An escaped backslash, and letters after it.
        (r'"\\ud83d\ud83d"', r"\ud83d" + "\ufffd"),
        (r'{"\ud83d": [1]}', {"\ufffd": [1]}),
    ],
)
def test_half_an_emoji_is_the_character_for_what_is_none(text: str, read_as: Any) -> None:
    assert read(b'{"a":1}\n{"a":' + text.encode() + b'}\n{"b":2}\n', "a.jsonl") == [{"a": 1}, {"a": read_as}, {"b": 2}]
    assert read(b'{"a":' + text.encode() + b"}\n", "a.json") == [{"a": read_as}]
    assert load('{"a":' + text + "}") == {"a": read_as}


def test_a_bad_line_between_good_ones_never_runs_into_them() -> None:
    found = read(b'{"a":[1\n2]}\n{"x":1},{"y":2}\n', "a.jsonl")
    assert [isinstance(record, Unreadable) for record in found] == [True, True, True]


def test_nesting_too_deep_is_unreadable() -> None:
    assert _reason(b'{"a":' * 5_000 + b"1" + b"}" * 5_000).startswith("not valid JSON: depth limit exceeded")


def test_a_reason_is_at_most_200_characters() -> None:
    assert len(_reason(b'{"' + "é".encode() * 500)) <= 200


def test_blank_lines_are_no_records_and_keep_the_line_numbers() -> None:
    data = b'\n{"a":1}\r\n   \t   \t     \r\n\r\n{"b":2}\n\n\n{"c":3}'
    assert read(data, "a.jsonl") == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert positions(data, "a.jsonl") == [2, 5, 8]
    assert positions(data, "a.jsonl", rows=1) == [2, 5, 8]


def test_records_are_parsed_one_at_a_time_and_again_every_time() -> None:
    (chunk,) = Lines(5, b'{"a":1}\n\n{"b":\n{"c":[3]}\n').chunks(10)
    first, second = list(chunk.records), list(chunk.records)
    assert first == second
    assert first[0] is not second[0]
    assert isinstance(first[1], Unreadable)
    assert (list(chunk.positions), len(chunk.records)) == ([5, 7, 8], 3)
    assert chunk.records[-1] == {"c": [3]}
    assert list(chunk.records[1:]) == first[1:]
    assert list(chunk.used_up()) == first


def test_a_list_of_records_is_empty_once_it_was_used_up() -> None:
    records: list[Any] = [{"a": 1}, Unreadable("cut off"), {"b": 2}]
    expected = list(records)
    assert list(RecordChunk([1, 2, 3], records).used_up()) == expected
    assert not any(isinstance(record, dict) for record in records)


def test_lines_end_at_line_feeds_only() -> None:
    found = read('{"a":"x\u2028y\x85z"}\n{"a":1,\r"b":2}\n'.encode(), "a.jsonl")
    assert found == [{"a": "x\u2028y\x85z"}, {"a": 1, "b": 2}]


def test_a_byte_order_mark_is_no_content() -> None:
    assert read(b'\xef\xbb\xbf{"a":1}\n', "a.jsonl") == [{"a": 1}]


def test_utf_16_is_refused_with_what_to_do() -> None:
    with pytest.raises(BrokenPart, match="a.jsonl is UTF-16 text.*convert it first"):
        read('{"a":1}\n'.encode("utf-16"), "a.jsonl")


def test_whole_numbers_stay_exact_however_large() -> None:
    numbers = [
        18446744073709551615,
        -9223372036854775808,
        18446744073709551616,
        -(10**25),
        123456789012345678901234567890,
    ]
    text = json.dumps({"n": numbers, "text": "12345678901234567890123", "real": 0.12345678901234567890123})
    (found,) = read(text.encode(), "a.jsonl")
    assert found == {"n": numbers, "text": "12345678901234567890123", "real": 0.12345678901234568}


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1.5E+999", b"9" * 400])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_number_that_json_cannot_hold_is_null_and_counted(number: bytes, name: str) -> None:
    line = b'{"a": 1, "b": [' + number + b'], "c": "\\ud800"}'
    text = b"[" + line + b", " + line + b"]" if name == "a.json" else line + b"\n" + line
    chunks = list(read_records(io.BytesIO(text), detect(name), name))
    records = [record for chunk in chunks for record in chunk.records]
    assert records == [{"a": 1, "b": [None], "c": "\ufffd"}] * 2
    assert sum(chunk.remarks[NO_NUMBER] for chunk in chunks) == 2


def test_a_line_longer_than_16_mib_is_unreadable_and_its_neighbours_are_not() -> None:
    data = b'{"a":1}\n{"a":"' + b"x" * (17 << 20) + b'"}\n{"b":2}\n'
    assert read(data, "a.jsonl") == [{"a": 1}, Unreadable("longer than 16 MiB"), {"b": 2}]
    assert read(data[8:-9], "a.jsonl") == [Unreadable("longer than 16 MiB")]


def test_the_json_test_suite_leaves_the_good_lines_around_its_bad_ones() -> None:
    with tarfile.open(shared("json-test-suite.tar.gz")) as tar:
        cases = {
            member.name.rsplit("/", 1)[-1]: file.read()
            for member in tar.getmembers()
            if member.isfile() and (file := tar.extractfile(member))
        }
    invalid = {name: data for name, data in cases.items() if name.startswith("n_") and data.strip(b" \t\r\n")}
    assert len(invalid) > 180
    for name, data in invalid.items():
        lines = [line for line in data.split(b"\n") if line.strip(b" \t\r")]
        found = read(b'{"good":1}\n' + data + b'\n{"good":2}\n', "a.jsonl")
        assert found[0] == {"good": 1}, name
        assert found[-1] == {"good": 2}, name
        assert len(found) == 2 + len(lines), name
        assert all(isinstance(record, Unreadable) for record in found[1:-1]), name
    objects = [data for name, data in cases.items() if name.startswith("y_object")]
    assert len(objects) > 10
    for data in objects:
        assert isinstance(read(data.replace(b"\n", b" "), "a.jsonl")[0], dict)


@given(st.lists(st.sampled_from([b"a", b"{}", b"\n", b" ", b"\r\n", b"\n\n"]), max_size=12))
def test_the_last_line_is_the_same_however_the_stream_is_cut(blocks: list[bytes]) -> None:
    lines = [line.rstrip(b" \r\t") for line in b"".join(blocks).split(b"\n") if line.strip()]
    assert last_line(blocks) == (lines[-1] if lines else b"")


def test_an_overlong_last_line_is_no_record() -> None:
    blocks = [b'{"a":1}\n{"a":"', *[b"x" * (1 << 20)] * 66, b'"}\n']
    assert last_line(blocks).startswith(b"\0")


def test_a_line_of_too_many_values_is_unreadable_without_being_parsed() -> None:
    many = b'{"a":[' + b"[]," * 1_000_001 + b"0]}"
    assert read(many + b'\n{"b":2}\n', "a.jsonl") == [Unreadable("more than 2,000,000 values"), {"b": 2}]
    assert read(b"[" + many + b',{"b":2}]', "a.json") == [Unreadable("more than 2,000,000 values"), {"b": 2}]


def test_commas_inside_a_long_text_are_no_values() -> None:
    assert read(b'{"a":"' + b"," * 2_000_001 + b'"}\n', "a.jsonl") == [{"a": "," * 2_000_001}]
