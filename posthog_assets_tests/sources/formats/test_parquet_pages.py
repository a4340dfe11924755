"""What a Parquet file would take to read."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posthog_assets.core.errors import BrokenPart
from posthog_assets.sources.formats import count_records, detect, parquet_pages
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
