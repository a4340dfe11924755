"""The uuid of an event: a function of where it came from, so that sending it again replaces it.

Belongs here: UUIDv5 in bulk. Does not belong here: which namespace (`dialects`).
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: For RE2: `$` is the end of the text and not of a line.
_UUID: Final = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
_HEX: Final = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_COLUMNS: Final = np.array([i for i in range(36) if i not in (8, 13, 18, 23)])


def uuids5(namespace: uuid.UUID, names: list[str]) -> pa.StringArray:
    """Return the UUIDv5 (RFC 9562 §5.5) of each name, hyphenated and lower-case."""
    begun, digests = hashlib.sha1(namespace.bytes, usedforsecurity=False).copy, []
    # No function for one name: to call it would cost as much as the digest.
    for name in names:
        state = begun()
        state.update(name.encode())
        digests.append(state.digest())
    raw = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 20)[:, :16].copy()
    raw[:, 6] = raw[:, 6] & 0x0F | 0x50
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    return hyphenated(raw)


def hyphenated(raw: np.ndarray) -> pa.StringArray:
    """Return uuids as text, given as rows of 16 bytes."""
    count = len(raw)
    text = np.full((count, 36), ord("-"), dtype=np.uint8)
    digits = np.empty((count, 32), dtype=np.uint8)
    digits[:, ::2] = _HEX[raw >> 4]
    digits[:, 1::2] = _HEX[raw & 15]
    text[:, _COLUMNS] = digits
    offsets = np.arange(count + 1, dtype=np.int32) * 36
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(text))


def verbatim(namespace: uuid.UUID, names: pa.StringArray) -> pa.StringArray:
    """Return each name that is a uuid as it stands (lower-case), the UUIDv5 of the others."""
    kept = pc.fill_null(pc.match_substring_regex(names, _UUID), False)
    made = names.filter(pc.invert(kept))
    lowered = pc.ascii_lower(names)
    if not len(made):
        return lowered
    return pc.replace_with_mask(lowered, pc.invert(kept), uuids5(namespace, made.to_pylist()))
