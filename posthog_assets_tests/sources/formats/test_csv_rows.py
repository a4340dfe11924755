"""CSV."""

from __future__ import annotations

import io
import itertools

import pytest

from posthog_assets.core.errors import BrokenPart
from posthog_assets.sources.formats import (
    Compression,
    Format,
    Framing,
    Unreadable,
    count_records,
    csv_rows,
    detect,
    read_records,
)
from posthog_assets.sources.formats.csv_layouts import LAYOUTS
from posthog_assets.sources.formats.csv_rows import read_csv
from posthog_assets_tests.sources.formats.reading import archive, positions, read


def test_values_are_text_and_empty_ones_stay_empty_text() -> None:
    assert read(b"a,b\n1,\n,NaN\n", "a.csv") == [{"a": "1", "b": ""}, {"a": "", "b": "NaN"}]


def test_a_chunk_says_that_its_values_have_no_type() -> None:
    assert [chunk.untyped for chunk in read_records(io.BytesIO(b"a\n1\n"), detect("a.csv"), "a.csv")] == [True]


def test_a_quoted_value_may_hold_line_ends_and_the_position_is_the_line_a_row_starts_on() -> None:
    data = b'a,b\n1,"x\ny\r\nz"\n\n2,"p""q"\n'
    assert read(data, "a.csv") == [{"a": "1", "b": "x\ny\r\nz"}, {"a": "2", "b": 'p"q'}]
    assert positions(data, "a.csv") == [2, 6]


def test_a_byte_order_mark_is_no_part_of_the_first_column() -> None:
    assert read(b"\xef\xbb\xbfa,b\n1,2\n", "a.csv") == [{"a": "1", "b": "2"}]


def test_delimiter_quote_and_encoding_can_be_set() -> None:
    framing = detect("a.csv", delimiter=";", quote="'", encoding="cp1252")
    assert read("Stadt;x\n'Zürich; CH';1\n".encode("cp1252"), "a.csv", framing) == [{"Stadt": "Zürich; CH", "x": "1"}]


def test_utf_16_is_read_where_it_is_set() -> None:
    framing = Framing(Format.CSV, Compression.NONE, encoding="utf-16")
    assert read("a,b\n1,ü\n".encode("utf-16"), "a.csv", framing) == [{"a": "1", "b": "ü"}]


def test_a_row_with_the_wrong_number_of_fields_is_unreadable_and_the_others_are_not() -> None:
    assert read(b"a,b\n1,2\n3\n4,5,6\n7,8\n", "a.csv") == [
        {"a": "1", "b": "2"},
        Unreadable("wrong number of fields: 1 where the header has 2"),
        Unreadable("wrong number of fields: 3 where the header has 2"),
        {"a": "7", "b": "8"},
    ]


def test_a_row_with_a_stray_quote_is_unreadable_and_the_others_are_not() -> None:
    found = read(b'a,b\n"1"x,2\n3,4\n', "a.csv")
    assert found == [Unreadable("not CSV: ',' expected after '\"'"), {"a": "3", "b": "4"}]


def test_bytes_that_are_not_in_the_encoding_spoil_only_their_row() -> None:
    assert read(b"a,b\n1,2\n\xff,4\n5,\xc3\xbc\n", "a.csv") == [
        {"a": "1", "b": "2"},
        Unreadable("column 'a' is not utf-8 text; see source.csv.encoding"),
        {"a": "5", "b": "ü"},
    ]


def test_a_quote_that_is_never_closed_breaks_the_part() -> None:
    with pytest.raises(BrokenPart, match="a.csv, line 3: a value begins with a quote that is never closed"):
        read(b'a,b\n1,2\n3,"4\n5,6\n', "a.csv")


def test_a_header_that_repeats_or_omits_names_loses_no_value() -> None:
    assert read(b"a,a,,\n1,2,3,4\n", "a.csv") == [{"a": "1", "a (2)": "2", "column 3": "3", "column 4": "4"}]


def test_a_file_with_only_a_header_or_nothing_has_no_records() -> None:
    assert read(b"a,b\n", "a.csv") == []
    assert read(b"", "a.csv") == []


def test_a_file_without_a_header_has_the_columns_that_are_set() -> None:
    framing = detect("a.csv", columns=("a", "b"))
    assert read(b"1,2\n\n3\n4,5\n", "a.csv", framing) == [
        {"a": "1", "b": "2"},
        Unreadable("wrong number of fields: 1 where source.csv.columns has 2"),
        {"a": "4", "b": "5"},
    ]
    chunks = read_records(io.BytesIO(b"1,2\n\n3,4\n"), framing, "a.csv")
    assert [place for chunk in chunks for place in chunk.positions] == [1, 3]
    assert read(b"", "a.csv", framing) == []


