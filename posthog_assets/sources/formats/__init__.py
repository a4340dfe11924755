"""How records are framed in a file: JSON lines, JSON array, CSV, Parquet, Avro; plain or compressed.

Belongs here: turning the bytes of one part into records with their place, and counting them. Does not
belong here: where the bytes come from (`sources`) or what the records mean (`dialects`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from posthog_assets.core.json_text import load
from posthog_assets.core.records import RecordChunk, Unreadable
from posthog_assets.sources.formats import json_lines as lines
from posthog_assets.sources.formats.avro import count_avro, read_avro
from posthog_assets.sources.formats.compression import (
    BLOCK,
    blocks,
    blocks_here,
    broken,
    members,
    seekable,
    text_blocks,
)
from posthog_assets.sources.formats.csv_rows import count_csv, read_csv
from posthog_assets.sources.formats.framing import SUFFIXES, Compression, Format, Framing, detect
from posthog_assets.sources.formats.json_array import count_json, is_whole_object, read_json
from posthog_assets.sources.formats.json_lines import Lines, count_lines, read_lines, unread_lines
from posthog_assets.sources.formats.parquet import count_parquet, read_parquet
from posthog_assets.sources.formats.selected import read_selected
from posthog_assets.sources.formats.unfold import unfolded

__all__ = [
    "SUFFIXES", "Compression", "Format", "Framing", "Lines", "RecordChunk", "Unreadable", "count_records", "detect",
    "is_whole_object", "last_line", "load", "read_lazily", "read_records",
]  # fmt: skip


def read_records(file: IO[bytes], framing: Framing, name: str, rows: int = 500) -> Iterator[RecordChunk]:
    """Yield every record of an open part, good or not, at most *rows* (and some 16 MiB) at a time.

    Positions count on through the members of a zip. Chunks are small so that their records stay in the processor's
    caches until they are written out again. *file* is read from where it stands and left open. The caller
    may disable the garbage collector around the loop: records are trees.

    Raises:
        BrokenPart: the part cannot be read to its end; the records before the break were yielded.
    """
    for item in read_lazily(file, framing, name, BLOCK, rows):
        if isinstance(item, Lines):
            yield from item.chunks(rows)
        else:
            yield item


def read_lazily(
    file: IO[bytes], framing: Framing, name: str, size: int, rows: int = 500
) -> Iterator[Lines | RecordChunk]:
    """Yield what `read_records` does, but JSON lines unread, about *size* bytes at a time; raises the same errors."""
    first = 1
    for inside, stream, inner in members(file, framing, name):
        last = first - 1
        with broken(inside):
            if inner.format is Format.JSONL and not inner.unfold:
                for lines in unread_lines(text_blocks(blocks(stream, inside, size), inside), first):
                    last = lines.last_record() or last
                    yield lines
            else:
                for chunk in _read(stream, inner, inside, rows, first):
                    last = chunk.positions[-1]
                    yield chunk
        first = last + 1


def _read(stream: IO[bytes], framing: Framing, name: str, rows: int, first: int) -> Iterator[RecordChunk]:
    chunks = _records(stream, framing, name, rows, first)
    yield from unfolded(chunks, framing.unfold, rows) if framing.unfold else chunks


def _records(stream: IO[bytes], framing: Framing, name: str, rows: int, first: int) -> Iterator[RecordChunk]:
    match framing.format:
        case Format.CSV:
            yield from read_csv(blocks(stream, name), framing, name, rows, first)
        case Format.PARQUET:
            with seekable(stream) as file:
                yield from read_parquet(file, name, rows, first)
        case Format.AVRO:
            yield from read_avro(blocks(stream, name), name, rows, first)
        case Format.JSON if framing.select is not None:
            yield from read_selected(blocks(stream, name), framing, name, rows, first)
        case Format.JSON:
            yield from read_json(text_blocks(blocks(stream, name), name), name, rows, first)
        case _:
            yield from read_lines(text_blocks(blocks(stream, name), name), rows, first)


def count_records(file: IO[bytes], framing: Framing, name: str) -> int:
    """Return how many records `read_records` yields; raises the same BrokenPart.

    Found without parsing them, unless they are to be unfolded.
    """
    total = 0
    for inside, stream, inner in members(file, framing, name):
        with broken(inside):
            total += _count(stream, inner, inside)
    return total


def _count(stream: IO[bytes], framing: Framing, name: str) -> int:
    if framing.unfold or framing.select is not None:
        return sum(len(chunk.records) for chunk in _read(stream, framing, name, 500, 1))
    match framing.format:
        case Format.CSV:
            return count_csv(blocks(stream, name), framing, name)
        case Format.PARQUET:
            with seekable(stream) as file:
                return count_parquet(file, name)
        case Format.AVRO:
            return count_avro(blocks(stream, name), name)
        case Format.JSON:
            return count_json(text_blocks(blocks(stream, name), name), name)
        case _:
            return count_lines(text_blocks(blocks_here(stream, name), name))


def last_line(file: IO[bytes], framing: Framing, name: str) -> bytes:
    """Return the last line of text of an open part that is not blank, empty where there is none; raises BrokenPart."""
    found = b""
    for inside, stream, _ in members(file, framing, name):
        with broken(inside):
            found = lines.last_line(blocks(stream, inside)) or found
    return found
