"""Uuids that occur more than once in a day, found in bounded memory.

Belongs here: which ones do. Does not belong here: what becomes of them (`repeats`).
"""

from __future__ import annotations

import numpy as np

from posthog_assets.core.uuid_sorter import UuidSorter, whole


def repeated_uuids(sorter: UuidSorter) -> np.ndarray:
    """Return the uuids (`S16`) that were added to *sorter* more than once, sorted."""
    found = [np.empty(0, dtype="S16")]
    for high, low in sorter.pieces():
        uuids = np.sort(whole(high, low))
        found.append(np.unique(uuids[1:][uuids[1:] == uuids[:-1]]))
    return np.concatenate(found)
