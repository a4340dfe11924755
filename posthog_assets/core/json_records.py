"""Records that are still JSON text.

Belongs here: a text as one record, and many of them that are parsed one by one. Does not belong here: finding the texts
in a file (`sources.formats`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, overload

import orjson

from posthog_assets.core.errors import shorten
from posthog_assets.core.json_text import load_any
from posthog_assets.core.records import Unreadable

#: A longer record is not read. PostHog takes no event above 1 MB; a record may hold more than the event made of it
#: (fields that are left out, a list that is unfolded), and those of vendors end far below this.
LONGEST_LINE: Final = 16 << 20
#: A record of more values than this is not read: as a tree, each takes up to 80 bytes, however short its text is.
MOST_VALUES: Final = 2_000_000
#: Texts that are shorter need no look at their values: that many do not fit in.
FEW_VALUES_BELOW: Final = 1 << 20
#: These stand where a record stood that is not read. They start with a byte that no JSON text has, so that they can
#: never pass for a record.
TOO_LONG: Final = b"\0longer than 16 MiB"
TOO_MANY: Final = b"\0more than 2,000,000 values"

_TEXT: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


def has_too_many_values(text: bytes) -> bool:
    """Whether a JSON text holds more than `MOST_VALUES` values, found without parsing it."""
    if len(text) < FEW_VALUES_BELOW or _marks(text) <= MOST_VALUES:
        return False
    # Commas and brackets inside texts are no values.
    return _marks(_TEXT.sub(b"", text)) > MOST_VALUES


def _marks(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + text.count(b"{")


class Unparsed(Sequence[dict[str, Any] | Unreadable]):
    """Records that are parsed as they are asked for, and again when they are asked for again.

    A record is a tree of some ten times its text: made, used and freed one after the other, all take the same memory,
    which stays in the processor's caches.
    """

    def __init__(self, texts: list[bytes], *, has_long_numbers: bool = False) -> None:
        #: The text of each record.
        self.texts = texts
        #: Whether whole numbers of more than 64 bits may be there, which the fast reader rounds.
        self.has_long_numbers = has_long_numbers
        #: What reading noticed, and how often.
        self.remarks: dict[str, int] = {}

    def only(self, text: bytes) -> Unparsed:
        """Return one of the records by itself; what reading it notices is noticed here."""
        one = Unparsed([text], has_long_numbers=self.has_long_numbers)
        one.remarks = self.remarks
        return one

    def chosen(self, indices: Iterable[int]) -> Unparsed:
        """Return some of the records; what reading them notices is noticed here."""
        some = Unparsed([self.texts[index] for index in indices], has_long_numbers=self.has_long_numbers)
        some.remarks = self.remarks
        return some

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any] | Unreadable: ...
    @overload
    def __getitem__(self, index: slice) -> Unparsed: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | Unreadable | Unparsed:
        return Unparsed(self.texts[index]) if isinstance(index, slice) else self._parsed(self.texts[index])

    def __iter__(self) -> Iterator[dict[str, Any] | Unreadable]:
        return map(self.carefully if self.has_long_numbers else self._parsed, self.texts)

    def _parsed(self, text: bytes) -> dict[str, Any] | Unreadable:
        try:
            record = orjson.loads(text)
        except orjson.JSONDecodeError:
            record = None
        return record if type(record) is dict else self.carefully(text)

    def carefully(self, text: bytes) -> dict[str, Any] | Unreadable:
        """Return the record of one text as `parse` does, and count what is to be noticed."""
        return parse(text.removesuffix(b"\n"), self._remark)

    def _remark(self, sentence: str) -> None:
        self.remarks[sentence] = self.remarks.get(sentence, 0) + 1


def parse(text: bytes, remark: Callable[[str], None] = lambda sentence: None) -> dict[str, Any] | Unreadable:
    """Return one JSON object, or why it is none; *remark* gets what is to be noticed of one that can be read.

    Numbers are as `load_any` has them: whole ones stay exact.
    """
    if text in (TOO_LONG, TOO_MANY):
        return Unreadable(text[1:].decode())
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
