"""An answer of an API, which holds its records at a path: `{"data": [{…}, {…}], "has_more": true}`.

Belongs here: taking the records out of one answer. Does not belong here: asking for it, or which of its records are a
day's (`sources.rest`).

An answer is held in memory while it is read; APIs deliver pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import orjson

from posthog_assets.core.errors import BrokenPart, shorten
from posthog_assets.core.json_text import load_any
from posthog_assets.core.records import RecordChunk, Unreadable
from posthog_assets.sources.formats.framing import Framing
from posthog_assets.sources.formats.json_paths import NOTHING, find

#: The records of one chunk repeat what is added to each up to so many bytes.
_CHUNK_BYTES: Final = 8 << 20

_KINDS = {list: "an array", str: "text", int: "a number", float: "a number", bool: "a boolean", type(None): "null"}


def read_selected(
    blocks: Iterable[bytes], framing: Framing, name: str, rows: int, first: int = 1
) -> Iterator[RecordChunk]:
    """Yield the records at `framing.select`, without those in `framing.skip`, at most *rows* at a time.

    Positions count the members of the list, those that are skipped too. An empty part has no records.

    Raises:
        BrokenPart: it is no JSON, or there is no list at the path.
    """
    remarks: dict[str, int] = {}

    def remark(sentence: str) -> None:
        remarks[sentence] = remarks.get(sentence, 0) + 1

    kept = kept_records(b"".join(blocks), framing, name, remark)
    # Each record repeats what is added, and so does the row that is made of it.
    rows = max(1, min(rows, _CHUNK_BYTES // max(1, len(framing.add))))
    for start in range(0, len(kept), rows):
        part = kept[start : start + rows]
        # Of the whole answer: with its first records.
        yield RecordChunk([first + at for at, _ in part], [one for _, one in part], remarks={} if start else remarks)


def kept_records(
    text: bytes, framing: Framing, name: str, remark: Callable[[str], None] = lambda sentence: None
) -> list[tuple[int, dict[str, Any] | Unreadable]]:
    """Return the records of an answer that are not to be skipped, with their index in the list; raises BrokenPart."""
    if not text.strip():
        return []
    left_out = {index for start, stop in framing.skip for index in range(start, stop)}
    members = members_at(parse_answer(text, name, remark), framing.select or "", name)
    added: dict[str, Any] = load_any(framing.add, remark) if framing.add else {}
    return [(i, _record(member, added, framing.key)) for i, member in enumerate(members) if i not in left_out]


def parse_answer(text: bytes, name: str, remark: Callable[[str], None] = lambda sentence: None) -> Any:
    """Return the JSON of an answer, its numbers as `load_any` has them; raises BrokenPart saying what it is instead."""
    try:
        return load_any(text, remark)
    except orjson.JSONDecodeError as error:
        start = shorten(" ".join(text[:120].decode("utf-8", "replace").split()), 80)
        if text.lstrip()[:1] == b"<":
            raise BrokenPart(f"{name} answers with HTML or XML instead of JSON: {start!r}") from None
        raise BrokenPart(f"{name} answers with what is no JSON ({error.msg} at byte {error.pos}): {start!r}") from None


def members_at(answer: Any, select: str, name: str) -> list[Any]:
    """Return the records at the path *select*: a list, or one object; none where null stands there.

    Raises:
        BrokenPart: nothing stands there, or something else.
    """
    found = find(answer, select)
    if isinstance(found, list):
        return found
    if isinstance(found, dict):
        return [found]
    if found is None:
        return []
    if found is not NOTHING:
        raise BrokenPart(f"{name}: data_selector {select!r} is {_KINDS.get(type(found))}, where a list belongs")
    there = shorten(", ".join(answer)) if isinstance(answer, dict) else _KINDS.get(type(answer), "something else")
    raise BrokenPart(f"{name}: data_selector {select!r} finds nothing in the answer; it has: {there}")


def _record(member: Any, added: dict[str, Any], key: tuple[str, ...]) -> dict[str, Any] | Unreadable:
    if not isinstance(member, dict):
        return Unreadable(f"not a JSON object but {_KINDS.get(type(member), 'something else')}")
    if not key:
        return {**member, **added} if added else member
    name, start, *paths = key
    values = [find(member, path) for path in paths]
    texts = ["" if value is NOTHING or value is None else str(value) for value in values]
    return {**member, **added, name: ":".join([start, *texts] if start else texts)}
