"""CSV."""

from __future__ import annotations

import pytest

from posthog_assets.errors import BrokenPart
from posthog_assets.formats import Compression, Format, Framing, Unreadable, detect

from .reading import positions, read


def test_values_are_text_and_empty_ones_stay_empty_text() -> None:
    assert read(b"a,b\n1,\n,NaN\n", "a.csv") == [{"a": "1", "b": ""}, {"a": "", "b": "NaN"}]


def test_a_chunk_says_that_its_values_have_no_type() -> None:
    import io

    from posthog_assets.formats import read_records

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
