"""Every format in every compression gives the same records, and a broken file is never silently short."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from posthog_assets.errors import BrokenPart, ImportFileError
from posthog_assets.formats import Compression, Format, Framing, Unreadable, count_records, detect, read_records
from posthog_assets.formats.arrays import elements

ROWS = [{"id": "a", "n": "1"}, {"id": "b", "n": "zwei\r\u2028"}, {"id": "c", "n": 'say "x"'}]


def _zip(content: bytes, inner: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/ignored.jsonl", b"x")
        archive.writestr(inner, content)
    return sink.getvalue()


def _parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), sink)
    return sink.getvalue()


CONTENT = {
    "jsonl": "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode() + b"\n\n",
    "json": json.dumps(ROWS, indent=2).encode(),
    "csv": 'id,n\na,1\nb,"zwei\r\u2028"\nc,"say ""x"""\n'.encode(),
    "parquet": _parquet(),
}
SUFFIX = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress, ".bz2": bz2.compress}


def read(name: str, content: bytes, rows: int = 2) -> list[dict | Unreadable]:
    chunks = list(read_records(io.BytesIO(content), detect(name), name, rows))
    return [record for chunk in chunks for record in chunk.records]


@pytest.mark.parametrize("suffix", [*SUFFIX, ".zip"])
@pytest.mark.parametrize("shape", CONTENT)
def test_every_format_reads_the_same_in_every_compression(shape: str, suffix: str) -> None:
    content, name = CONTENT[shape], f"events.{shape}{suffix}"
    packed = _zip(content, f"events.{shape}") if suffix == ".zip" else SUFFIX[suffix](content)
    # `.parquet.gz` names Parquet that is compressed inside; a file compressed as a whole must say so.
    whole = shape == "parquet" and suffix in (".gz", ".zst")
    framing = detect(name, compression={".gz": "gzip", ".zst": "zstd"}[suffix]) if whole else detect(name)
    records = [r for chunk in read_records(io.BytesIO(packed), framing, name, 2) for r in chunk.records]
    assert records == ROWS
    assert count_records(io.BytesIO(packed), framing, name) == 3


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2", ".zip"])
def test_a_truncated_file_is_refused_by_name(suffix: str) -> None:
    content = b"".join(b'{"id":"%d","x":"%s"}\n' % (i, str(i * 7919).encode()) for i in range(5_000))
    packed = _zip(content, "events.jsonl") if suffix == ".zip" else SUFFIX[suffix](content)
    name = f"2024-03-01.jsonl{suffix}"
    with pytest.raises(BrokenPart, match="2024-03-01.jsonl"):
        read(name, packed[: len(packed) // 2], 5_000)
    with pytest.raises(BrokenPart, match="2024-03-01.jsonl"):
        count_records(io.BytesIO(packed[: len(packed) // 2]), detect(name), name)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.jsonl.bz2", "a.jsonl.zip", "a.parquet"])
def test_a_file_that_is_not_what_its_name_says_is_refused(name: str) -> None:
    with pytest.raises(BrokenPart, match="a."):
        read(name, b'{"id": "a"}\n' * 100)


@pytest.mark.parametrize("text", ['[{"a":1},', '[{"a":1} {"a":2}]', '[{"a":1}', '[{"a":1}] []', '[{"a":1},]'])
def test_an_array_whose_boundaries_are_lost_is_refused(text: str) -> None:
    with pytest.raises(BrokenPart, match="a.json"):
        read("a.json", text.encode())


def test_gzip_members_and_zstd_frames_one_after_the_other_are_one_file() -> None:
    half = CONTENT["jsonl"]
    assert read("a.jsonl.gz", gzip.compress(half) + gzip.compress(half)) == ROWS * 2
    compress = zstandard.ZstdCompressor().compress
    assert read("a.jsonl.zst", compress(half) + compress(half)) == ROWS * 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": NaN}', "not valid JSON"),
        (b'{"a": Infinity}', "not valid JSON"),
        (b'{"a": "\\ud800"}', "not valid JSON"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b"{", "not valid JSON"),
    ],
)
def test_a_bad_line_is_one_unreadable_record_among_good_ones(line: bytes, reason: str) -> None:
    first, bad, last = read("a.jsonl", b'{"id":1}\n' + line + b'\n{"id":2}\n', 100)
    assert (first, last) == ({"id": 1}, {"id": 2})
    assert isinstance(bad, Unreadable)
    assert bad.reason.startswith(reason)


def test_integers_above_2_to_the_53_stay_exact() -> None:
    assert read("a.jsonl", b'{"a":9007199254740993,"b":18446744073709551615}\n') == [
        {"a": 9007199254740993, "b": 18446744073709551615}
    ]


def test_positions_are_line_numbers_and_blank_lines_are_no_records() -> None:
    chunks = list(read_records(io.BytesIO(b'{"a":1}\n\n  \n{"a":2}\n'), detect("a.jsonl"), "a.jsonl"))
    assert [position for chunk in chunks for position in chunk.positions] == [1, 4]


def test_a_csv_row_with_another_number_of_fields_is_unreadable() -> None:
    good, bad, more = read("a.csv", b"id,n\n1,2\n1,2,3\n4,5\n", 10)
    assert (good, more) == ({"id": "1", "n": "2"}, {"id": "4", "n": "5"})
    assert bad == Unreadable("wrong number of fields: 3 where the header has 2")


def test_every_invalid_case_of_the_json_test_suite_is_one_unreadable_line(real_data: Callable[[str], Path]) -> None:
    tested = 0
    with tarfile.open(real_data("json-test-suite.tar.gz")) as archive:
        for member in archive:
            name = Path(member.name).name
            file = archive.extractfile(member)
            if not name.startswith("n_") or file is None:
                continue
            case = file.read()
            if b"\n" in case or not case.strip():
                continue
            records = read("a.jsonl", b'{"id":1}\n' + case + b'\n{"id":2}\n', 100)
            assert records[0] == {"id": 1}, name
            assert records[-1] == {"id": 2}, name
            assert len(records) == 3, name
            assert isinstance(records[1], Unreadable), name
            tested += 1
    assert tested > 150


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("wikipedia-edits-2015-09-12.jsonl.gz", 39_244),
        ("github-events-2021-07-21.jsonl.gz", 800),
        ("segment-spec.jsonl", 532),
    ],
)
def test_real_files_are_read_whole(name: str, count: int, real_data: Callable[[str], Path]) -> None:
    content = real_data(name).read_bytes()
    assert len(read(name, content, 5_000)) == count
    assert count_records(io.BytesIO(content), detect(name), name) == count


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(), json_values, max_size=3), max_size=6), st.integers(1, 40), st.booleans())
def test_an_array_is_split_the_same_whatever_the_size_of_the_blocks(rows: list, size: int, spaced: bool) -> None:
    text = json.dumps(rows, indent=1 if spaced else None).encode()
    blocks = [text[i : i + size] for i in range(0, len(text), size)]
    assert [json.loads(element) for element in elements(blocks, "a.json")] == rows


def test_a_name_that_tells_no_format_is_explained() -> None:
    with pytest.raises(ImportFileError, match="events.dat: the name does not tell the format"):
        detect("events.dat")
    assert detect("events.dat", "jsonl", "gzip") == Framing(Format.JSONL, Compression.GZIP)
