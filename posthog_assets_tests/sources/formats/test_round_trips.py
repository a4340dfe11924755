"""Whatever the records, the chunks and the blocks: what goes in comes out."""

from __future__ import annotations

import csv
import io
from typing import Any

import fastavro
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.sources.formats.avro import count_avro, read_avro
from posthog_assets.sources.formats.compression import text_blocks
from posthog_assets.sources.formats.csv_rows import count_csv, read_csv
from posthog_assets.sources.formats.framing import Format, Framing
from posthog_assets.sources.formats.json_array import count_json, read_json
from posthog_assets.sources.formats.json_lines import count_lines, read_lines
from posthog_assets_tests.examples import examples

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)
RECORDS = st.lists(st.dictionaries(TEXT, VALUES, max_size=4), max_size=8)
SIZES = st.integers(1, 50)


def _blocks(data: bytes, size: int) -> Any:
    return iter([data[start : start + size] for start in range(0, len(data), size)])


def _flat(chunks: Any) -> list[Any]:
    return [record for chunk in chunks for record in chunk.records]


@settings(max_examples=examples(150), deadline=None)
@given(RECORDS, SIZES, SIZES, st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\n  \n"]))
def test_json_lines(records: list[dict[str, Any]], block: int, rows: int, end: bytes) -> None:
    data = b"".join(orjson.dumps(record) + end for record in records)
    assert _flat(read_lines(text_blocks(_blocks(data, block), "a"), rows)) == records
    assert count_lines(_blocks(data, block)) == len(records)


@settings(max_examples=examples(150), deadline=None)
@given(st.binary(max_size=80), SIZES, SIZES)
def test_counting_lines_finds_what_reading_finds_in_any_bytes(data: bytes, block: int, rows: int) -> None:
    data = data.replace(b"\x00", b"\n").replace(b"\x01", b" ")
    assert count_lines(_blocks(data, block)) == len(_flat(read_lines(_blocks(data, block), rows)))


@settings(max_examples=examples(150), deadline=None)
@given(RECORDS, SIZES, SIZES, st.sampled_from([b",", b" ,\n  "]), st.booleans())
def test_json_arrays(records: list[dict[str, Any]], block: int, rows: int, comma: bytes, indented: bool) -> None:
    option = orjson.OPT_INDENT_2 if indented else 0
    data = b"[" + comma.join(orjson.dumps(record, option=option) for record in records) + b"]\n"
    assert _flat(read_json(text_blocks(_blocks(data, block), "a"), "a", rows)) == records
    assert count_json(_blocks(data, block), "a") == len(records)


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(st.dictionaries(TEXT, VALUES, min_size=1, max_size=4), max_size=6), SIZES)
def test_indented_objects_one_after_the_other(records: list[dict[str, Any]], block: int) -> None:
    data = b"\n".join(orjson.dumps(record, option=orjson.OPT_INDENT_2) for record in records)
    assert _flat(read_json(text_blocks(_blocks(data, block), "a"), "a", 3)) == records


#: A row of one empty value is a blank line, which is no row.
ROWS = st.lists(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=2, max_size=2), max_size=8)


@settings(max_examples=examples(150), deadline=None)
@given(ROWS, SIZES, SIZES, st.sampled_from(["\n", "\r\n"]))
def test_csv(rows: list[list[str]], block: int, size: int, end: str) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["a", "b"], *rows])
    data = text.getvalue().encode()
    framing = Framing(Format.CSV)
    assert _flat(read_csv(_blocks(data, block), framing, "a", size)) == [{"a": a, "b": b} for a, b in rows]
    assert count_csv(_blocks(data, block), framing, "a") == len(rows)


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\t\r\n")), min_size=2, max_size=2)),
    SIZES, SIZES,
)  # fmt: skip
def test_values_that_nothing_quotes(rows: list[list[str]], block: int, size: int) -> None:
    # A byte order mark at the very beginning is none of the file's.
    data = "".join("\t".join(row) + "\n" for row in [["-", "-"], *rows]).encode()
    framing = Framing(Format.CSV, delimiter="\t", quote="", columns=("a", "b"))
    assert _flat(read_csv(_blocks(data, block), framing, "a", size))[1:] == [{"a": a, "b": b} for a, b in rows]
    assert count_csv(_blocks(data, block), framing, "a") == len(rows) + 1


LEAF = {
    "type": "record",
    "name": "leaf",
    "fields": [
        {"name": "number", "type": ["null", "boolean", "long", "double"]},
        {"name": "texts", "type": {"type": "map", "values": ["null", "string"]}},
        {"name": "leaves", "type": {"type": "array", "items": "leaf"}},
    ],
}
NUMBER = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.dictionaries(TEXT, st.none() | TEXT, max_size=3)
LEAVES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.fixed_dictionaries({"number": NUMBER, "texts": TEXTS, "leaves": st.just([])}),
    lambda inner: st.fixed_dictionaries({"number": NUMBER, "texts": TEXTS, "leaves": st.lists(inner, max_size=3)}),
    max_leaves=5,
)


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(LEAVES, max_size=8), SIZES, SIZES, st.sampled_from(["null", "deflate", "snappy", "zstandard"]),
    st.sampled_from([1, 50, 16_000]),
)  # fmt: skip
def test_avro(records: list[dict[str, Any]], block: int, rows: int, codec: str, interval: int) -> None:
    sink = io.BytesIO()
    fastavro.writer(sink, LEAF, records, codec=codec, sync_interval=interval)
    data = sink.getvalue()
    assert _flat(read_avro(_blocks(data, block), "a", rows)) == records
    assert count_avro(_blocks(data, block), "a") == len(records)
