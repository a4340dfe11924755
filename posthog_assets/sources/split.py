"""One file that holds all days, split into one extract a day, once.

Belongs here: the cache below `raw_export/.split/` and how a record's day is found. Does not belong here: finding the
file.

The file is read once, whatever the number of days. JSON lines keep their bytes, CSV rows their values below the same
header, Parquet rows stay Parquet. A record whose day cannot be read belongs to the import's first day, where it becomes
a rejected row: it is counted once and lost nowhere.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import IO, Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from posthog_assets.errors import ImportFileError
from posthog_assets.formats import Compression, Format, Framing
from posthog_assets.formats.arrays import elements
from posthog_assets.formats.lines import line_blocks, parse
from posthog_assets.formats.records import Unreadable
from posthog_assets.formats.streams import blocks, members
from posthog_assets.formats.tables import read_csv
from posthog_assets.storage import Store

#: Extracts are held in memory up to this many bytes in all, then written out as segments.
_HELD: Final = 64 << 20

_SUFFIXES: Final = {Format.JSONL: ".jsonl.zst", Format.CSV: ".csv.zst", Format.PARQUET: ".parquet"}


class DaySplit:
    """The extracts of one file. A day's extract is one or more segments, concatenated where the format allows."""

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._folder = f"raw_export/.split/{key}"
        self._index: dict[str, Any] | None = None
        if store.exists(f"{self._folder}/index.json"):
            self._index = orjson.loads(store.read_bytes(f"{self._folder}/index.json"))

    @property
    def done(self) -> bool:
        return self._index is not None

    @property
    def _content(self) -> dict[str, Any]:
        assert self._index is not None, "the split is not done"
        return self._index

    @property
    def framing(self) -> Framing:
        """How an extract reads."""
        shape = Format(self._content["format"])
        return Framing(shape, Compression.NONE if shape is Format.PARQUET else Compression.ZSTD)

    @property
    def suffix(self) -> str:
        return _SUFFIXES[Format(self._content["format"])]

    @property
    def without_day(self) -> int:
        """Records whose day could not be read."""
        return self._content["without_day"]

    def extract(self, day: date) -> Any:
        """Return a context manager that opens the day's extract; None where the file has nothing of that day."""
        segments = self._content["days"].get(day.isoformat())
        return self._opened(segments) if segments else None

    @contextmanager
    def _opened(self, segments: list[str]) -> Iterator[IO[bytes]]:
        paths = [f"{self._folder}/{name}" for name in segments]
        if len(paths) == 1:
            with self._store.open(paths[0]) as file:
                yield file
        elif self.framing.format is Format.PARQUET:
            tables = [pq.read_table(pa.BufferReader(self._store.read_bytes(path))) for path in paths]
            sink = io.BytesIO()
            pq.write_table(pa.concat_tables(tables), sink, compression="zstd")
            sink.seek(0)
            yield sink
        else:
            # Frames one after the other are one zstd file.
            yield io.BytesIO(b"".join(self._store.read_bytes(path) for path in paths))

    def write(self, name: str, content: bytes) -> None:
        self._store.write_bytes(f"{self._folder}/{name}", content)

    def finish(self, shape: Format, days: dict[str, list[str]], without_day: int) -> None:
        """Write the index, which makes the split count."""
        self._index = {"format": shape.value, "days": days, "without_day": without_day}
        self.write("index.json", orjson.dumps(self._index, option=orjson.OPT_INDENT_2))


def split_by_day(split: DaySplit, file: IO[bytes], framing: Framing, name: str, column: str, first_day: date) -> None:
    """Read *file* once and write the extract of every day found in it.

    Raises:
        BrokenPart: the file cannot be read to its end.
    """
    writer = _Writer(split, first_day)
    for inside, stream, inner in members(file, framing, name):
        _check_same_format(writer, inner, inside)
        match inner.format:
            case Format.JSONL:
                for lines in line_blocks(blocks(stream, inside)):
                    for line in lines:
                        if line.strip(b" \t\r"):
                            writer.add(_day_of_json(line, column), line + b"\n")
            case Format.JSON:
                for element in elements(blocks(stream, inside), inside):
                    flat = element.replace(b"\r", b" ").replace(b"\n", b" ")
                    writer.add(_day_of_json(flat, column), flat + b"\n")
            case Format.CSV:
                _split_csv(writer, stream, inner, inside, column)
            case Format.PARQUET:
                _split_parquet(writer, stream, column)
    writer.finish()


def _check_same_format(writer: _Writer, framing: Framing, name: str) -> None:
    shape = Format.JSONL if framing.format is Format.JSON else framing.format
    if writer.shape not in (None, shape):
        raise ImportFileError(f"{name}: files of different formats in one archive cannot be split by day")
    writer.shape = shape


