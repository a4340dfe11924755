"""Stored Parquet files: the digest of their content."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from posthog_assets.storage.parquet import ParquetSink, digest_of

SCHEMA = pa.schema([("timestamp", pa.int64()), ("event", pa.string())])


def stored(path: Path, events: list[str], metadata: dict[str, str] | None = None, noted: str = "") -> Path:
    with ParquetSink(path, SCHEMA, metadata) as sink:
        for number, event in enumerate(events):
            sink.write(pa.RecordBatch.from_pydict({"timestamp": [number], "event": [event]}, schema=SCHEMA))
        if noted:
            sink.note({"noted": noted})
    return path


def digest(path: Path) -> str:
    with path.open("rb") as file:
        found = digest_of(file)
        assert file.tell() == 0
        return found


def test_files_of_equal_content_have_one_digest_and_others_have_others(tmp_path: Path) -> None:
    paths = [
        stored(tmp_path / "one", ["a", "b"], {"made": "1"}),
        stored(tmp_path / "same", ["a", "b"], {"made": "1"}),
        stored(tmp_path / "other last value", ["a", "c"], {"made": "1"}),
        stored(tmp_path / "other metadata", ["a", "b"], {"made": "2"}),
        stored(tmp_path / "other note", ["a", "b"], {"made": "1"}, noted="x"),
        stored(tmp_path / "fewer rows", ["a"], {"made": "1"}),
        stored(tmp_path / "none", []),
    ]
    found = [digest(path) for path in paths]
    assert found[0] == found[1]
    assert len(set(found)) == 6


def test_the_digest_is_read_from_the_end_of_the_file(tmp_path: Path) -> None:
    path = stored(tmp_path / "file", [f"event {number}" for number in range(1_000)])
    whole = path.read_bytes()
    before = digest(path)
    path.write_bytes(b"PAR1" + bytes(64) + whole[68:])
    assert digest(path) == before


def test_the_digest_of_another_file_does_not_count(tmp_path: Path) -> None:
    path = stored(tmp_path / "file", ["a", "b"])
    content = pq.read_metadata(path).metadata[b"posthog_assets.content"]
    table = pq.read_table(path).slice(1).replace_schema_metadata({"posthog_assets.content": content})
    pq.write_table(table, tmp_path / "copy")
    assert digest(tmp_path / "copy") == xxhash.xxh3_128((tmp_path / "copy").read_bytes()).hexdigest()


def test_a_file_without_one_has_the_digest_of_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"not even Parquet")
    assert digest(tmp_path / "old") == xxhash.xxh3_128(b"not even Parquet").hexdigest()
    (tmp_path / "empty").touch()
    assert digest(tmp_path / "empty") == xxhash.xxh3_128().hexdigest()


def test_many_batches_of_few_rows_are_one_row_group_and_take_no_memory_each(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with ParquetSink(path, SCHEMA) as sink:
        for number in range(1_000):
            sink.write(pa.RecordBatch.from_pydict({"timestamp": [number], "event": ["a"]}, schema=SCHEMA))
            assert len(sink._group) < 256
    assert pq.read_metadata(path).num_row_groups == 1
    assert pq.read_table(path)["timestamp"].to_pylist() == [*range(1_000)]
