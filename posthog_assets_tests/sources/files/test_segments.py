"""Pieces of many days in one file, and pieces in a row that make a file."""

from __future__ import annotations

import io
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from posthog_assets.sources.account import WITHOUT_DAY
from posthog_assets.sources.files import segments
from posthog_assets.sources.files.segments import SegmentWriter
from posthog_assets.sources.formats import Compression, Format, Framing
from posthog_assets.storage.store import Store

LINES = Framing(Format.JSONL, Compression.ZSTD)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "data"), "imported")


def pieces(store: Store, index: dict[str, object], day: str) -> bytes:
    """Return the pieces of a day in a row, of its only kind."""
    (found,) = index["days"][day]  # type: ignore[index]
    content = b""
    for segment, offset, length in found[2]:
        with store.open(f"s/{index['segments'][segment]}") as file:  # type: ignore[index]
            file.seek(offset)
            content += file.read(length)
    return content


def unpacked(content: bytes) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content), read_across_frames=True).read()


def test_the_records_of_a_day_are_one_file_whatever_came_between(store: Store) -> None:
    writer = SegmentWriter(store, "s/run")
    kind = writer.kind(LINES)
    for day, line in (("2024-03-01", b"1\n"), ("2024-03-02", b"2\n"), (WITHOUT_DAY, b"?\n"), ("2024-03-01", b"3\n")):
        writer.add(kind, day, line)
    index = writer.finish()
    assert index["counts"] == {WITHOUT_DAY: 1, "2024-03-01": 2, "2024-03-02": 1}
    assert (index["records"], index["records_without_day"], index["segments"]) == (4, 1, ["run-0000"])
    assert unpacked(pieces(store, index, "2024-03-01")) == b"1\n3\n"


def test_a_header_stands_before_the_first_piece_of_a_day_and_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "HELD", 0)
    writer = SegmentWriter(store, "s/run")
    kind = writer.kind(Framing(Format.CSV, Compression.ZSTD), b"a,b\n")
    for row in (b"1,2\n", b"3,4\n"):
        writer.add(kind, "2024-03-01", row)
    index = writer.finish()
    assert index["segments"] == ["run-0000", "run-0001"]
    assert unpacked(pieces(store, index, "2024-03-01")) == b"a,b\n1,2\n3,4\n"


def test_records_below_another_header_are_another_kind(store: Store) -> None:
    writer = SegmentWriter(store, "s/run")
    kinds = [writer.kind(LINES, head) for head in (b"a\n", b"b\n", b"a\n")]
    assert kinds == [0, 1, 0]


def test_the_digest_of_a_day_is_that_of_its_records_however_they_were_cut(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = []
    for held in (0, 1 << 20):
        monkeypatch.setattr(segments, "HELD", held)
        writer = SegmentWriter(store, f"s/run{held}")
        for line in (b"1\n", b"2\n"):
            writer.add(writer.kind(LINES), "2024-03-01", line)
        digests.append(writer.finish()["days"]["2024-03-01"][0][1])
    assert digests[0] == digests[1]


def test_blocks_of_avro_in_a_row_are_a_container(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "HELD", 0)
    writer = SegmentWriter(store, "s/run")
    kind = writer.kind(Framing(Format.AVRO), b'"long"')
    for content in (b"\x02", b"\x04", b"\x06"):
        writer.add(kind, "2024-03-01", content)
    assert list(fastavro.reader(io.BytesIO(pieces(store, writer.finish(), "2024-03-01")))) == [1, 2, 3]


def test_rows_of_parquet_are_counted_and_stay_parquet(store: Store) -> None:
    writer = SegmentWriter(store, "s/run")
    rows = pa.RecordBatch.from_pydict({"n": [1, 2]})
    writer.add_rows(writer.kind(Framing(Format.PARQUET)), "2024-03-01", rows)
    index = writer.finish()
    assert index["records"] == 2
    assert pq.read_table(pa.BufferReader(pieces(store, index, "2024-03-01"))).to_pydict() == {"n": [1, 2]}


def test_without_a_record_nothing_is_written(store: Store) -> None:
    assert SegmentWriter(store, "s/run").finish()["segments"] == []
    assert store.names("s") == []
