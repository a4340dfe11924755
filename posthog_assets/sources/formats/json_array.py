"""A JSON file that is one array, one object, or objects one after the other.

Belongs here: telling these apart, and finding where each element ends without holding the file. Does not belong here:
reading an element (`json_lines`).

Only quotes, escapes, brackets and commas decide where an element ends. They are found and weighed with numpy, a block
at a time: this takes about as long as parsing the elements does.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import orjson

from posthog_assets.core.errors import BrokenPart, shorten
from posthog_assets.core.json_records import LONGEST_LINE, TOO_LONG, has_too_many_values
from posthog_assets.core.json_text import load
from posthog_assets.core.records import RecordChunk
from posthog_assets.sources.formats.json_lines import count_lines, read_lines, unparsed

_PIECE: Final = 1 << 20
_SPACE: Final = b" \t\r\n"
_ESCAPED: Final = re.compile(rb"\\.", re.DOTALL)
_QUOTE, _COMMA = ord('"'), ord(",")

_IS_MARK: Final = np.zeros(256, bool)
_IS_MARK[list(b'"{}[],')] = True
_STEP: Final = np.zeros(256, np.int8)
_STEP[list(b"{[")] = 1
_STEP[list(b"}]")] = -1


def read_json(blocks: Iterator[bytes], name: str, rows: int, first: int = 1) -> Iterator[RecordChunk]:
    """Yield the elements, at most *rows* at a time; positions count elements, or lines where each line is an object.

    Raises:
        BrokenPart: it is no JSON, an array ends early, or elements cannot be told apart.
    """
    level, blocks = peek(blocks, name)
    if level is None:
        yield from read_lines(blocks, rows, first)
        return
    for found in Scanner(name, level).scan(blocks):
        for start in range(0, len(found), rows):
            part = found[start : start + rows]
            yield unparsed(part, first)
            first += len(part)


def count_json(blocks: Iterator[bytes], name: str) -> int:
    """Return the number of elements, without parsing them."""
    level, blocks = peek(blocks, name)
    if level is None:
        return count_lines(blocks)
    return sum(len(found) for found in Scanner(name, level).scan(blocks))


def peek(blocks: Iterator[bytes], name: str) -> tuple[int | None, Iterator[bytes]]:
    """Return the depth at which elements stand (1: in an array, 0: one after the other, None: JSON lines).

    Many vendors name JSON lines `.json`: Amplitude, BigQuery, Segment.
    """
    head = _head(blocks)
    again = itertools.chain(_pieces(head), blocks)
    text = head.lstrip(_SPACE)
    if text[:1] == b"[":
        return 1, again
    lines = text.split(b"\n")
    if not text or _is_object(lines[0]):
        return None, again
    if text[:1] != b"{":
        if any(_is_object(line) for line in lines):
            return None, again
        raise BrokenPart(f"{name} is not JSON: it starts with {shorten(text[:40].decode('utf-8', 'replace'))!r}")
    # An object that goes on below its first line, or a bad line among good ones?
    return (0 if _is_open(lines[0]) else None), again


def _head(blocks: Iterator[bytes]) -> bytes:
    """Take blocks up to the sign of an array, or to the end of the first line."""
    pieces: list[bytes] = []
    held = 0
    sign = b""
    for block in blocks:
        pieces.append(block)
        held += len(block)
        text = block if sign else block.lstrip(_SPACE)
        sign = sign or text[:1]
        if sign == b"[" or b"\n" in text or held > LONGEST_LINE:
            break
    return b"".join(pieces)


def _is_object(line: bytes) -> bool:
    try:
        is_readable = line[:1] == b"{" and len(line) <= LONGEST_LINE and not has_too_many_values(line)
        return is_readable and isinstance(load(line), dict)
    except orjson.JSONDecodeError:
        return False


def _is_open(line: bytes) -> bool:
    scanner = Scanner("", 0)
    try:
        for piece in _pieces(line):
            scanner.feed(piece)
    except BrokenPart:
        return False
    return scanner.depth > 0 and not scanner.in_text


def _pieces(text: bytes) -> Iterator[bytes]:
    """Yield a long text in pieces: a scanner takes some 50 bytes for each bracket of what it is fed at once."""
    for start in range(0, len(text), _PIECE):
        yield text[start : start + _PIECE]


def is_whole_object(text: bytes) -> bool:
    """Return whether *text* is one object to its end, readable or not: what was cut off has a bracket that is open."""
    try:
        scanner = Scanner("", 0)
        return text[:1] == b"{" and text[-1:] == b"}" and [e for p in _pieces(text) for e in scanner.feed(p)] == [text]
    except BrokenPart:
        return False


class Scanner:
    """Splits a stream at the boundaries of its elements, which stand at depth *level*."""

    def __init__(self, name: str, level: int) -> None:
        self._name = name
        self._level = level
        self._pieces: list[bytes] = []
        self._held = 0
        self._carried = b""
        self._count = 0
        self._open = False
        self._closed = False
        #: What the last mark in an array was: one after which a value may begin, or the end of a value.
        self._ready = self._ended = False
        self.depth = 0
        self.in_text = False

    def scan(self, blocks: Iterable[bytes]) -> Iterator[list[bytes]]:
        """Yield the elements of each block."""
        for block in blocks:
            if found := self.feed(block):
                yield found
        self._finish()

    def feed(self, block: bytes) -> list[bytes]:
        """Return the elements that end in *block*."""
        data = self._carried + block
        # A backslash at the very end escapes what the next block begins with.
        odd = (len(data) - len(data.rstrip(b"\\"))) % 2
        data, self._carried = (data[:-1], data[-1:]) if odd else (data, b"")
        cuts, ends_array = self._cuts(data)
        found = []
        start = 0
        for cut in cuts:
            found.append(self._element(data[start:cut]))
            start = cut + self._level
        if ends_array is not None:
            self._close(data, start, ends_array, found)
        else:
            self._keep(data[start:])
        self._count += len(found)
        return found

    def _cuts(self, data: bytes) -> tuple[list[int], int | None]:
        """Return where elements end, and where the array does; moves `depth` and `in_text` on."""
        if self._closed:
            return [], -1
        letters = np.frombuffer(_ESCAPED.sub(b"..", data) if b"\\" in data else data, np.uint8)
        at = np.flatnonzero(_IS_MARK[letters])
        marks = letters[at]
        in_text = (np.cumsum(marks == _QUOTE) + self.in_text) & 1
        # Commas and brackets in text mean nothing; the quotes themselves stay.
        real = (in_text == 0) | (marks == _QUOTE)
        at, marks, in_text = at[real], marks[real], in_text[real]
        if not len(marks):
            return [], None
        steps = _STEP[marks]
        depth = np.cumsum(steps, dtype=np.int64) + self.depth
        closed = np.flatnonzero((depth <= 0) & (steps < 0) & bool(self._level))
        if len(closed):
            stop = int(closed[0]) + 1
            at, marks, in_text, steps, depth = at[:stop], marks[:stop], in_text[:stop], steps[:stop], depth[:stop]
        self._check(data, at, marks, steps, depth)
        self.depth, self.in_text = int(depth[-1]), bool(in_text[-1])
        ends = (marks == _COMMA) & (depth == 1) if self._level else (depth == 0) & (steps < 0)
        # In an array the comma ends an element and is no part of it; elsewhere the closing bracket is its last letter.
        cuts = at[ends] + (0 if self._level else 1)
        return cuts.tolist(), int(at[-1]) if len(closed) else None

    def _check(self, data: bytes, at: np.ndarray, marks: np.ndarray, steps: np.ndarray, depth: np.ndarray) -> None:
        """Refuse a value that follows a value without a comma: elements could not be told apart any more."""
        if int(depth.min()) < 0:
            self._refuse(data, int(at[int(np.argmin(depth))]))
        if not self._level:
            return
        outside = depth == 1
        ready = outside & ((marks == _COMMA) | (steps > 0))
        was_ready = np.concatenate(([self._ready], ready[:-1]))
        ended = outside & (steps < 0)
        had_ended = np.concatenate(([self._ended], ended[:-1]))
        wrong = np.flatnonzero(
            (had_ended & (marks != _COMMA) & (steps >= 0)) | ((steps > 0) & (depth == 2) & ~was_ready)
        )
        self._ready, self._ended = bool(ready[-1]), bool(ended[-1])
        if len(wrong):
            self._refuse(data, int(at[int(wrong[0])]))

    def _refuse(self, data: bytes, at: int) -> None:
        found = shorten(data[at : at + 20].decode("utf-8", "replace"))
        raise BrokenPart(f"{self._name}: {found!r} stands after a value, where a comma or the end belongs")

    def _element(self, tail: bytes) -> bytes:
        self._keep(tail)
        text = self._text()
        if not text:
            raise BrokenPart(f"{self._name}: there is no value where one belongs, after a comma or at the start")
        return text

    def _keep(self, piece: bytes) -> None:
        self._held += len(piece)
        if self._held <= LONGEST_LINE:
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    def _text(self) -> bytes:
        """Return what was kept, and start afresh."""
        text = b"".join(self._pieces).strip(_SPACE) if self._held <= LONGEST_LINE else TOO_LONG
        if self._level and not self._open:
            # The first element still has the array's bracket before it.
            text = text[1:].lstrip(_SPACE) if text is not TOO_LONG else text
            self._open = True
        self._pieces, self._held = [], 0
        return text

    def _close(self, data: bytes, start: int, end: int, found: list[bytes]) -> None:
        """Take the last element of the array; nothing may follow it."""
        if not self._closed:
            if data[end : end + 1] != b"]":
                self._refuse(data, end)
            self._keep(data[start:end])
            if last := self._text():
                found.append(last)
            elif self._count or found:
                # Perhaps a writer's habit, perhaps an array that was cut and closed again: the two look the same.
                raise BrokenPart(f"{self._name}: a comma, and no value after it, ends the array")
            self._closed = True
        rest = data[end + 1 :].strip(_SPACE)
        if rest or self._carried:
            raise BrokenPart(
                f"{self._name}: more stands after the end of the array: "
                f"{shorten(rest[:20].decode('utf-8', 'replace'))!r}"
            )

    def _finish(self) -> None:
        left = b"".join(self._pieces).strip(_SPACE) or self._carried
        if self._level and not self._closed:
            raise BrokenPart(f"{self._name}: the file ends inside the array, after element {self._count}")
        if left or self._held > LONGEST_LINE or self.depth:
            raise BrokenPart(f"{self._name}: the file ends inside a value, after element {self._count}")