def _split_csv(writer: _Writer, stream: IO[bytes], framing: Framing, name: str, column: str) -> None:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")

    def line(values: list[Any]) -> bytes:
        text.seek(0)
        text.truncate()
        rows.writerow(values)
        return text.getvalue().encode("utf-8", "surrogateescape")

    for chunk in read_csv(stream, framing, name, 5_000):
        for record in chunk.records:
            if isinstance(record, Unreadable):
                # A row with another number of fields stays one: it is rejected where it is read.
                writer.add(None, line([f"unreadable row: {record.reason}"] + [""] * len(writer.header_fields)))
                continue
            if not writer.header:
                writer.header_fields = list(record)
                writer.header = line(writer.header_fields)
            writer.add(read_day(record.get(column)), line(list(record.values())))


def _split_parquet(writer: _Writer, stream: IO[bytes], column: str) -> None:
    reader = pq.ParquetFile(stream)
    for batch in reader.iter_batches(batch_size=20_000):
        values = batch.column(batch.schema.get_field_index(column)).to_pylist() if column in batch.schema.names else []
        days = [read_day(value) for value in values] or [None] * batch.num_rows
        for day in dict.fromkeys(days):
            mask = pa.array([other == day for other in days])
            writer.add_rows(day, batch.filter(mask))


def _day_of_json(line: bytes, column: str) -> date | None:
    record = parse(line)
    if isinstance(record, Unreadable):
        return None
    value: Any = record.get(column)
    if value is None and "." in column:
        value = record
        for key in column.split("."):
            value = value.get(key) if isinstance(value, dict) else None
    return read_day(value)


def read_day(value: Any) -> date | None:
    """Return the UTC day a value names: ISO 8601 text, a date or datetime, or an epoch in s, ms, µs or ns."""
    match value:
        case datetime():
            return (value.astimezone(UTC) if value.tzinfo else value).date()
        case date():
            return value
        case bool() | None:
            return None
        case int() | float():
            return _epoch_day(float(value))
        case str():
            return _text_day(value.strip())
    return None


def _text_day(text: str) -> date | None:
    try:
        # Most are ISO 8601 in UTC or without a zone.
        if text[-1:] in ("Z", "z") or len(text) == 10:
            return date.fromisoformat(text[:10])
        return read_day(datetime.fromisoformat(text))
    except ValueError:
        pass
    try:
        return _epoch_day(float(text))
    except ValueError:
        return None


def _epoch_day(value: float) -> date | None:
    for limit, unit in ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (1e20, 1e9)):
        if abs(value) < limit:
            try:
                return datetime.fromtimestamp(value / unit, UTC).date()
            except (OverflowError, OSError, ValueError):
                return None
    return None


class _Writer:
    """Collects extracts and writes them out before they grow too large."""

    def __init__(self, split: DaySplit, first_day: date) -> None:
        self._split = split
        self._first_day = first_day
        self._held: dict[date, list[Any]] = {}
        self._size = 0
        self._segments: dict[str, list[str]] = {}
        self._without_day = 0
        self._compressor = zstandard.ZstdCompressor(level=1)
        self.shape: Format | None = None
        self.header = b""
        self.header_fields: list[str] = []

    def add(self, day: date | None, line: bytes) -> None:
        self._hold(day, line, len(line), 1)

    def add_rows(self, day: date | None, rows: pa.RecordBatch) -> None:
        self._hold(day, rows, rows.nbytes, rows.num_rows)

    def _hold(self, day: date | None, item: Any, size: int, count: int) -> None:
        if day is None:
            self._without_day += count
            day = self._first_day
        self._held.setdefault(day, []).append(item)
        self._size += size
        if self._size > _HELD:
            self._flush()

    def _flush(self) -> None:
        encode: Callable[[list[Any], bool], bytes] = _parquet if self.shape is Format.PARQUET else self._text
        for day, items in sorted(self._held.items()):
            names = self._segments.setdefault(day.isoformat(), [])
            name = f"{day.isoformat()}-{len(names):04d}"
            self._split.write(name, encode(items, not names))
            names.append(name)
        self._held.clear()
        self._size = 0

    def _text(self, items: list[bytes], first: bool) -> bytes:
        head = self.header if first else b""
        return self._compressor.compress(head + b"".join(items))

    def finish(self) -> None:
        self._flush()
        self._split.finish(self.shape or Format.JSONL, self._segments, self._without_day)


def _parquet(items: list[pa.RecordBatch], first: bool) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_batches(items), sink, compression="zstd")
    return sink.getvalue()
