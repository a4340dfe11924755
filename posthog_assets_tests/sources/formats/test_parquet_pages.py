"""What a Parquet file would take to read."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posthog_assets.core.errors import BrokenPart
from posthog_assets.sources.formats import count_records, detect, parquet_batches, parquet_pages
from posthog_assets.sources.formats.parquet import read_parquet
from posthog_assets.sources.formats.parquet_pages import measured
from posthog_assets_tests.sources.formats.reading import read


def _written(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
def test_the_headers_of_pages_say_what_the_footer_says(compression: str, version: str) -> None:
    table = pa.table(
        {
            "id": [f"{number:012x}" for number in range(20_000)],
            "few": ["a", "b", None, "d"] * 5_000,
            "list": [[number, None] for number in range(20_000)],
        }
    )
    data = _written(table, compression=compression, data_page_version=version, row_group_size=7_000)
    metadata = pq.read_metadata(io.BytesIO(data))
    groups = measured(io.BytesIO(data), metadata, "a.parquet")
    for number, chunks in enumerate(groups):
        for index, chunk in enumerate(chunks):
            column = metadata.row_group(number).column(index)
            # The footer counts headers too.
            assert 0.9 * column.total_uncompressed_size - 200 < chunk.bytes <= column.total_uncompressed_size
            assert chunk.values == column.num_values
            assert (chunk.dictionary > 0) == column.has_dictionary_page
            assert 0 < chunk.largest <= chunk.bytes


def test_a_page_that_unpacks_too_far_is_refused_before_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_pages, "_LARGEST_PAGES", 2 << 20)
    note = pa.array([b"x" * 996], pa.binary()).take(pa.array([0] * 3_000))
    data = _written(
        pa.table({"n": range(3_000), "note": note}), compression="zstd", use_dictionary=False, data_page_size=1 << 30,
        write_batch_size=3_000, max_rows_per_page=3_000,
    )  # fmt: skip
    with pytest.raises(BrokenPart, match="one of column 'note' to 3,000,00.*, more than 2 MiB: refused"):
        read(data, "a.parquet")


def _plain(cells: list[list[int]]) -> bytes:
    """Return a file of a column for each list, with cells of so many thousand letters, each on a page of its own."""
    table = pa.table({f"c{n}": [bytes([65 + n]) * 1_000 * size for size in column] for n, column in enumerate(cells)})
    return _written(table, compression="zstd", use_dictionary=False, data_page_size=1, write_batch_size=1)


def test_one_page_that_unpacks_too_far_is_refused_though_all_together_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_pages, "_LARGEST_PAGE", 1 << 20)
    assert len(read(_plain([[900, 900]]), "a.parquet")) == 2
    with pytest.raises(BrokenPart, match="a page of column 'c0' in row group 0 unpacks to 1,100,0.. bytes, more than"):
        read(_plain([[900, 1_100]]), "a.parquet")


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pages and rows take 6 MB together, and have a page of 100 kB be a large one."""
    monkeypatch.setattr(parquet_batches, "_PAGES_AND_ROWS", 6_000_000)
    monkeypatch.setattr(parquet_pages, "LONGEST_LINE", 100_000)
    monkeypatch.setattr(parquet_pages, "_LARGEST_PAGES", 4 << 20)


@pytest.mark.usefixtures("small_limits")
def test_a_value_that_does_not_fit_beside_the_pages_is_refused_before_it_is_read_with_them() -> None:
    wide = [[500, 1], [500, 1], [400, 1], [300, 1]]
    assert len(read(_plain(wide[:3]), "a.parquet")) == 2
    with pytest.raises(
        BrokenPart, match="a value of column 'c0' has 500,0.. bytes, more than can be read beside pages"
    ):
        read(_plain(wide), "a.parquet")


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("shape", ["text", "list", "struct"])
def test_large_pages_of_short_values_are_read(shape: str) -> None:
    text = pa.array([b"x" * 900], pa.binary()).take(pa.array([0] * 1_000))
    shapes: dict[str, Any] = {
        "text": text,
        "list": pa.ListArray.from_arrays(pa.array(range(0, 1_001, 2), pa.int32()), text),
        "struct": pa.StructArray.from_arrays([text], ["inner"]),
    }
    column = shapes[shape]
    data = _written(
        pa.table({"a": column, "b": column}), compression="zstd", use_dictionary=False, data_page_size=1 << 30,
        write_batch_size=2_000, max_rows_per_page=2_000,
    )  # fmt: skip
    assert len(read(data, "a.parquet")) == len(column)


