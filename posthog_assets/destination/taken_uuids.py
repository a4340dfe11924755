"""The uuids of an answer that says the same of each, without a Python object for each.

Belongs here: finding them in the answer's bytes, and holding a batch's uuids against them. Does not belong here: what
an answer means (`verdicts`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa

from posthog_assets.core.arrow_columns import pack, unpack
from posthog_assets.core.uuid_sorter import halves, whole

_HEAD: Final = b'{"results":{'
_ENTRY: Final = b'"00000000-0000-0000-0000-000000000000":{"result":"ok"},'
_TAIL: Final = b"}}"
_HYPHEN: Final = ord("-")

_TEXT: Final = slice(1, 37)

#: What an entry is where it has no digits of its own, which are 0 here and in what is held against it.
_IS_SAME: Final = np.array([letter != ord("0") for letter in _ENTRY])
_LETTERS: Final = np.where(_IS_SAME, np.frombuffer(_ENTRY, np.uint8), 0).astype(np.uint8)
_MASK: Final = np.where(_IS_SAME, 255, 0).astype(np.uint8)

#: Digits as PostHog writes them, and what stands between them, by their byte.
_OF_UUIDS: Final = np.zeros(256, bool)
_OF_UUIDS[list(b"0123456789abcdef-")] = True


class TakenUuids(Set[str]):
    """A set of uuids as text, which are made only where somebody asks for them."""

    def __init__(self, high: np.ndarray, low: np.ndarray) -> None:
        """Take uuids as numbers (`halves`), the first halves rising."""
        self._high, self._low = high, low

    @cached_property
    def _texts(self) -> frozenset[str]:
        return frozenset(unpack(whole(self._high, self._low)))

    def are(self, uuids: np.ndarray) -> bool:
        """Whether they are *uuids* (`S16`), in whatever order."""
        high, low = halves(uuids)
        order = np.argsort(high)
        return np.array_equal(high[order], self._high) and np.array_equal(low[order], self._low)

    def __contains__(self, uuid: object) -> bool:
        return uuid in self._texts

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._high)

    @classmethod
    def _from_iterable(cls, uuids: Iterable[str]) -> Set[str]:  # type: ignore[override]
        return frozenset(uuids)


def all_taken(body: bytes) -> TakenUuids | None:
    """Return the uuids of a v1 answer that says `ok` of each and nothing else, as PostHog writes it; None of others.

    Every entry of such an answer is as long as the others, so that they are looked at as columns.
    """
    inner = len(body) + 1 - len(_HEAD) - len(_TAIL)
    if inner <= 0 or inner % len(_ENTRY) or not body.startswith(_HEAD) or not body.endswith(_TAIL):
        return None
    # The last entry has a brace where the others have a comma.
    letters = np.frombuffer(body[len(_HEAD) : -len(_TAIL)] + b",", np.uint8).reshape(-1, len(_ENTRY))
    texts = letters[:, _TEXT]
    if (
        ((letters & _MASK) != _LETTERS).any()
        or not _OF_UUIDS[texts].all()
        or (texts == _HYPHEN).sum() != 4 * len(texts)
    ):
        return None
    offsets = pa.py_buffer(np.arange(len(texts) + 1, dtype=np.int32) * 36)
    flat = pa.py_buffer(np.ascontiguousarray(texts))
    high, low = halves(pack(pa.StringArray.from_buffers(len(texts), offsets, flat)))
    order = np.argsort(high)
    high, low = high[order], low[order]
    # Hardly two begin with the same eight bytes, unless one of them came twice.
    return TakenUuids(high, low) if (high[1:] > high[:-1]).all() else None
