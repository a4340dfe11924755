"""JSON lines.

Belongs here: one JSON object per line. Does not belong here: compression.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from posthog_assets.core.json_records import (
    FEW_VALUES_BELOW,
    LONGEST_LINE,
    TOO_LONG,
    TOO_MANY,
    Unparsed,
    has_too_many_values,
)
from posthog_assets.core.json_text import may_hold_long_numbers
from posthog_assets.core.records import RecordChunk

_SPACE: Final = b" \t\r"


_LINE_END: Final = ord("\n")


_MAY_BE_BLANK: Final = np.zeros(256, bool)


_MAY_BE_BLANK[list(b"\n\r \t")] = True


def whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a stream in pieces that end where a line does, without its \\n; `TOO_LONG` stands for an overlong one."""
    rest: list[bytes] = []
    held = 0
    for block in blocks:
        cut = block.rfind(b"\n")
        if cut < 0:
            held += len(block)
            # Of an overlong line nothing needs to be kept but that it was one.
            if held <= LONGEST_LINE:
                rest.append(block)
            else:
                rest.clear()
            continue
        first = block.find(b"\n")
        if held + first > LONGEST_LINE:
            yield TOO_LONG + block[first:cut]
        else:
            yield b"".join((*rest, memoryview(block)[:cut]))
        rest, held = [block[cut + 1 :]], len(block) - cut - 1
    if held:
        yield b"".join(rest) if held <= LONGEST_LINE else TOO_LONG


def line_blocks(blocks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines of a stream, split at \\n only, several at a time; `TOO_LONG` stands for an overlong one."""
    for piece in whole_lines(blocks):
        yield piece.split(b"\n")


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines of a part, not read yet; the first of them is line *first*, counted from 1."""

    first: int
    text: bytes

    def chunks(self, rows: int) -> Iterator[RecordChunk]:
        """Yield the records, at most *rows* at a time; blank lines are none."""
        # Finds line ends several times as fast as `split` does, and leaves them on.
        lines = io.BytesIO(self.text).readlines()
        for start in range(0, len(lines), rows):
            chunk = unparsed(lines[start : start + rows] if len(lines) > rows else lines, self.first + start)
            if len(chunk.records):
                yield chunk

    def last_record(self) -> int | None:
        """Return the number of the last line that is not blank."""
        text = self.text.rstrip(b"\n" + _SPACE)
        return self.first + _line_ends(text) if text else None


def unread_lines(blocks: Iterable[bytes], first: int = 1) -> Iterator[Lines]:
    """Yield the lines of a stream as they are."""
    for text in whole_lines(blocks):
        yield Lines(first, text)
        first += _line_ends(text) + 1


def _line_ends(text: bytes) -> int:
    # Ten times as fast as `count`.
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == _LINE_END))


def read_lines(blocks: Iterable[bytes], rows: int, first: int = 1) -> Iterator[RecordChunk]:
    """Yield the records of JSON lines, at most *rows* at a time; blank lines are none."""
    for lines in unread_lines(blocks, first):
        yield from lines.chunks(rows)


def unparsed(texts: list[bytes], number: int) -> RecordChunk:
    """Return the records of consecutive texts, the first of which is at position *number*; blank ones are none."""
    positions: Sequence[int] = range(number, number + len(texts))
    if not all(text[:1] == b"{" for text in texts):
        full = [place for place in zip(positions, texts, strict=True) if not is_blank(place[1].removesuffix(b"\n"))]
        positions, texts = [position for position, _ in full], [text for _, text in full]
    together = b"".join(texts)
    if len(together) >= FEW_VALUES_BELOW:
        texts = [TOO_MANY if has_too_many_values(text) else text for text in texts]
    records = Unparsed(texts, has_long_numbers=may_hold_long_numbers(together))
    return RecordChunk(positions, records, remarks=records.remarks)


def is_blank(line: bytes) -> bool:
    return not line.strip(_SPACE)


def last_line(blocks: Iterable[bytes]) -> bytes:
    """Return the last line of a stream that is not blank, empty where there is none; of an overlong one, no JSON."""
    rest = b""
    for block in blocks:
        end = block.rfind(b"\n", 0, len(block.rstrip(b"\n\r \t")))
        rest = block[end + 1 :] if end >= 0 else rest + block if len(rest) <= LONGEST_LINE else TOO_LONG
    line = rest.rstrip(b"\n\r \t")
    return line[line.rfind(b"\n") + 1 :]


def count_lines(blocks: Iterable[bytes]) -> int:
    """Return how many lines are not blank, without making any of them."""
    total = 0
    started = False
    for block in blocks:
        begin, end = block.find(b"\n"), block.rfind(b"\n")
        if begin < 0:
            started = started or not is_blank(block)
            continue
        total += started or not is_blank(block[:begin])
        total += _count_whole(block[begin : end + 1])
        started = not is_blank(block[end + 1 :])
    return total + started


def _count_whole(lines: bytes) -> int:
    """Count the full lines of text that begins and ends with a line end."""
    letters = np.frombuffer(lines, np.uint8)
    ends = np.flatnonzero(letters == _LINE_END)
    count = len(ends) - 1
    # Only a line that begins with space, or is nothing, needs a closer look.
    if count and _MAY_BE_BLANK[letters[ends[:-1] + 1]].any():
        count -= sum(map(is_blank, lines[1:-1].split(b"\n")))
    return count
