"""One file that holds all days, split into one extract a day, once.

Belongs here: the cache of extracts below `raw_export/.split/`. Does not belong here: finding the file (`locations`),
giving its records to days (`day_splitter`), writing them (`segments`).

    raw_export/.split/<file>/<fingerprint>-index.json        which extract lies where
    raw_export/.split/<file>/<fingerprint>-<run>-0000        a segment: pieces of many days, one after the other

The file is read once, whatever the number of days. What is read is collected by day and written out as a segment
whenever it fills the memory it may take, so neither memory nor the number of files grows with the number of days.
Records whose day cannot be read are an extract of their own, under "": nothing is lost.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from posthog_assets.core.errors import SourceUnavailable
from posthog_assets.sources.files.day_splitter import DaySplitter
from posthog_assets.sources.files.record_days import Days
from posthog_assets.sources.files.segments import SegmentWriter
from posthog_assets.sources.formats import Format, Framing
from posthog_assets.sources.formats.compression import broken, members
from posthog_assets.sources.formats.framing import framing_of
from posthog_assets.storage.layout import SPLITS
from posthog_assets.storage.store import Store

_SUFFIXES: Final = {
    Format.JSONL: ".jsonl.zst", Format.CSV: ".csv.zst", Format.PARQUET: ".parquet", Format.AVRO: ".avro",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Extract:
    """A day's records of one kind; `pieces` are (segment, offset, length), `digest` changes when the content does."""

    kind: int
    digest: str
    pieces: list[tuple[int, int, int]]


class DaySplit:
    """The extracts of one file, as far as they are cached; `key` changes when the file does."""

    def __init__(self, store: Store, file: str, key: str) -> None:
        self._store = store
        self._folder = f"{SPLITS}/{file}"
        self._key = key
        self._index: dict[str, Any] | None = None

    def load(self) -> bool:
        """Return whether the split is done."""
        if self._index is None and self._store.exists(f"{self._folder}/{self._key}-index.json"):
            self._index = orjson.loads(self._store.read_bytes(f"{self._folder}/{self._key}-index.json"))
        return self._index is not None

    def extracts(self, day: str) -> list[Extract]:
        """Return the extracts of a day (`2013-01-01`), one per kind of record; empty where the file has none."""
        assert self._index is not None, "load() comes first"
        return [Extract(*found) for found in self._index["days"].get(day, ())]

    @property
    def counts(self) -> dict[str, int]:
        """Return how many records of the file each day has, those without one under `WITHOUT_DAY`."""
        assert self._index is not None, "load() comes first"
        return self._index["counts"]

    def framing(self, extract: Extract) -> Framing:
        """How an extract reads."""
        assert self._index is not None, "load() comes first"
        return framing_of(self._index["kinds"][extract.kind])

    def suffix(self, extract: Extract) -> str:
        shape = self.framing(extract).format
        return _SUFFIXES[shape or Format.JSONL]

    def copy(self, extract: Extract, sink: IO[bytes]) -> None:
        """Write an extract.

        Raises:
            SourceUnavailable: another process has replaced the cache, because the file changed.
        """
        try:
            pieces = self._pieces(extract)
            if len(extract.pieces) > 1 and self.framing(extract).format is Format.PARQUET:
                _join_parquet(pieces, sink)
            else:
                for piece in pieces:
                    sink.write(piece)
        except FileNotFoundError as error:
            raise SourceUnavailable("the file changed while its days were being exported: run again") from error

    def _pieces(self, extract: Extract) -> Iterator[bytes]:
        assert self._index is not None, "load() comes first"
        for segment, offset, length in extract.pieces:
            with self._store.open(f"{self._folder}/{self._index['segments'][segment]}") as file:
                file.seek(offset)
                yield file.read(length)

    def write(self, file: IO[bytes], framing: Framing, name: str, column: str, days: Days) -> None:
        """Read *file* once and cache the extract of every day in it.

        Raises:
            BrokenPart: the file cannot be read to its end.
            ImportFileError: no record has a day in *column*.
        """
        writer = SegmentWriter(self._store, f"{self._folder}/{self._key}-{uuid.uuid4().hex[:8]}")
        split = DaySplitter(writer, column, days)
        for inside, stream, inner in members(file, framing, name):
            with broken(inside):
                split.member(stream, inner, inside)
        split.check(name)
        index = writer.finish()
        self._store.write_bytes(f"{self._folder}/{self._key}-index.json", orjson.dumps(index))
        self._index = index
        self._tidy(index)

    def _tidy(self, index: dict[str, Any]) -> None:
        """Delete what earlier contents of the file, and runs that were killed, have left.

        Only on a local disk, where a lock keeps others from writing here at the same time.
        """
        if self._store.is_local:
            wanted = {f"{self._key}-index.json", *index["segments"]}
            for name in self._store.names(self._folder):
                if name not in wanted:
                    self._store.delete(f"{self._folder}/{name}")
            self._store.sweep(self._folder)


def _join_parquet(pieces: Iterator[bytes], sink: IO[bytes]) -> None:
    writer: pq.ParquetWriter | None = None
    for piece in pieces:
        table = pq.read_table(pa.BufferReader(piece))
        writer = writer or pq.ParquetWriter(sink, table.schema, compression="zstd")
        writer.write_table(table)
    if writer:
        writer.close()
