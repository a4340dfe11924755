"""Columns of uuids and of JSON text, in Arrow and numpy.

Belongs here: converting whole columns without a Python object for each value. Does not belong here: what the
columns mean.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

#: Letters that JSON writes as they are, by their byte.
_PLAIN: Final = np.ones(256, bool)


_PLAIN[:32] = _PLAIN[list(b'"\\')] = False


def json_strings(texts: pa.StringArray) -> pa.StringArray:
    """Return each text as a JSON string, quotes included, as orjson writes it; null stays null."""
    if _needs_escapes(texts):
        quoted = (None if text is None else orjson.dumps(text).decode() for text in texts.to_pylist())
        return pa.array(quoted, pa.string())
    return pc.binary_join_element_wise('"', texts, '"', "")


def _needs_escapes(texts: pa.StringArray) -> bool:
    ends = offsets_of(texts)
    if ends[0] == ends[-1]:
        return False
    letters = np.frombuffer(texts.buffers()[2], np.uint8)[ends[0] : ends[-1]]
    return not bool(_PLAIN[letters].all())


_HEX_POSITIONS: Final = np.array([i for i in range(36) if i not in (8, 13, 18, 23)])


def offsets_of(texts: pa.StringArray) -> np.ndarray:
    """Return where each text begins in the array's data, and where the last one ends."""
    return np.frombuffer(texts.buffers()[1], dtype=np.int32, count=len(texts) + 1, offset=texts.offset * 4)


def data_of(texts: pa.StringArray) -> memoryview:
    """Return the bytes of all texts, one behind the other, without copying."""
    ends = offsets_of(texts)
    return memoryview(texts.buffers()[2] or b"")[ends[0] : ends[-1]]


def may_hold(texts: pa.StringArray, *parts: bytes) -> bool:
    """Whether one of *parts* may stand in some of the texts: searches over all, many times as fast as one for each.

    The texts are searched as if they stood one behind the other, so what is found over their borders is no text's own.
    Of a part its end is looked for, from a letter on by which RE2 finds it fast.
    """
    if not len(texts):
        return False
    ends = offsets_of(texts)[[0, -1]]
    one = pa.StringArray.from_buffers(1, pa.py_buffer(ends), texts.buffers()[2] or pa.py_buffer(b""))
    return any(pc.match_substring_regex(one, pattern)[0].as_py() for pattern in _patterns(parts))


@lru_cache(1_000)
def _patterns(parts: tuple[bytes, ...]) -> tuple[str, ...]:
    """Return regular expressions: one for all parts with a dollar, which is rare in JSON, and one for each other."""
    texts = [part.decode() for part in parts]
    after_dollar = [re.escape(text.partition("$")[2]) for text in texts if "$" in text]
    # RE2 looks for the first and the last letter of a plain text at once; a quote is too frequent for that.
    others = [re.escape(text.removeprefix('"') or text) for text in texts if "$" not in text]
    return (*([rf"\$(?:{'|'.join(after_dollar)})"] if after_dollar else []), *others)


def count_of(texts: pa.StringArray, part: bytes) -> int:
    """Return how often *part* stands in all texts together, searched as `may_hold` does."""
    return _joined(texts).count(part)


def _joined(texts: pa.StringArray) -> bytes:
    # A copy costs a tenth of what a regular expression over the buffer itself does.
    return bytes(data_of(texts)) if len(texts) else b""


def pack(texts: pa.StringArray) -> np.ndarray:
    """Return hyphenated lower-case uuids as an array of 16 bytes each (`S16`)."""
    if not len(texts):
        return np.empty(0, dtype="S16")
    flat = np.frombuffer(texts.buffers()[2], dtype=np.uint8, count=len(texts) * 36, offset=int(offsets_of(texts)[0]))
    digits = flat.reshape(-1, 36)[:, _HEX_POSITIONS]
    nibbles = digits - np.where(digits > 57, np.uint8(87), np.uint8(48))
    packed = (nibbles[:, ::2] << 4) | nibbles[:, 1::2]
    return np.ascontiguousarray(packed).view("S16").reshape(-1)


def unpack(packed: np.ndarray) -> list[str]:
    """Return packed uuids as hyphenated text."""
    raw = packed.tobytes().hex()
    rows = (raw[i : i + 32] for i in range(0, len(raw), 32))
    return [f"{r[:8]}-{r[8:12]}-{r[12:16]}-{r[16:20]}-{r[20:]}" for r in rows]
