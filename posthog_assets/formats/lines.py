"""JSON lines.

Belongs here: one JSON object per line. Does not belong here: compression.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import orjson

from posthog_assets.errors import shorten
from posthog_assets.formats.records import RecordChunk, Unreadable

#: A longer line is no record; PostHog takes none above 1 MB.
LONGEST_LINE: Final = 64 << 20

_NEWLINE: Final = 10

#: What a blank line begins with: the end of the line, a space, a tab, a carriage return.
_BLANK: Final = np.frombuffer(b"\n \t\r", dtype=np.uint8)


def text_blocks(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a stream in pieces that end between lines; an overlong line is cut to just above `LONGEST_LINE`."""
    rest: list[bytes] = []
    held = 0
    for block in blocks:
        cut = block.rfind(b"\n")
        if cut < 0:
            if held <= LONGEST_LINE:
                rest.append(block)
                held += len(block)
            continue
        rest.append(block[:cut])
        text = b"".join(rest)
        rest, held = [block[cut + 1 :]], len(block) - cut - 1
        yield text
    last = b"".join(rest)
    if last:
        yield last


def line_blocks(blocks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines of a stream, several at a time."""
    for text in text_blocks(blocks):
        yield text.split(b"\n")


def read_lines(blocks: Iterable[bytes], rows: int, first: int = 1) -> Iterator[RecordChunk]:
    """Yield the records of JSON lines, at most *rows* at a time; blank lines are none."""
    number = first
    for lines in line_blocks(blocks):
        for start in range(0, len(lines), rows):
            part = lines[start : start + rows]
            chunk = _chunk(part, number)
            number += len(part)
            if chunk.records:
                yield chunk


def _chunk(lines: list[bytes], number: int) -> RecordChunk:
    loads = orjson.loads
    try:
        records: list[Any] = [loads(line) for line in lines]
    except orjson.JSONDecodeError:
        return _chunk_with_flaws(lines, number)
    if set(map(type, records)) != {dict}:
        return _chunk_with_flaws(lines, number)
    return RecordChunk(range(number, number + len(lines)), records)


def _chunk_with_flaws(lines: list[bytes], number: int) -> RecordChunk:
    positions, records = [], []
    for position, line in enumerate(lines, number):
        if line.strip(b" \t\r"):
            positions.append(position)
            records.append(parse(line))
    return RecordChunk(positions, records)


def parse(text: bytes) -> dict[str, Any] | Unreadable:
    """Return one JSON object, or why it is none.

    Integers up to 2^64 - 1 stay exact; larger ones become floats, as they do in PostHog's own parser.
    """
    if len(text) > LONGEST_LINE:
        return Unreadable(f"longer than {LONGEST_LINE >> 20} MiB")
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return Unreadable(f"not valid JSON: {shorten(str(error))}")
    if not isinstance(record, dict):
        return Unreadable(f"not a JSON object: {shorten(type(record).__name__)}")
    return record


def count_lines(blocks: Iterable[bytes]) -> int:
    """Return how many lines are not blank."""
    return sum(_full_lines(text) for text in text_blocks(blocks))


def _full_lines(text: bytes) -> int:
    letters = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(letters == _NEWLINE)
    # A line that begins with white space may be blank; only then is a careful look needed.
    firsts = letters[np.append(0, ends + 1)] if len(text) and text[-1] != _NEWLINE else _BLANK
    if np.isin(firsts, _BLANK).any():
        return sum(1 for line in text.split(b"\n") if line.strip(b" \t\r"))
    return len(ends) + 1
