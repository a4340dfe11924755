"""PostHog's session ids: UUIDv7 whose first 48 bits are the time, in ms, at which a session starts.

Belongs here: making one that is always the same, and recognising one. Does not belong here: which event belongs to
which session (`sessions`, `session_index`).

Web analytics and session replay count a session only where its id is a UUIDv7, where no event of it comes before the
time in the id or more than 24 hours after it, and where all its events are one person's:
https://posthog.com/docs/data/sessions
"""

from __future__ import annotations

import hashlib
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

#: A session ends for PostHog so many microseconds after the time in its id.
LONGEST: Final = 86_400_000_000

#: The times a UUIDv7 can hold, ms since 1970.
_TIMES: Final = range(1 << 48)

_UUID7: Final = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$"


def session_id(milliseconds: int, *names: str) -> str | None:
    """Return the UUIDv7 (RFC 9562 §5.7) of a time and *names*, whose SHA-256 stands for its random bits.

    None for a time that a UUIDv7 cannot hold.
    """
    if milliseconds not in _TIMES:
        return None
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    raw = bytearray(milliseconds.to_bytes(6, "big") + digest[:10])
    raw[6] = raw[6] & 0x0F | 0x70
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def are_session_ids(texts: pa.StringArray) -> pa.BooleanArray:
    """Return which texts are ids that PostHog takes for a session's; null is none."""
    return pc.fill_null(pc.match_substring_regex(texts, _UUID7), False)
