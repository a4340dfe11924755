"""One file that holds all days, split into one extract a day, once.

Belongs here: the cache of extracts below `raw_export/.split/`. Does not belong here: finding the file (`locations`),
which day a value names (`record_days`).

    raw_export/.split/<file>/<fingerprint>-index.json        which extract lies where
    raw_export/.split/<file>/<fingerprint>-<run>-0000        a segment: pieces of many days, one after the other

The file is read once, whatever the number of days. What is read is collected by day and written out as a segment
whenever it fills the memory it may take, so neither memory nor the number of files grows with the number of days.
JSON lines and CSV rows keep their text (one zstd frame per piece, and frames make a file when put in a row), Avro
records keep their bytes (blocks in a row make a file too), Parquet rows stay Parquet. Records whose day cannot be read
are an extract of their own, under "": nothing is lost.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import IO, Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import zstandard

from posthog_assets.core.errors import ImportFileError, SourceUnavailable, shorten
from posthog_assets.core.json_records import TOO_LONG, parse
from posthog_assets.core.records import Unreadable
from posthog_assets.sources.account import WITHOUT_DAY
from posthog_assets.sources.files.record_days import Days, at_path
from posthog_assets.sources.formats import Compression, Format, Framing
from posthog_assets.sources.formats.avro import AvroRecords
from posthog_assets.sources.formats.avro_container import MARK, avro_block, avro_header
from posthog_assets.sources.formats.compression import blocks, broken, members, seekable, text_blocks
from posthog_assets.sources.formats.csv_rows import CsvRows
from posthog_assets.sources.formats.framing import framing_of
from posthog_assets.sources.formats.json_array import Scanner, peek
from posthog_assets.sources.formats.json_lines import is_blank, line_blocks
from posthog_assets.sources.formats.parquet_batches import bounded_batches
from posthog_assets.sources.formats.parquet_pages import check_footer
from posthog_assets.storage.layout import SPLITS
from posthog_assets.storage.store import Store

# Arrow makes its functions when it is imported; type checkers cannot see them.
pc: Any = pyarrow.compute

#: Extracts are held in memory up to about this many bytes in all, then written out as a segment.
HELD: Final = 64 << 20
#: What Python adds to each line that is held.
_OVERHEAD: Final = 64

_SUFFIXES: Final = {
    Format.JSONL: ".jsonl.zst", Format.CSV: ".csv.zst", Format.PARQUET: ".parquet", Format.AVRO: ".avro",
}  # fmt: skip

#: Most records of an Avro block, which is read as a whole.
_BLOCK_RECORDS: Final = 1_000


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
        writer = _Writer(self._store, f"{self._folder}/{self._key}-{uuid.uuid4().hex[:8]}")
        split = _Splitter(writer, column, days)
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


class _Splitter:
    """Gives every record of the file's members to the writer, with its day."""

    def __init__(self, writer: _Writer, column: str, days: Days) -> None:
        self._writer = writer
        self._column = column
        self._days = days
        self._columns_seen: list[str] = []

    def member(self, stream: IO[bytes], framing: Framing, name: str) -> None:
        match framing.format:
            case Format.CSV:
                self._csv(stream, framing, name)
            case Format.PARQUET:
                with seekable(stream) as file:
                    self._parquet(file, name)
            case Format.AVRO:
                self._avro(stream, name)
            case _:
                self._json(text_blocks(blocks(stream, name), name), framing, name)

    def check(self, name: str) -> None:
        """Refuse a column that no record has: more likely a slip of the pen than a file of bad records."""
        if self._writer.records and self._writer.records == self._writer.counts[WITHOUT_DAY]:
            seen = shorten(", ".join(self._columns_seen)) or "no readable record"
            raise ImportFileError(
                f"source.day_column {self._column!r}: none of the {self._writer.records:,} records of {name} has a day "
                f"there; the first one's columns: {seen}"
            )

    def _json(self, stream: Iterator[bytes], framing: Framing, name: str) -> None:
        level, stream = (None, stream) if framing.format is Format.JSONL else peek(stream, name)
        kind = self._writer.kind(Framing(Format.JSONL, Compression.ZSTD))
        found = line_blocks(stream) if level is None else Scanner(name, level).scan(stream)
        for texts in found:
            for text in texts:
                if not is_blank(text):
                    # A line end inside an element is space, or an error in text; CR is so too, and makes no new line.
                    line = text.replace(b"\n", b"\r") if level is not None else text
                    self._writer.add(kind, self._day_of_json(line), line + b"\n")

    def _day_of_json(self, line: bytes) -> str:
        record = parse(line)
        if isinstance(record, Unreadable):
            return WITHOUT_DAY
        self._columns_seen = self._columns_seen or list(record)
        return self._days(at_path(record, self._column)) or WITHOUT_DAY

    def _csv(self, stream: IO[bytes], framing: Framing, name: str) -> None:
        with closing(CsvRows(blocks(stream, name), framing, name, keep_text=True)) as table:
            self._csv_rows(table, framing, name)

    def _csv_rows(self, table: CsvRows, framing: Framing, name: str) -> None:
        self._columns_seen = self._columns_seen or table.header
        if not table.header:
            return
        if self._column not in table.header:
            raise ImportFileError(
                f"source.day_column {self._column!r} is no column of {name}; it has: {shorten(', '.join(table.header))}"
            )
        place, width = table.header.index(self._column), len(table.header)
        out = replace(framing, compression=Compression.ZSTD, encoding="utf-8", unfold=None)
        kind = self._writer.kind(out, _bytes(table.header_text))
        for _, row in table:
            day = self._days(row[place]) if isinstance(row, list) and len(row) == width else None
            self._writer.add(kind, day or WITHOUT_DAY, _bytes(table.text()))

    def _parquet(self, file: IO[bytes], name: str) -> None:
        check_footer(file, name)
        schema = pq.read_schema(file)
        self._columns_seen = self._columns_seen or schema.names
        kind = self._writer.kind(Framing(Format.PARQUET), repr(schema).encode())
        for batch in bounded_batches(file, name, 50_000, HELD // 4):
            if isinstance(batch, pa.RecordBatch):
                for day, rows in self._by_day(batch):
                    self._writer.add_rows(kind, day, rows)
            else:
                # What stands for a row that is not read is no row of Parquet.
                lines = self._writer.kind(Framing(Format.JSONL, Compression.ZSTD))
                self._writer.add(lines, WITHOUT_DAY, TOO_LONG + b"\n")

    def _avro(self, stream: IO[bytes], name: str) -> None:
        records = AvroRecords(blocks(stream, name), name)
        kind = self._writer.kind(Framing(Format.AVRO), records.schema)
        for record, content in records:
            day = WITHOUT_DAY
            if isinstance(record, dict):
                self._columns_seen = self._columns_seen or list(record)
                day = self._days(at_path(record, self._column)) or WITHOUT_DAY
            self._writer.add(kind, day, content)

    def _by_day(self, batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        column = _column(batch, self._column)
        codes = column.dictionary_encode() if column is not None else None
        if codes is None or not len(codes):
            yield WITHOUT_DAY, batch
            return
        named = [self._days(value) or WITHOUT_DAY for value in codes.dictionary.to_pylist()] + [WITHOUT_DAY]
        distinct, of_value = np.unique(np.array(named), return_inverse=True)
        of_row = of_value[pc.fill_null(codes.indices, len(named) - 1).to_numpy()]
        order = np.argsort(of_row, kind="stable")
        sorted_rows = batch.take(pa.array(order))
        edges = np.searchsorted(of_row[order], np.arange(len(distinct) + 1))
        for number, day in enumerate(distinct.tolist()):
            if edges[number + 1] > edges[number]:
                yield day, sorted_rows.slice(int(edges[number]), int(edges[number + 1] - edges[number]))


def _column(batch: pa.RecordBatch, path: str) -> Any:
    """Return the column at `a.b.c`, in a form whose values are few; None where there is none."""
    names = [path] if path in batch.schema.names else path.split(".")
    if names[0] not in batch.schema.names:
        return None
    column = batch.column(batch.schema.get_field_index(names[0]))
    for name in names[1:]:
        if not pa.types.is_struct(column.type) or column.type.get_field_index(name) < 0:
            return None
        column = pc.struct_field(column, name)
    if pa.types.is_timestamp(column.type):
        # An hour is the same day everywhere (zones differ by quarters of an hour: so quarters), and hours are few.
        floored = pc.floor_temporal(column.cast(pa.timestamp("us", column.type.tz), safe=False), 15, "minute")
        return floored.cast(pa.timestamp("us", "UTC" if column.type.tz else None))
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class _Writer:
    """Collects extracts, and writes all of them out as one segment before they grow too large."""

    def __init__(self, store: Store, path: str) -> None:
        self._store = store
        self._path = path
        self._kinds: list[tuple[Framing, bytes]] = []
        self._held: dict[tuple[int, str], list[Any]] = {}
        self._size = 0
        self._segments: list[str] = []
        self._pieces: dict[tuple[int, str], list[tuple[int, int, int]]] = {}
        self._digests: dict[tuple[int, str], Any] = {}
        self._compressor = zstandard.ZstdCompressor(level=1)
        #: Records by day; `WITHOUT_DAY` is one of the days.
        self.counts: Counter[str] = Counter()

    @property
    def records(self) -> int:
        return self.counts.total()

    def kind(self, framing: Framing, head: bytes = b"") -> int:
        """Return the number of a kind of records: those that can stand in one extract, below the same header."""
        if (framing, head) not in self._kinds:
            self._kinds.append((framing, head))
        return self._kinds.index((framing, head))

    def add(self, kind: int, day: str, line: bytes) -> None:
        self._hold(kind, day, line, len(line) + _OVERHEAD, 1)

    def add_rows(self, kind: int, day: str, rows: pa.RecordBatch) -> None:
        self._hold(kind, day, rows, rows.nbytes + _OVERHEAD, rows.num_rows)

    def _hold(self, kind: int, day: str, item: Any, size: int, count: int) -> None:
        self.counts[day] += count
        self._held.setdefault((kind, day), []).append(item)
        self._size += size
        if self._size > HELD:
            self._flush()

    def _flush(self) -> None:
        if not self._held:
            return
        number, at = len(self._segments), 0
        relative = f"{self._path}-{number:04d}"
        with self._store.atomic_write(relative) as path, path.open("wb") as file:
            for (kind, day), items in sorted(self._held.items()):
                piece = self._encode(kind, day, items)
                file.write(piece)
                self._pieces.setdefault((kind, day), []).append((number, at, len(piece)))
                at += len(piece)
        self._segments.append(relative.rsplit("/", 1)[-1])
        self._held.clear()
        self._size = 0

    def _encode(self, kind: int, day: str, items: list[Any]) -> bytes:
        framing, head = self._kinds[kind]
        digest = self._digests.setdefault((kind, day), hashlib.sha256(head))
        if framing.format is Format.PARQUET:
            piece = _parquet(items)
            digest.update(piece)
            return piece
        text = b"".join(items)
        digest.update(text)
        is_first = (kind, day) not in self._pieces
        if framing.format is Format.AVRO:
            return self._avro(head, items, is_first)
        return self._compressor.compress(head + text if is_first else text)

    def _avro(self, schema: bytes, records: list[bytes], is_first: bool) -> bytes:
        # The same for all pieces of an extract, which therefore is one file.
        mark = hashlib.sha256(schema).digest()[:MARK]
        pieces = [avro_header(schema, "zstandard", mark)] if is_first else []
        for start in range(0, len(records), _BLOCK_RECORDS):
            part = records[start : start + _BLOCK_RECORDS]
            pieces.append(avro_block(len(part), self._compressor.compress(b"".join(part)), mark))
        return b"".join(pieces)

    def finish(self) -> dict[str, Any]:
        """Write what is left, and return the index."""
        self._flush()
        days: dict[str, list[Any]] = {}
        for (kind, day), pieces in sorted(self._pieces.items()):
            digest = self._digests[kind, day].hexdigest()[:32]
            days.setdefault(day, []).append((kind, digest, pieces))
        return {
            "segments": self._segments,
            "kinds": [asdict(framing) for framing, _ in self._kinds],
            "days": days,
            "records": self.records,
            "records_without_day": self.counts[WITHOUT_DAY],
            "counts": dict(sorted(self.counts.items())),
        }


def _parquet(items: list[pa.RecordBatch]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_batches(items), sink, compression="zstd")
    return sink.getvalue()
