"""What a Parquet file would take to read, found without reading its values.

Belongs here: the footer's length and the headers of pages. Does not belong here: values (`parquet`).

The footer says how many bytes a row group unpacks to, but a reader unpacks what the header of each page says, which may
be 2 GiB of 50 KB. The headers stand between the pages: Thrift structs in the compact protocol.
https://parquet.apache.org/docs/file-format/data-pages/ and
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from posthog_assets.core.errors import BrokenPart
from posthog_assets.core.json_records import LONGEST_LINE

#: A footer becomes objects of some ten times its size.
_LONGEST_FOOTER: Final = 32 << 20
#: All columns of a row group are read together, and of each one page at a time: their largest pages take this much at
#: most, and one of them this much. Writers end a page after 1 MiB, DuckDB after 100 MB.
_LARGEST_PAGES: Final = 256 << 20
_LARGEST_PAGE: Final = 104 << 20
#: Reading a value of a page may take four times the page. Of a larger page it is found out first how long they are.
_LOOKED_INTO: Final = 64 << 20
#: A page of distinct values is unpacked, read, and read once more to see how long they are. Writers end it after 1 MiB.
_LARGEST_DICTIONARY: Final = 48 << 20
#: A list may lie in one row, whatever the average is; so many members are read at once in the worst case.
_MOST_MEMBERS: Final = 50_000_000
#: As Arrow has it: statistics in the header hold a smallest and a largest value.
_LONGEST_HEADER: Final = 16 << 20
#: Most headers end within this.
_HEADER: Final = 256
_DICTIONARY: Final = 2
#: Encodings of values: plain, and those that hold numbers of distinct values.
_PLAIN: Final = 0
_OF_NUMBERS: Final = frozenset({2, 8})
#: Codecs whose name in a footer is none that Arrow knows.
_CODECS: Final = {"LZ4": "lz4_raw"}
_LENGTH: Final = struct.Struct("<I")

#: A reader goes this far beyond a chunk, whose length old writers gave without the header of a page.
_BEYOND: Final = 100


@dataclass(slots=True)
class Chunk:
    """One column of one row group: the path of the column, and what its pages hold."""

    path: str
    rows: int
    values: int
    is_repeated: bool
    #: Whether a value may be stored as what it does not share with the one before: each may be as long as the page.
    shares_beginnings: bool = False
    bytes: int = 0
    #: Bytes of the largest page, and of the page of distinct values, unpacked.
    largest: int = 0
    dictionary: int = 0
    #: The fewest values of one of its pages that are large enough to hold a row which is too large by itself.
    fewest: int = 0
    #: The most bytes a value of one of its pages takes, on the average of that page.
    densest: float = 0.0
    #: Bytes of the longest value of the pages that were looked into.
    longest: int = 0


def check_footer(file: IO[bytes], name: str) -> None:
    """Refuse a file whose footer would fill the memory; one that has none is found out by whoever reads it."""
    if file.seek(0, io.SEEK_END) < 8:
        return
    file.seek(-8, io.SEEK_END)
    length = int.from_bytes(file.read(4), "little")
    if length > _LONGEST_FOOTER and file.read(4) == b"PAR1":
        raise BrokenPart(f"{name}: its footer is {length:,} bytes long, more than {_LONGEST_FOOTER >> 20} MiB: refused")


def measured(file: IO[bytes], metadata: pq.FileMetaData, name: str) -> list[list[Chunk]]:
    """Return the chunks of each row group; raises BrokenPart where pages or lists are larger than can be read."""
    groups = []
    for number in range(metadata.num_row_groups):
        chunks = list(_chunks(file, metadata.row_group(number), metadata.schema, name))
        pages = largest_pages(chunks)
        widest = max(chunks, key=lambda chunk: chunk.largest, default=None)
        if widest and pages > _LARGEST_PAGES:
            raise BrokenPart(
                f"{name}: the pages of row group {number} unpack to {pages:,} bytes together (one of column "
                f"{widest.path!r} to {widest.largest:,}), more than {_LARGEST_PAGES >> 20} MiB: refused; write it with "
                "smaller row groups"
            )
        if widest and widest.largest > _LARGEST_PAGE:
            raise BrokenPart(
                f"{name}: a page of column {widest.path!r} in row group {number} unpacks to {widest.largest:,} bytes, "
                f"more than {_LARGEST_PAGE >> 20} MiB: refused; write it with smaller pages"
            )
        groups.append(chunks)
    return groups


def largest_pages(chunks: list[Chunk]) -> int:
    """Return the bytes that the largest page of each column take together; small ones do not count."""
    return sum(chunk.largest for chunk in chunks if chunk.largest > _LARGEST_PAGES >> 8)


def _chunks(file: IO[bytes], group: Any, schema: Any, name: str) -> Iterator[Chunk]:
    for index in range(group.num_columns):
        column = group.column(index)
        is_repeated = schema.column(index).max_repetition_level > 0
        shares = "DELTA_BYTE_ARRAY" in column.encodings
        chunk = Chunk(column.path_in_schema, group.num_rows, column.num_values, is_repeated, shares)
        if is_repeated and chunk.values > _MOST_MEMBERS:
            raise BrokenPart(
                f"{name}: a row group has {chunk.values:,} members in the lists of column {chunk.path!r}, more than "
                f"{_MOST_MEMBERS:,}: refused; write it with smaller row groups"
            )
        _walk(file, column, chunk, name, schema.column(index))
        chunk.bytes = max(chunk.bytes, column.total_uncompressed_size)
        yield chunk


def _walk(file: IO[bytes], column: Any, chunk: Chunk, name: str, levels: Any) -> None:
    """Go from header to header, as a reader does, until all values were seen."""
    at = column.data_page_offset
    if column.has_dictionary_page and 0 < column.dictionary_page_offset < at:
        at = column.dictionary_page_offset
    end, seen = at + column.total_compressed_size + _BEYOND, 0
    while seen < chunk.values and at < end:
        header, length = _header(file, at, name)
        kind, size, packed = (int(header.get(number, 0)) for number in (1, 2, 3))
        if size < 0 or packed < 0:
            raise BrokenPart(f"{name}: a page of column {chunk.path!r} has a length below zero")
        # Fields 5, 7 and 8 are the three kinds of pages that hold values; the first field of each counts them.
        body = header.get(5) or header.get(7) or header.get(8) or {}
        count = int(body.get(1, 0)) if isinstance(body, dict) else 0
        chunk.largest = max(chunk.largest, size)
        chunk.bytes += size
        if kind == _DICTIONARY:
            chunk.dictionary = size
            if size > _LARGEST_DICTIONARY:
                raise BrokenPart(
                    f"{name}: the distinct values of column {chunk.path!r} unpack to {size:,} bytes, more than "
                    f"{_LARGEST_DICTIONARY >> 20} MiB: refused; write it with smaller row groups"
                )
        elif count > 0:
            seen += count
            chunk.densest = max(chunk.densest, size / count)
            if size > LONGEST_LINE:
                chunk.fewest = min(chunk.fewest or count, count)
            if _LOOKED_INTO < size <= _LARGEST_PAGE and column.physical_type == "BYTE_ARRAY":
                file.seek(at + length)
                _look_into(file.read(packed), size, header, column, levels, chunk, name)
        at += length + packed


def _look_into(
    packed: bytes, size: int, header: dict[int, Any], column: Any, levels: Any, chunk: Chunk, name: str
) -> None:
    """Find the longest value of a page; raises BrokenPart where it is longer than a record may be.

    https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift, `DataPageHeader` and `V2`.
    """
    body = header.get(5) or header.get(8) or {}
    is_second = 5 not in header
    if (encoding := int(body.get(4 if is_second else 2, 0))) in _OF_NUMBERS:
        return
    if encoding != _PLAIN:
        raise BrokenPart(
            f"{name}: a page of column {chunk.path!r} unpacks to {size:,} bytes, of an encoding that is read up to "
            f"{_LOOKED_INTO >> 20} MiB: refused; write it with smaller pages"
        )
    # Levels stand before the values: where null is, and where lists begin.
    before = int(body.get(5, 0)) + int(body.get(6, 0)) if is_second else 0
    if column.compression == "UNCOMPRESSED" or (is_second and body.get(7) is False):
        page, at = packed, before
    else:
        codec = _CODECS.get(column.compression, column.compression.lower())
        page, at = pa.decompress(packed[before:], size - before, codec, asbytes=True), 0
    if not is_second:
        for _ in range((levels.max_repetition_level > 0) + (levels.max_definition_level > 0)):
            at += 4 + int.from_bytes(page[at : at + 4], "little")
    longest, end, length_at = 0, len(page) - 4, _LENGTH.unpack_from
    while at <= end:
        (length,) = length_at(page, at)
        if length > longest:
            longest = length
        at += 4 + length
    chunk.longest = max(chunk.longest, longest)
    if longest > LONGEST_LINE:
        raise BrokenPart(
            f"{name}: a value of column {chunk.path!r} has {longest:,} bytes, in a page of {size:,} bytes: refused; no "
            "event holds more than 1 MB, so leave such values out"
        )


def _header(file: IO[bytes], at: int, name: str) -> tuple[dict[int, Any], int]:
    """Return the fields of the page header at *at*, and how long it is."""
    wanted = _HEADER
    while True:
        file.seek(at)
        text = file.read(wanted)
        try:
            thrift = _Compact(text)
            return thrift.struct(), thrift.at
        except IndexError:
            if len(text) < wanted or wanted >= _LONGEST_HEADER:
                raise BrokenPart(f"{name} cannot be read as Parquet: a page at byte {at:,} has no header") from None
            wanted *= 16


class _Compact:
    """Reads one Thrift struct; raises IndexError where the text ends before it does, or it is none."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self.at = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) & 0x0F:
            number = number + (head >> 4) if head >> 4 else self._signed()
            fields[number] = self._value(head & 0x0F, depth + 1)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if depth > 16:
            raise IndexError
        match kind:
            case 1 | 2:
                return kind == 1
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._signed()
            case 7:
                return self._skip(8)
            case 8:
                return self._skip(self._unsigned())
            case 9 | 10:
                return self._list(depth)
            case 12:
                return self.struct(depth)
        raise IndexError

    def _list(self, depth: int) -> None:
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._unsigned()
        for _ in range(count):
            # Booleans take a byte each in lists, as bytes do.
            self._value(max(head & 0x0F, 3), depth + 1)

    def _skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self._text):
            raise IndexError

    def _byte(self) -> int:
        self.at += 1
        return self._text[self.at - 1]

    def _unsigned(self) -> int:
        found = shift = 0
        while (byte := self._byte()) & 0x80:
            found |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63:
                raise IndexError
        return found | byte << shift

    def _signed(self) -> int:
        found = self._unsigned()
        return (found >> 1) ^ -(found & 1)
