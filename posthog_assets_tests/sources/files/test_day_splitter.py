"""Each record of a file, with the day that it names."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.sources.account import WITHOUT_DAY
from posthog_assets.sources.files.day_splitter import DaySplitter
from posthog_assets.sources.files.record_days import Days
from posthog_assets.sources.files.segments import SegmentWriter
from posthog_assets.sources.formats import Format, Framing
from posthog_assets.storage.store import Store


@pytest.fixture
def writer(tmp_path: Path) -> SegmentWriter:
    return SegmentWriter(Store(str(tmp_path / "data"), "imported"), "s/run")


def counts(writer: SegmentWriter, content: bytes, framing: Framing, column: str = "t") -> dict[str, int]:
    DaySplitter(writer, column, Days()).member(io.BytesIO(content), framing, "the file")
    return dict(writer.counts)


def test_lines_of_json_name_their_day_at_a_path(writer: SegmentWriter) -> None:
    lines = b'{"m":{"t":"2024-03-01T23:59:59Z"}}\n\n{"m":{"t":"2024-03-02"}}\n{"m":{}}\nbroken\n'
    assert counts(writer, lines, Framing(Format.JSONL), "m.t") == {"2024-03-01": 1, "2024-03-02": 1, WITHOUT_DAY: 2}


def test_elements_of_an_array_are_records_and_their_line_ends_end_no_line(writer: SegmentWriter) -> None:
    content = b'[{"t":\n"2024-03-01"},\n {"t":"2024-03-01"}]'
    assert counts(writer, content, Framing(Format.JSON)) == {"2024-03-01": 2}
    assert writer._held[0, "2024-03-01"] == [b'{"t":\r"2024-03-01"}\n', b'{"t":"2024-03-01"}\n']


def test_a_row_of_csv_with_too_few_values_has_no_day(writer: SegmentWriter) -> None:
    content = b'n,t\n1,2024-03-01\n2\n3,"2024-03-02"\n'
    assert counts(writer, content, Framing(Format.CSV, delimiter=",")) == {
        "2024-03-01": 1, WITHOUT_DAY: 1, "2024-03-02": 1,
    }  # fmt: skip
    assert writer._held[0, "2024-03-02"] == [b'3,"2024-03-02"\n']


def test_a_column_that_csv_does_not_have_is_refused_at_once(writer: SegmentWriter) -> None:
    with pytest.raises(ImportFileError, match=r"source.day_column 't' is no column of the file; it has: n, time"):
        counts(writer, b"n,time\n1,2024-03-01\n", Framing(Format.CSV, delimiter=","))


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["2024-03-01", "2024-03-02", "2024-03-01", None]),
        pa.array(["2024-03-01", "2024-03-02", "2024-03-01", None]).dictionary_encode(),
        pa.array([1_709_251_200, 1_709_337_600, 1_709_251_201, None], pa.timestamp("s", "UTC")),
    ],
    ids=["text", "dictionary", "timestamp"],
)
def test_rows_of_parquet_are_sorted_into_days_and_keep_their_order(writer: SegmentWriter, column: Any) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"t": column, "n": [1, 2, 3, 4]}), sink)
    assert counts(writer, sink.getvalue(), Framing(Format.PARQUET)) == {
        "2024-03-01": 2, "2024-03-02": 1, WITHOUT_DAY: 1,
    }  # fmt: skip
    assert [rows.column("n").to_pylist() for rows in writer._held[0, "2024-03-01"]] == [[1, 3]]


def test_a_file_none_of_whose_records_has_a_day_names_the_columns_of_the_first(writer: SegmentWriter) -> None:
    splitter = DaySplitter(writer, "t", Days())
    splitter.member(io.BytesIO(b'{"time":1,"n":2}\n{}\n'), Framing(Format.JSONL), "a.jsonl")
    with pytest.raises(ImportFileError) as caught:
        splitter.check("a.jsonl")
    assert str(caught.value) == (
        "source.day_column 't': none of the 2 records of a.jsonl has a day there; the first one's columns: time, n"
    )


def test_an_empty_file_is_no_fault(writer: SegmentWriter) -> None:
    splitter = DaySplitter(writer, "t", Days())
    splitter.member(io.BytesIO(b""), Framing(Format.JSONL), "a.jsonl")
    splitter.check("a.jsonl")
    assert writer.records == 0
