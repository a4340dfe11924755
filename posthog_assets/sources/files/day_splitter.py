"""Reading a file once, and giving each of its records the day that it names.

Belongs here: each format as far as a day needs it, so that records stay what they are in the file. Does not belong
here: which day a value names (`record_days`), where records are collected by day (`segments`).

JSON lines and CSV rows keep their text, Avro records keep their bytes, Parquet rows stay Parquet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from posthog_assets.core.errors import ImportFileError, shorten
from posthog_assets.core.json_records import TOO_LONG, parse
from posthog_assets.core.records import Unreadable
from posthog_assets.sources.account import WITHOUT_DAY
from posthog_assets.sources.files.record_days import Days, at_path
from posthog_assets.sources.files.segments import SegmentWriter
from posthog_assets.sources.formats import Compression, Format, Framing
from posthog_assets.sources.formats.avro import AvroRecords
from posthog_assets.sources.formats.compression import blocks, seekable, text_blocks
from posthog_assets.sources.formats.csv_rows import CsvRows
from posthog_assets.sources.formats.json_array import Scanner, peek
from posthog_assets.sources.formats.json_lines import is_blank, line_blocks
from posthog_assets.sources.formats.parquet_batches import bounded_batches
from posthog_assets.sources.formats.parquet_pages import check_footer

# Arrow makes its functions when it is imported; type checkers cannot see them.
pc: Any = pyarrow.compute


class DaySplitter:
    """Gives every record of the file's members to the writer, with its day."""

    def __init__(self, writer: SegmentWriter, column: str, days: Days) -> None:
        self._writer = writer
        self._column = column
        self._days = days
        self._columns_seen: list[str] = []

    def member(self, stream: IO[bytes], framing: Framing, name: str) -> None:
        """Read one member, which is the file itself unless it is an archive of several."""
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
        for batch in bounded_batches(file, name, 50_000, self._writer.held // 4):
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
