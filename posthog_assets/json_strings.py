"""Columns of texts as JSON strings.

Belongs here: quoting and escaping. Does not belong here: objects.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.packed_uuids import offsets_of

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