@pytest.mark.usefixtures("small_limits")
def test_a_long_list_of_short_values_counts_as_one_value() -> None:
    text = pa.array([b"x" * 900], pa.binary()).take(pa.array([0] * 1_000))
    column = pa.ListArray.from_arrays(pa.array([0, 1_000, 1_000], pa.int32()), text)
    with pytest.raises(BrokenPart, match="a value of column 'a.list.element' has 90.,... bytes, more than"):
        read(_written(pa.table({"a": column, "b": column}), use_dictionary=False), "a.parquet")


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
@pytest.mark.parametrize("shape", ["text", "nulls", "struct", "list"])
def test_a_large_page_is_looked_into_for_its_longest_value(
    shape: str, compression: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_pages, "_LOOKED_INTO", 1_000)
    values = [b"x" * (number * 7 % 400) for number in range(1_000)]
    text = pa.array([None if shape == "nulls" and number % 3 else value for number, value in enumerate(values)])
    shapes: dict[str, Any] = {
        "struct": pa.StructArray.from_arrays([text], ["inner"]),
        "list": pa.ListArray.from_arrays(pa.array(range(0, 1_001, 2), pa.int32()), text),
    }
    data = _written(
        pa.table({"a": shapes.get(shape, text)}), compression=compression, data_page_version=version,
        use_dictionary=False,
    )  # fmt: skip
    (((chunk,),),) = (measured(io.BytesIO(data), pq.read_metadata(io.BytesIO(data)), "a.parquet"),)
    assert chunk.longest == max(len(value or b"") for value in text.to_pylist())
    monkeypatch.setattr(parquet_pages, "LONGEST_LINE", chunk.longest - 1)
    with pytest.raises(
        BrokenPart, match=f"a value of column 'a.*' has {chunk.longest} bytes, in a page of .*: refused"
    ):
        measured(io.BytesIO(data), pq.read_metadata(io.BytesIO(data)), "a.parquet")


def test_a_large_page_of_another_encoding_is_refused_and_one_of_numbers_is_not_looked_into(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parquet_pages, "_LOOKED_INTO", 100)
    table = pa.table({"a": [f"value {number % 50}" for number in range(1_000)]})
    assert len(read(_written(table), "a.parquet")) == 1_000
    data = _written(table, use_dictionary=False, column_encoding={"a": "DELTA_LENGTH_BYTE_ARRAY"})
    with pytest.raises(BrokenPart, match="a page of column 'a' unpacks to .* of an encoding that is read up to 0 MiB"):
        read(data, "a.parquet")


def test_long_values_that_share_their_beginning_come_a_few_at_a_time() -> None:
    note = ["x" * 2_000_000] * 20
    data = _written(
        pa.table({"n": range(20), "note": note}),
        use_dictionary=False,
        column_encoding={"note": "DELTA_BYTE_ARRAY", "n": "PLAIN"},
    )
    assert len(data) < 2_100_000
    chunks = list(read_parquet(io.BytesIO(data), "a.parquet", 500))
    assert max(len(chunk.records) for chunk in chunks) <= 8
    assert [record["n"] for chunk in chunks for record in chunk.records if isinstance(record, dict)] == [*range(20)]


def test_long_values_in_a_row_come_a_few_at_a_time_however_short_the_average_is() -> None:
    cells = [b"x"] * 3_000 + [b"y" * 4_000_000] * 6 + [b"x"] * 3_000
    table = pa.table({"note": pa.array(cells, pa.binary())})
    data = _written(table, compression="zstd", use_dictionary=False, write_batch_size=1)
    chunks = list(read_parquet(io.BytesIO(data), "a.parquet", 500))
    longest = [max(len(record["note"]) for record in chunk.records if isinstance(record, dict)) for chunk in chunks]
    beside = [len(chunk.records) for chunk, length in zip(chunks, longest, strict=True) if length == 4_000_000]
    assert max(beside) <= 4
    assert sum(len(chunk.records) for chunk in chunks) == 6_006


def test_distinct_values_that_unpack_too_far_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_pages, "_LARGEST_DICTIONARY", 1 << 20)
    table = pa.table({"note": ["x" * (2 << 20)] * 3})
    with pytest.raises(BrokenPart, match="distinct values of column 'note' unpack to 2,097,156 bytes, more than 1 MiB"):
        read(_written(table, compression="zstd"), "a.parquet")


def test_a_row_group_of_too_many_members_of_lists_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_pages, "_MOST_MEMBERS", 1_000)
    lists = pa.ListArray.from_arrays(pa.array([0, 1_001], pa.int32()), pa.nulls(1_001))
    with pytest.raises(BrokenPart, match="has 1,001 members in the lists of column 'note.list.element'"):
        read(_written(pa.table({"note": lists})), "a.parquet")


def test_a_footer_of_more_than_32_mib_is_refused() -> None:
    data = b"PAR1" + (40 << 20).to_bytes(4, "little") + b"PAR1"
    with pytest.raises(BrokenPart, match="its footer is 41,943,040 bytes long, more than 32 MiB: refused"):
        count_records(io.BytesIO(data), detect("a.parquet"), "a.parquet")


@pytest.mark.parametrize("at", range(4, 200, 13))
def test_a_damaged_file_is_a_broken_part_or_read(at: int) -> None:
    data = bytearray(_written(pa.table({"a": ["x", "y"] * 50, "b": range(100)}), compression="zstd"))
    data[at] ^= 0xFF
    try:
        assert len(read(bytes(data), "a.parquet")) == 100
    except BrokenPart as error:
        assert "a.parquet" in str(error)
