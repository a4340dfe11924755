"""How records are framed in a file: JSON lines, JSON array, CSV, Parquet; plain or compressed.

Belongs here: turning the bytes of one part into records with their place, and counting them. Does not
belong here: where the bytes come from (`sources`) or what the records mean (`dialects`).
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from typing import IO

from posthog_assets.formats.arrays import count_elements, read_array
from posthog_assets.formats.framing import Compression, Format, Framing, detect
from posthog_assets.formats.lines import count_lines, read_lines
from posthog_assets.formats.records import RecordChunk, Unreadable
from posthog_assets.formats.streams import BLOCK, blocks, broken, members
from posthog_assets.formats.tables import count_csv, count_parquet, read_csv, read_parquet

__all__ = [
    "Compression", "Format", "Framing", "RecordChunk", "Unreadable", "count_records", "detect", "read_records",
]  # fmt: skip


def read_records(file: IO[bytes], framing: Framing, name: str, rows: int = 500) -> Iterator[RecordChunk]:
    """Yield every record of an open part, good or not, at most *rows* at a time.

    Positions count on through the members of a zip. Chunks are small so that their records stay in the
    processor's cache until they are written out again.

    Raises:
        BrokenPart: the part cannot be read to its end; the records before the break were yielded.
    """
    first = 1
    for inside, stream, inner in members(file, framing, name):
        last = first - 1
        with broken(inside):
            for chunk in _read(stream, inner, inside, rows, first):
                yield chunk
                last = chunk.positions[-1]
        first = last + 1


def _read(stream: IO[bytes], framing: Framing, name: str, rows: int, first: int) -> Iterator[RecordChunk]:
    match framing.format:
        case Format.JSONL:
            yield from read_lines(blocks(stream, name), rows, first)
        case Format.JSON:
            yield from read_array(blocks(stream, name), name, rows, first)
        case Format.CSV:
            yield from read_csv(stream, framing, name, rows, first)
        case Format.PARQUET:
            with _seekable(stream) as file:
                yield from read_parquet(file, name, rows, first)


def count_records(file: IO[bytes], framing: Framing, name: str) -> int:
    """Return how many records `read_records` yields, found without parsing them; raises BrokenPart alike."""
    total = 0
    for inside, stream, inner in members(file, framing, name):
        with broken(inside):
            match inner.format:
                case Format.JSONL:
                    total += count_lines(blocks(stream, inside))
                case Format.JSON:
                    total += count_elements(blocks(stream, inside), inside)
                case Format.CSV:
                    total += count_csv(stream, inner, inside)
                case Format.PARQUET:
                    with _seekable(stream) as seekable:
                        total += count_parquet(seekable, inside)
    return total


def _seekable(stream: IO[bytes]) -> IO[bytes]:
    """Return *stream*, or a copy on disk where Parquet could not jump about in it."""
    if isinstance(stream, io.IOBase) and type(stream) is not io.BufferedIOBase and _can_seek(stream):
        return stream
    copy = tempfile.TemporaryFile()  # noqa: SIM115
    while block := stream.read(BLOCK):
        copy.write(block)
    copy.seek(0)
    return copy


def _can_seek(stream: io.IOBase) -> bool:
    import zipfile

    from isal import igzip

    return stream.seekable() and not isinstance(stream, igzip.IGzipFile | zipfile.ZipExtFile)
