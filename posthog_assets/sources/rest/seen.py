"""Which records of a day were read already.

Belongs here: remembering keys in little memory. Does not belong here: what a record's key is (`sift`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

_BYTES: Final = 16
_KEY: Final = np.dtype(f"S{_BYTES}")


class SeenKeys:
    """A set of 16-byte digests that takes 16 bytes for each: sorted runs, of which small ones are merged."""

    def __init__(self) -> None:
        self._runs: list[np.ndarray] = []

    def add(self, keys: list[bytes]) -> None:
        """Add digests."""
        if not keys:
            return
        self._runs.append(np.sort(np.array(keys, _KEY)))
        # Each run is longer than the next, so there are few, and a key is merged a few times only.
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            self._runs.append(np.sort(np.concatenate([self._runs.pop(), self._runs.pop()])))

    def holds(self, keys: list[bytes]) -> np.ndarray:
        """Return for each of *keys* whether it was added."""
        wanted = np.array(keys, _KEY)
        found = np.zeros(len(wanted), bool)
        for run in self._runs:
            places = np.minimum(np.searchsorted(run, wanted), len(run) - 1)
            found |= run[places] == wanted
        return found

    def join(self, other: SeenKeys) -> None:
        """Add what *other* holds."""
        for run in other._runs:
            self._runs.append(run)
        self._runs.sort(key=len, reverse=True)
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            self._runs.append(np.sort(np.concatenate([self._runs.pop(), self._runs.pop()])))
