"""JSON lines.

Belongs here: one JSON object per line. Does not belong here: compression.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, overload

import numpy as np
import orjson

from posthog_assets.core.errors import shorten
from posthog_assets.core.json_text import load_any, may_hold_long_numbers
from posthog_assets.core.records import RecordChunk, Unreadable

#: A longer line is no record; PostHog takes none above 1 MB.
LONGEST_LINE: Final = 64 << 20


#: Stands where a longer one stood. Starts with a byte that no JSON text has, so that it can never pass for a record.
TOO_LONG: Final = b"\0longer than 64 MiB"


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


class Unparsed(Sequence[dict[str, Any] | Unreadable]):
    """Records that are parsed as they are asked for, and again when they are asked for again.

    A record is a tree of some ten times its text: made, used and freed one after the other, all take the same memory,
    which stays in the processor's caches.
    """

    def __init__(self, texts: list[bytes], *, has_long_numbers: bool = False) -> None:
        self._texts = texts
        self._read = self._carefully if has_long_numbers else self._parsed
        #: What reading noticed.
        self.remarks: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any] | Unreadable: ...
    @overload
    def __getitem__(self, index: slice) -> Unparsed: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | Unreadable | Unparsed:
        return Unparsed(self._texts[index]) if isinstance(index, slice) else self._read(self._texts[index])

    def __iter__(self) -> Iterator[dict[str, Any] | Unreadable]:
        return map(self._read, self._texts)

    def _parsed(self, text: bytes) -> dict[str, Any] | Unreadable:
        try:
            record = orjson.loads(text)
        except orjson.JSONDecodeError:
            record = None
        return record if type(record) is dict else self._carefully(text)

    def _carefully(self, text: bytes) -> dict[str, Any] | Unreadable:
        return parse(text.removesuffix(b"\n"), self._remark)

    def _remark(self, sentence: str) -> None:
        self.remarks[sentence] = self.remarks.get(sentence, 0) + 1


def unparsed(texts: list[bytes], number: int) -> RecordChunk:
    """Return the records of consecutive texts, the first of which is at position *number*; blank ones are none."""
    positions: Sequence[int] = range(number, number + len(texts))
    if not all(text[:1] == b"{" for text in texts):
        full = [place for place in zip(positions, texts, strict=True) if not is_blank(place[1].removesuffix(b"\n"))]
        positions, texts = [position for position, _ in full], [text for _, text in full]
    records = Unparsed(texts, has_long_numbers=may_hold_long_numbers(b"".join(texts)))
    return RecordChunk(positions, records, remarks=records.remarks)


def is_blank(line: bytes) -> bool:
    return not line.strip(_SPACE)


def parse(text: bytes, remark: Callable[[str], None] = lambda sentence: None) -> dict[str, Any] | Unreadable:
    """Return one JSON object, or why it is none; *remark* gets what is to be noticed of one that can be read.

    Numbers are as `load_any` has them: whole ones stay exact.
    """
    if text == TOO_LONG:
        return Unreadable(f"longer than {LONGEST_LINE >> 20} MiB")
    try:
        record = load_any(text, remark)
    except orjson.JSONDecodeError as error:
        return Unreadable(shorten(_why(text, error)))
    if not isinstance(record, dict):
        return Unreadable(f"not a JSON object but {_KINDS.get(type(record), 'null')}")
    return record


_KINDS: Final[dict[type, str]] = {list: "an array", str: "text", int: "a number", float: "a number", bool: "a boolean"}


def _why(text: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        text.decode()
    except UnicodeDecodeError as bad:
        return f"not valid JSON: not UTF-8, byte 0x{text[bad.start]:02x} at byte {bad.start + 1}"
    found = error.doc[error.pos : error.pos + 20]
    return f"not valid JSON: {error.msg} (column {error.colno}, at {found!r})"


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
