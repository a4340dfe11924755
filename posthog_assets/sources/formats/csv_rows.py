"""CSV, and whatever else separates values by a letter.

Belongs here: rows of text as records. Does not belong here: what a text value means (`dialects`).
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any, Final

from posthog_assets.core.errors import BrokenPart, ImportFileError
from posthog_assets.core.json_records import LONGEST_LINE
from posthog_assets.core.records import RecordChunk, Unreadable
from posthog_assets.core.threads import WhileInUse
from posthog_assets.sources.formats.framing import Framing

_CARRIAGE_RETURN: Final = "a carriage return in a value that is not in quotes"

_LONGEST_VALUE: Final = 64 << 20
#: A row that goes on for longer has no end: a quote was never closed, or the file has no line ends. Where it does end
#: cannot be found without reading it, which takes 17 times its size.
_LONGEST_ROW: Final = LONGEST_LINE
#: More separators than this before a row ends are no row; each of its values takes memory, even an empty one.
_MOST_SEPARATORS: Final = 16_000_000
#: A header of more columns is no header of an export.
_MOST_COLUMNS: Final = 100_000
#: A chunk ends after about this many values, however few rows that is.
_CHUNK_VALUES: Final = 1_000_000


def _allow_long_values() -> Callable[[], object]:
    # The limit is the process's, and others in it may count on theirs.
    before = csv.field_size_limit(_LONGEST_VALUE)
    return lambda: csv.field_size_limit(before)


_LONG_VALUES: Final = WhileInUse(_allow_long_values)

#: A chunk ends after about this many bytes, however few rows that is.
_CHUNK_BYTES: Final = 16 << 20


def read_csv(blocks: Iterator[bytes], framing: Framing, name: str, rows: int, first: int = 1) -> Iterator[RecordChunk]:
    """Yield the rows below the header as dicts of text, at most *rows* at a time.

    There is no header where *framing* names the columns. A position is the line the row starts on, the first line
    being *first*. Blank lines are no rows. A header that names a column twice, or not at all, gets telling names
    (`name (2)`, `column 3`), so that no value is lost.

    Raises:
        BrokenPart: a quoted value is never closed, a row is longer than 16 MiB, or the header is not in the file's
            encoding.
    """
    with closing(CsvRows(blocks, framing, name)) as table:
        yield from _chunks(table, rows, first)


def _chunks(table: CsvRows, rows: int, first: int) -> Iterator[RecordChunk]:
    header, width = table.header, len(table.header)
    positions: list[int] = []
    records: list[dict[str, Any] | Unreadable] = []
    full = _CHUNK_BYTES
    rows = min(rows, max(1, _CHUNK_VALUES // max(width, 1)))
    for line, row in table:
        positions.append(first + line - 1)
        if type(row) is list and len(row) == width and not table.damaged:
            records.append(dict(zip(header, row, strict=True)))
        else:
            records.append(table.record(row))
        if len(records) == rows or table.consumed > full:
            yield RecordChunk(positions, records, untyped=True)
            positions, records, full = [], [], table.consumed + _CHUNK_BYTES
    if records:
        yield RecordChunk(positions, records, untyped=True)


def count_csv(blocks: Iterator[bytes], framing: Framing, name: str) -> int:
    """Return the number of rows, the header being none."""
    with closing(CsvRows(blocks, framing, name)) as table:
        return sum(1 for _ in table)


class CsvRows:
    """Iterates over (line, row) below the header, if there is one, a row that is no CSV being `Unreadable`.

    `header` holds the column names, `header_text` is how they stand in the file; with *keep_text*, `text()` is the row
    as it stands there.
    """

    def __init__(self, blocks: Iterator[bytes], framing: Framing, name: str, *, keep_text: bool = False) -> None:
        self._name = name
        self._encoding = framing.encoding
        self._bytes = _Bytes(blocks, framing, name)
        lines: Any = _rows_of_text(_text(self._bytes, framing.encoding))
        self._kept: list[str] = []
        if keep_text:
            lines = _keeping(lines, self._kept)
        self._reader = csv.reader(
            lines, delimiter=framing.delimiter, quotechar=framing.quote or None, strict=True,
            quoting=csv.QUOTE_MINIMAL if framing.quote else csv.QUOTE_NONE,
        )  # fmt: skip
        self._rows = self._all()
        self._whose = "source.csv.columns" if framing.columns else "the header"
        try:
            self.header = list(framing.columns) or self._header()
        except BaseException:
            self.close()
            raise
        self.header_text = "" if framing.columns else self.text()

    @property
    def consumed(self) -> int:
        return self._bytes.consumed

    @property
    def damaged(self) -> bool:
        """Whether bytes were read that are not in the file's encoding."""
        return self._bytes.damaged

    def close(self) -> None:
        """End reading before the last row."""
        self._rows.close()

    def text(self) -> str:
        """Return the current row as it stands in the file, its line end included."""
        text = "".join(self._kept)
        return text if text.endswith("\n") else text + "\n"

    def record(self, row: list[str] | Unreadable) -> dict[str, str] | Unreadable:
        """Return the row as a record, or why it is none."""
        if isinstance(row, Unreadable):
            return row
        if len(row) != len(self.header):
            return Unreadable(f"wrong number of fields: {len(row)} where {self._whose} has {len(self.header)}")
        for column, value in zip(self.header, row, strict=True):
            if _undecodable(value):
                return Unreadable(f"column {column!r} is not {self._encoding} text; see source.csv.encoding"[:200])
        return dict(zip(self.header, row, strict=True))

    def __iter__(self) -> Iterator[tuple[int, list[str] | Unreadable]]:
        return self._rows

    def _all(self) -> Generator[tuple[int, list[str] | Unreadable], None, None]:
        with _LONG_VALUES:
            yield from self._each()

    def _each(self) -> Iterator[tuple[int, list[str] | Unreadable]]:
        reader, kept, raw = self._reader, self._kept, self._bytes
        line = 1
        while True:
            try:
                for row in reader:
                    if row:
                        yield line, row
                    raw.line = line = reader.line_num + 1
                    kept.clear()
                return
            except csv.Error as error:
                words = _CARRIAGE_RETURN if "new-line character seen" in str(error) else str(error)
                if "end of data" in words or "field larger" in words:
                    raise BrokenPart(
                        f"{self._name}, line {line}: a value begins with a quote that is never closed; "
                        "the rows after it cannot be told apart"
                    ) from error
                # The reader goes on with the next line.
                yield line, Unreadable(f"not CSV: {words}")
                raw.line = line = reader.line_num + 1
                kept.clear()
            except UnicodeError as error:
                words = f"{self._name} is not {self._encoding} text ({error}); see source.csv.encoding"
                raise BrokenPart(words) from error

    def _header(self) -> list[str]:
        found = next(self._rows, None)
        if found is None:
            return []
        line, row = found
        if isinstance(row, Unreadable) or any(map(_undecodable, row)):
            raise BrokenPart(
                f"{self._name}, line {line}: the header is not CSV in {self._encoding}; "
                "see source.csv.delimiter, quote and encoding"
            )
        if len(row) > _MOST_COLUMNS:
            raise BrokenPart(
                f"{self._name}, line {line}: the header has {len(row):,} columns, more than "
                f"{_MOST_COLUMNS:,}: refused; see source.csv.delimiter"
            )
        return distinct(row)