def test_where_nothing_quotes_a_quote_is_a_letter_like_any_other() -> None:
    framing = detect("a.tsv", quote="", columns=("a", "b"))
    assert read(b'"x\t{"b": "c"}\n"y" z"\t\n', "a.tsv", framing) == [
        {"a": '"x', "b": '{"b": "c"}'},
        {"a": '"y" z"', "b": ""},
    ]


def test_members_of_a_zip_have_the_columns_too_whatever_their_names() -> None:
    data = archive({"a.csv": b"1,2\n", "b.txt": b"3,4\n", "part-00000": b"5,6\n", "c.jsonl": b'{"a":7}\n'})
    found = read(data, "a.zip", detect("a.zip", columns=("a", "b")))
    assert found == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}, {"a": 7}, {"a": "5", "b": "6"}]


def test_snowplows_layout_has_the_131_columns_of_its_canonical_event_in_order() -> None:
    layout = LAYOUTS["snowplow"]
    assert len(layout.columns) == len(set(layout.columns)) == 131
    # Places that Snowplow's own SDKs have in their code or tests.
    places = {0: "app_id", 22: "geo_latitude", 23: "geo_longitude", 52: "contexts", 102: "dvce_ismobile",
              110: "tr_tax_base", 130: "true_tstamp"}  # fmt: skip
    assert {place: layout.columns[place] for place in places} == places
    assert (layout.delimiter, layout.quote) == ("\t", "")


CR = Unreadable("not CSV: a carriage return in a value that is not in quotes")


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"a,b\r\n1,2\r\nhalf\rrow,4\r\n5,6\r\n", [{"a": "1", "b": "2"}, CR, {"a": "5", "b": "6"}]),
        (b"a,b\r\n1,2\rx,3\r\n5,6\r\n", [CR, {"a": "5", "b": "6"}]),
        (b'a,b\r\n"in\rquotes",2\r\n5,6\r\n', [{"a": "in\rquotes", "b": "2"}, {"a": "5", "b": "6"}]),
        (b"a,b\r\n1,2\r\n3,4\r", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
        (b"a,b\r1,2\r3,4\r", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
        (b"a,b\n1,2\r3,4\n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
    ],
)
def test_a_carriage_return_alone_ends_no_row_where_rows_end_with_two_letters(data: bytes, rows: list[object]) -> None:
    assert read(data, "a.csv") == rows
    assert count_records(io.BytesIO(data), detect("a.csv"), "a.csv") == len(rows)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b'a,b\n1,"', "line 2: this row does not end within 16 MiB"),
        (b"", "line 1: this row does not end within 16 MiB"),
    ],
)
def test_a_value_or_a_header_without_an_end_breaks_the_part_after_16_mib(head: bytes, words: str) -> None:
    endless = itertools.chain([head], itertools.repeat(b"x" * (1 << 20), 200))
    with pytest.raises(BrokenPart, match=words):
        list(read_csv(endless, detect("a.csv"), "a.csv", 500))


def test_a_row_of_nothing_but_commas_breaks_the_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "_MOST_SEPARATORS", 2_000_000)
    endless = itertools.chain([b"a,b\n1,2\n"], itertools.repeat(b"," * (1 << 20), 10))
    with pytest.raises(BrokenPart, match="does not end within 2,000,000 values"):
        list(read_csv(endless, detect("a.csv"), "a.csv", 500))


def test_a_header_of_more_than_100_000_columns_is_refused() -> None:
    with pytest.raises(BrokenPart, match="the header has 100,001 columns, more than 100,000: refused"):
        list(read_csv(iter([b"," * 100_000 + b"\n"]), detect("a.csv"), "a.csv", 500))


def test_rows_of_many_columns_come_in_smaller_chunks() -> None:
    data = b",".join(b"c%d" % n for n in range(50_000)) + b"\n" + (b"," * 49_999 + b"\n") * 30
    assert [len(chunk.records) for chunk in read_csv(iter([data]), detect("a.csv"), "a.csv", 500)] == [20, 10]


def test_empty_lines_however_many_are_no_rows() -> None:
    assert read(b"a\n" + b"\n" * 200_000 + b"1\n", "a.csv") == [{"a": "1"}]
