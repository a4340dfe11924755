"""Reading a batch file that differs from one that was read before in its values only: without Parquet's help.

Belongs here: which bytes of a batch file are values, and taking them. Does not belong here: what a batch file says
(`batch_files`).

What Parquet does for a file of twenty events takes ten times as long as copying its values, and most batches of a day
have the same number of events and the same verdicts. Where all of a file but the uuids, the two hashes and the facts
is byte for byte what it was in another one - the headers of the pages, the verdicts, PostHog's words, the footer - its
values stand where they stood there.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

#: Of so many files it is remembered how they look; days of batches that are all different gain nothing from more.
_MOST: Final = 256

#: Most bytes of a file that are no values: where PostHog said something else of each event no other file is like it.
_MOST_BYTES: Final = 16 << 10

#: Columns whose values have one width, and stand as they are; the others have what few files differ in.
_PLAIN: Final = {"uuid": (pa.binary(16), 16), "content_hash": (pa.uint64(), 8), "key_hash": (pa.uint64(), 8)}


def _key(name: bytes) -> bytes:
    """Return how a name begins a pair of the footer (Thrift's compact protocol, as all of it)."""
    return b"\x18" + bytes([len(name)]) + name + b"\x18"


class Layouts:
    """What batch files that were read look like, apart from their values."""

    def __init__(self, facts: bytes, digest: bytes) -> None:
        """Know the names by which a footer has the facts, and their digest of 16 letters."""
        self._names = facts, digest
        self._facts = _key(facts)
        self._digest = _key(digest) + b"\x10"
        # Has the facts once more, and is not looked at: `batch_files` reads without it.
        self._arrow_schema = _key(b"ARROW:schema")
        #: By the footer before the facts, which has the places and sizes of all columns: where their values begin, end.
        self._places: dict[bytes, list[tuple[int, int]]] = {}
        #: By all that is no value: the columns that are the same in each of these files.
        self._others: dict[tuple[bytes, ...], list[pa.Array]] = {}

    def read(self, content: bytes) -> tuple[dict[bytes, bytes], pa.Table] | None:
        """Return the facts in a file, with their digest, and its rows; None where no file like it was learned."""
        if (parts := self._split(content)) is None:
            return None
        before, after, noted = parts
        if (places := self._places.get(before)) is None:
            return None
        if (others := self._others.get(_all_but(content, places, before, after))) is None:
            return None
        values = [
            pa.Array.from_buffers(kind, (end - start) // width, [None, pa.py_buffer(content[start:end])])
            for (kind, width), (start, end) in zip(_PLAIN.values(), places, strict=True)
        ]
        return noted, pa.Table.from_arrays([*values, *others], names=[*_PLAIN, "verdict", "detail"])

    def learn(self, content: bytes, metadata: pq.FileMetaData, table: pa.Table) -> None:
        """Remember how a file looks whose rows Parquet read as *table*, where its values stand as they are."""
        if len(self._others) >= _MOST or metadata.num_row_groups != 1 or (parts := self._split(content)) is None:
            return
        before, after, _ = parts
        places = []
        for number, (name, (_, width)) in enumerate(_PLAIN.items()):
            column, size = metadata.row_group(0).column(number), table.num_rows * width
            end = column.data_page_offset + column.total_compressed_size
            if column.path_in_schema != name or content[end - size : end] != _bytes_of(table[name], width):
                return
            places.append((end - size, end))
        if len(content) - sum(end - start for start, end in places) > _MOST_BYTES:
            return
        self._places[before] = places
        self._others[_all_but(content, places, before, after)] = [
            table[name].combine_chunks() for name in ("verdict", "detail")
        ]

    def _split(self, content: bytes) -> tuple[bytes, bytes, dict[bytes, bytes]] | None:
        """Return the footer before and after the facts, without their digest; and these two."""
        footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
        if footer < 0 or (at := content.find(self._facts, footer)) < 0:
            return None
        start, length = _number(content, at + len(self._facts))
        noted, after = {self._names[0]: content[start : start + length]}, content[start + length : -8] + content[-4:]
        if (at_schema := after.find(self._arrow_schema)) >= 0:
            begin, length = _number(after, at_schema + len(self._arrow_schema))
            after = after[:at_schema] + after[begin + length :]
        if (at_digest := after.find(self._digest)) >= 0:
            begin = at_digest + len(self._digest)
            noted[self._names[1]] = after[begin : begin + 16]
            after = after[:begin] + after[begin + 16 :]
        # The length of what comes before the footer is that of the same columns.
        return content[footer : at + len(self._facts)] + footer.to_bytes(8, "little"), after, noted


def _all_but(content: bytes, places: list[tuple[int, int]], before: bytes, after: bytes) -> tuple[bytes, ...]:
    """Return all of a file but the values at *places* and what the footer has between *before* and *after*."""
    footer = int.from_bytes(before[-8:], "little")
    starts, ends = [0, *(end for _, end in places)], [*(start for start, _ in places), footer]
    return before, *(content[start:end] for start, end in zip(starts, ends, strict=True)), after


def _number(content: bytes, at: int) -> tuple[int, int]:
    """Return the place after a number of Thrift, and the number."""
    value = shift = 0
    for place in range(at, min(at + 5, len(content))):
        value |= (content[place] & 0x7F) << shift
        if content[place] < 0x80:
            return place + 1, value
        shift += 7
    return len(content), 0


def _bytes_of(column: pa.ChunkedArray, width: int) -> bytes:
    whole = column.combine_chunks()
    return whole.buffers()[1].slice(whole.offset * width, len(whole) * width).to_pybytes() if len(whole) else b""