def distinct(names: list[str]) -> list[str]:
    """Return the column names with the missing and the repeated ones made tellable."""
    taken: set[str] = set()
    result = []
    for number, name in enumerate(names, 1):
        base = name or f"column {number}"
        chosen, again = base, 2
        while chosen in taken:
            chosen, again = f"{base} ({again})", again + 1
        taken.add(chosen)
        result.append(chosen)
    return result


def _undecodable(value: str) -> bool:
    if value.isascii():
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False


def _rows_of_text(lines: Iterator[str]) -> Iterator[str]:
    """Return the lines of a file as they are; where they end with CRLF, a CR alone is no end of one."""
    first = next(lines, None)
    if first is None:
        return iter(())
    return itertools.chain((first,), _joined(lines) if first.endswith("\r\n") else lines)


def _joined(lines: Iterator[str]) -> Iterator[str]:
    held: list[str] = []
    for line in lines:
        if line.endswith("\r"):
            held.append(line)
        elif held:
            yield "".join((*held, line))
            held.clear()
        else:
            yield line
    if held:
        yield "".join(held)


def _keeping(lines: Iterator[str], kept: list[str]) -> Iterator[str]:
    for line in lines:
        kept.append(line)
        yield line


def _text(raw: _Bytes, encoding: str) -> Iterator[str]:
    try:
        utf8 = codecs.lookup(encoding).name == "utf-8"
    except LookupError:
        raise ImportFileError(f"source.csv.encoding {encoding!r} is unknown; common: utf-8, cp1252, utf-16") from None
    # surrogateescape keeps bytes that are no text as lone surrogates: their row is rejected, the others go on.
    return iter(
        io.TextIOWrapper(
            io.BufferedReader(raw, 1 << 20),
            encoding="utf-8-sig" if utf8 else encoding,
            errors="surrogateescape",
            newline="",
        )
    )


class _Bytes(io.RawIOBase):
    """Blocks as a raw stream; notices the first byte that is not in the encoding, and a row that does not end.

    `line` is the line the current row begins on: what is read while it stays the same belongs to one row.
    """

    def __init__(self, blocks: Iterator[bytes], framing: Framing, name: str) -> None:
        self._blocks = blocks
        self._name = name
        self._separator = framing.delimiter.encode()
        self._block = memoryview(b"")
        self._check = codecs.getincrementaldecoder(framing.encoding)()
        self.line = self._seen = 1
        self._held = self._separators = 0
        self.consumed = 0
        self.damaged = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._block:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._verify(block)
            self._block = memoryview(block)
        count = min(len(buffer), len(self._block))
        buffer[:count] = self._block[:count]
        self._measure(self._block[:count])
        self._block = self._block[count:]
        self.consumed += count
        return count

    def _measure(self, piece: memoryview) -> None:
        """Refuse a row that goes on and on; looked at once for each piece, and not for each row."""
        if self.line != self._seen:
            self._seen, self._held, self._separators = self.line, 0, 0
        elif self._held:
            self._separators += bytes(piece).count(self._separator)
        self._held += len(piece)
        if self._held > _LONGEST_ROW or self._separators > _MOST_SEPARATORS:
            limit = f"{_LONGEST_ROW >> 20} MiB" if self._held > _LONGEST_ROW else f"{_MOST_SEPARATORS:,} values"
            raise BrokenPart(
                f"{self._name}, line {self.line}: this row does not end within {limit}: refused; either a value begins "
                "with a quote that is never closed, or the file has no line ends"
            )

    def _verify(self, block: bytes) -> None:
        if self.damaged:
            return
        try:
            self._check.decode(block)
        except UnicodeError:
            self.damaged = True
