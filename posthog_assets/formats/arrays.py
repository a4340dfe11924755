"""A JSON file that is one array (or one object, or objects one after the other).

Belongs here: finding where each element ends without holding the file. Does not belong here: JSON lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from posthog_assets.errors import BrokenPart, shorten
from posthog_assets.formats.lines import LONGEST_LINE, parse
from posthog_assets.formats.records import RecordChunk, Unreadable

_MARK: Final = re.compile(rb'["\\{}\[\]]')
_SPACE: Final = b" \t\r\n"


def read_array(blocks: Iterable[bytes], name: str, rows: int, first: int = 1) -> Iterator[RecordChunk]:
    """Yield the elements of the array, at most *rows* at a time; positions count elements.

    Raises:
        BrokenPart: the array ends early, or what stands between two elements is no comma.
    """
    records: list[dict | Unreadable] = []
    for element in elements(blocks, name):
        records.append(parse(element))
        if len(records) == rows:
            yield RecordChunk(range(first, first + rows), records)
            first += rows
            records = []
    if records:
        yield RecordChunk(range(first, first + len(records)), records)


def count_elements(blocks: Iterable[bytes], name: str) -> int:
    """Return the number of elements."""
    return sum(1 for _ in elements(blocks, name))


def elements(blocks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yield the text of each element."""
    scanner = _Scanner(name)
    for block in blocks:
        yield from scanner.feed(block)
    scanner.finish()


class _Scanner:
    """Splits a stream at the boundaries of its outermost values; looks only at quotes, escapes and brackets."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._buffer = b""
        self._at = 0
        self._start: int | None = None
        self._depth = 0
        self._in_text = False
        self._in_array: bool | None = None
        self._closed = False
        self._wants_comma = False
        self._count = 0

    def feed(self, block: bytes) -> Iterator[bytes]:
        keep = self._start if self._start is not None else self._at
        self._buffer = self._buffer[keep:] + block
        self._at -= keep
        if self._start is not None:
            self._start = 0
        if len(self._buffer) > LONGEST_LINE + len(block):
            raise BrokenPart(f"{self._name}: element {self._count + 1} is longer than {LONGEST_LINE >> 20} MiB")
        while True:
            if self._start is None:
                if not self._begin():
                    return
                continue
            end = self._end()
            if end is None:
                return
            yield self._buffer[self._start : end]
            self._count += 1
            self._start, self._at, self._wants_comma = None, end, bool(self._in_array)

    def _begin(self) -> bool:
        """Move to the start of the next element; False where more bytes are needed."""
        buffer = self._buffer
        while self._at < len(buffer):
            letter = buffer[self._at : self._at + 1]
            if letter in (b" ", b"\t", b"\r", b"\n"):
                self._at += 1
            elif letter == b"\xef" and self._count == 0 and self._in_array is None:
                self._at += 3
            elif self._closed:
                raise BrokenPart(f"{self._name}: there is more after the end of the array")
            elif letter == b"[" and self._in_array is None:
                self._in_array, self._at = True, self._at + 1
            elif letter == b"]" and self._in_array and (self._wants_comma or self._count == 0):
                self._closed, self._at = True, self._at + 1
            elif letter == b"," and self._wants_comma:
                self._wants_comma, self._at = False, self._at + 1
            elif not self._wants_comma and letter not in b",]}" and (self._in_array or letter == b"{"):
                self._in_array = bool(self._in_array)
                self._start = self._at
                return True
            else:
                found = shorten(buffer[self._at : self._at + 20].decode("utf-8", "replace"))
                raise BrokenPart(
                    f"{self._name}: after element {self._count} stands {found!r}, which does not belong there"
                )
        return False

    def _end(self) -> int | None:
        """Return where the element ends; None where more bytes are needed."""
        buffer = self._buffer
        if self._depth == 0 and not self._in_text and buffer[self._at : self._at + 1] not in (b"{", b"[", b'"'):
            return self._end_of_scalar()
        for mark in _MARK.finditer(buffer, self._at):
            if mark.start() < self._at:
                continue
            sign = mark.group()
            self._at = mark.end()
            if sign == b"\\":
                if self._at >= len(buffer):
                    self._at = mark.start()
                    return None
                self._at += 1
                continue
            if sign == b'"':
                self._in_text = not self._in_text
            elif not self._in_text:
                self._depth += 1 if sign in b"{[" else -1
            if self._depth == 0 and not self._in_text:
                return self._at
        self._at = max(self._at, len(buffer))
        return None

    def _end_of_scalar(self) -> int | None:
        match = re.compile(rb"[,\]\s]").search(self._buffer, self._at)
        return match.start() if match else None

    def finish(self) -> None:
        if self._start is not None or (self._in_array and not self._closed):
            raise BrokenPart(f"{self._name}: the file ends inside the array, after element {self._count}")
