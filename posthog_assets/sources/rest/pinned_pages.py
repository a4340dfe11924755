"""Pages as parts, and what a part remembers of its page.

Belongs here: pinning a page, and finding the pages that an interrupted export has left. Does not belong here: asking
for pages (`pages`), which of their records are the day's (`sift`).

Each answer is a part, byte for byte, under the number of its page. With it stands where the paginator was and where it
goes next, so that an interrupted export goes on after its last page: the pages that are there are read again, not
asked for again. A page all of whose records lie outside the window is kept as an empty part.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson

from posthog_assets.core.json_text import dump_line
from posthog_assets.sources.formats import Compression, Format, Framing
from posthog_assets.sources.formats.json_paths import NOTHING, find
from posthog_assets.sources.formats.selected import members_at, parse_answer
from posthog_assets.sources.manifest import Part, RawExport
from posthog_assets.sources.rest.client import Page
from posthog_assets.sources.rest.endpoint import Asking
from posthog_assets.sources.rest.paginators import END, End, Place
from posthog_assets.sources.rest.requests import Request, without_params
from posthog_assets.sources.rest.sift import NO_TIME, Sift


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page as the rest of the way needs it; `next` is where the paginator goes from it."""

    members: list[Any]
    answer: Any
    next: Place | End


class PinnedPages:
    """The pages of one export in *raw*; *key* is unique to what the source and its settings are now."""

    def __init__(self, raw: RawExport, key: str, secrets: tuple[str, ...], hidden_params: frozenset[str]) -> None:
        self._raw = raw
        self._key = key
        self._secrets = secrets
        self._hidden_params = hidden_params

    def find(self, name: str, place: Place, asking: Asking, sift: Sift | None) -> ReadPage | None:
        """Return a page that an interrupted export has left, and confirm its part; None where it must be asked for."""
        for full in (name, f"{name}.gz"):
            part = self._raw.found(full)
            memory = _memory(part)
            if part is None or memory.get("export") != self._key or memory.get("at") != place:
                continue
            if not self._raw.keep_if_current(full, part.origin_fingerprint, part.framing):
                continue
            with self._raw.open(part) as file:
                content = file.read()
            text = gzip.decompress(content) if part.framing.compression is Compression.GZIP else content
            answer = parse_answer(text, name) if text else None
            select = asking.data_selector
            is_empty = answer is None or (asking.missing_data == "empty" and find(answer, select) is NOTHING)
            members = [] if is_empty else members_at(answer, select, name)
            if sift is not None:
                sift.sift(members, memory.get("last", NO_TIME))
                sift.tally.add_passed(*memory.get("outside", ()))
            return ReadPage(members, answer, END if memory["end"] else memory["next"])
        return None

    def pin(
        self, name: str, place: Place, page: ReadPage, found: Page, asking: Asking, request: Request, sift: Sift | None
    ) -> ReadPage:
        """Keep a page as a part; return it, as the last one where no later page can have records of the window."""
        count = len(page.members)
        # The records of a list of parents are none of the import's.
        skip = sift.sift(page.members) if sift else [True] * count
        is_outside = sift is not None and sift.is_outside
        if sift is not None and sift.is_past:
            page = replace(page, next=END)
        is_end = isinstance(page.next, End)
        memory: dict[str, Any] = {
            "export": self._key,
            "at": place,
            "next": None if is_end else page.next,
            "end": is_end,
        }
        if sift is not None and is_outside:
            memory["last"] = sift.last
            memory["outside"] = sift.outside
        framing = Framing(
            Format.JSON, Compression.NONE if is_outside else found.compression,
            select=asking.data_selector, skip=() if is_outside else _ranges(skip),
            add=dump_line(dict(sift.added)).decode().strip() if sift and sift.added else "",
            key=sift.key if sift and not is_outside else (),
        )  # fmt: skip
        if find(page.answer, asking.data_selector) is NOTHING:
            # The answer as a whole is the one record there is, and none of the import's.
            framing = replace(framing, select="$", skip=((0, 1),))
        full = name if framing.compression is Compression.NONE else f"{name}.gz"
        with self._raw.part(full, framing, request.shown, dump_line(memory).decode().strip()) as sink:
            if not is_outside:
                sink.write(found.content)
        return page

    def without_secrets(self, place: Place | End) -> Place | End:
        """Return a place that may be written down: no link of it holds a credential."""
        if not isinstance(place, str):
            return place
        if "://" in place and self._hidden_params:
            place = without_params(place, self._hidden_params)
        for number, secret in enumerate(self._secrets):
            place = place.replace(secret, f"\0{number}\0")
        return place

    def with_secrets(self, place: Place) -> Place:
        """Return a place that was written down, as the API gave it."""
        if isinstance(place, str):
            for number, secret in enumerate(self._secrets):
                place = place.replace(f"\0{number}\0", secret)
        return place


def _memory(part: Part | None) -> dict[str, Any]:
    if part is None:
        return {}
    try:
        memory = orjson.loads(part.origin_fingerprint)
    except orjson.JSONDecodeError:
        return {}
    return memory if isinstance(memory, dict) else {}


def _ranges(skip: list[bool]) -> tuple[tuple[int, int], ...]:
    """Return the stretches of True, as start and stop."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], np.array(skip, bool), [False]])))
    return tuple((int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True))
