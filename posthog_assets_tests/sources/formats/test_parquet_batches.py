"""Rows of Parquet in batches of bounded size."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posthog_assets.core.errors import BrokenPart
from posthog_assets.core.records import Unreadable
from posthog_assets.sources.formats.parquet_batches import TOO_LARGE, bounded_batches, row_bytes


def file_of(table: pa.Table, **options: Any) -> io.BytesIO:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink


def batches(file: io.BytesIO, rows: int = 50_000, limit: int = 1 << 20) -> list[pa.RecordBatch | Unreadable]:
    return list(bounded_batches(file, "a.parquet", rows, limit))


def test_rows_come_in_order_and_no_more_at_once_than_is_asked_for() -> None:
    table = pa.table({"n": range(1_000), "text": [f"value {number}" for number in range(1_000)]})
    found = batches(file_of(table, row_group_size=300), rows=70)
    sizes = [len(batch) for batch in found if isinstance(batch, pa.RecordBatch)]
    assert max(sizes) <= 70
    assert pa.Table.from_batches(found).equals(table)


def test_wide_rows_come_a_few_at_a_time() -> None:
    table = pa.table({"n": range(100), "text": [chr(97 + number % 26) * 10_000 + str(number) for number in range(100)]})
    found = batches(file_of(table), limit=100_000)
    assert max(batch.nbytes for batch in found if isinstance(batch, pa.RecordBatch)) <= 150_000
    assert pa.Table.from_batches(found).equals(table)


def test_a_long_value_does_not_make_batches_of_a_row_of_all_the_others() -> None:
    texts = [f"value {number}" for number in range(2_000)]
    texts[700] = "x" * 90_000
    table = pa.table({"n": range(2_000), "text": texts})
    found = batches(file_of(table, use_dictionary=False, write_batch_size=1), rows=500, limit=100_000)
    assert max(batch.nbytes for batch in found if isinstance(batch, pa.RecordBatch)) <= 100_000
    assert max(len(batch) for batch in found if isinstance(batch, pa.RecordBatch)) == 500
    assert len(found) < 10
    assert pa.Table.from_batches(found).combine_chunks().equals(table)


def test_a_value_that_the_file_stores_once_is_counted_in_each_row_that_has_it() -> None:
    long = "x" * 1_000_000
    file = file_of(pa.table({"text": [long] * 80}))
    assert file.getbuffer().nbytes < 2_000_000
    found = batches(file, limit=4_000_000)
    assert max(len(batch) for batch in found if isinstance(batch, pa.RecordBatch)) <= 4
    assert sum(len(batch) for batch in found if isinstance(batch, pa.RecordBatch)) == 80


def test_a_row_that_is_too_large_comes_alone_and_its_neighbours_are_read() -> None:
    found = batches(file_of(pa.table({"text": ["a", "x" * (17 << 20), "b"]})))
    assert found[1] is TOO_LARGE
    assert [batch["text"].to_pylist() for batch in found if isinstance(batch, pa.RecordBatch)] == [["a"], ["b"]]


def test_a_file_without_rows_has_no_batches() -> None:
    assert batches(file_of(pa.table({"n": pa.array([], pa.int64())}))) == []


def test_a_file_that_is_no_parquet_is_broken() -> None:
    with pytest.raises((BrokenPart, pa.ArrowException)):
        batches(io.BytesIO(b"PAR1 and nothing else PAR1"))


@pytest.mark.parametrize(
    ("column", "sizes"),
    [
        (pa.array([1, None, 3]), [8, 8, 8]),
        (pa.array(["a", None, "abc"]), [9, 8, 11]),
        (pa.array([b"a", b"", None]), [9, 8, 8]),
        (pa.array(["ab", "c", None]).dictionary_encode(), [10, 9, 8]),
        (pa.array([["a", "bb"], [], None]), [27, 8, 8]),
        (pa.array([{"s": "ab", "n": 1}, {"s": None, "n": 2}]), [26, 24]),
        (pa.array([[("k", "v")], []], pa.map_(pa.string(), pa.string())), [26, 8]),
        (pa.array([["a", "b"], ["c", "dd"]], pa.list_(pa.string(), 2)), [26, 27]),
    ],
)
def test_the_bytes_of_a_row_are_those_of_its_values_unpacked(column: pa.Array, sizes: list[int]) -> None:
    assert row_bytes(column).tolist() == sizes
    # A slice knows its own rows only.
    assert row_bytes(column.slice(1)).tolist() == sizes[1:]
