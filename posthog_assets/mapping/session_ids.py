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

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.mapping.uuids import hyphenated

#: A session ends for PostHog so many microseconds after the time in its id.
LONGEST: Final = 86_400_000_000

#: So many times can a UUIDv7 hold, ms from 1970 on.
_TIMES: Final = 1 << 48

_UUID7: Final = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$"


def session_ids(milliseconds: np.ndarray, names: list[str]) -> pa.StringArray:
    """Return a UUIDv7 (RFC 9562 §5.7) of each time and name, whose SHA-256 stands for its random bits.

    Null for a time that a UUIDv7 cannot hold. A name of several parts has them with `\\0` between.
    """
    raw = np.empty((len(names), 16), np.uint8)
    raw[:, :6] = milliseconds.astype(">i8").view(np.uint8).reshape(-1, 8)[:, 2:]
    digests = b"".join([hashlib.sha256(name.encode()).digest()[:10] for name in names])
    raw[:, 6:] = np.frombuffer(digests, np.uint8).reshape(-1, 10)
    raw[:, 6] = raw[:, 6] & 0x0F | 0x70
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    fits = (milliseconds >= 0) & (milliseconds < _TIMES)
    return pc.if_else(pa.array(fits), hyphenated(raw), pa.scalar(None, pa.string()))


def are_session_ids(texts: pa.StringArray) -> pa.BooleanArray:
    """Return which texts are ids that PostHog takes for a session's; null is none."""
    return pc.fill_null(pc.match_substring_regex(texts, _UUID7), False)
