"""Uuids that occur more than once in a day, found in bounded memory.

Belongs here: remembering uuids on disk. Does not belong here: what becomes of repeated ones (`repeats`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

_BUCKETS: Final = 64


class UuidSpool:
    """Remembers uuids on disk, and says which occurred more than once, in memory of one bucket; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._files = [(folder / f"uuids-{bucket:02d}").open("w+b") for bucket in range(_BUCKETS)]

    def __enter__(self) -> UuidSpool:
        return self

    def __exit__(self, *exc: object) -> None:
        for file in self._files:
            file.close()

    def add(self, uuids: np.ndarray) -> None:
        """Remember uuids given as 16 bytes each (`S16`)."""
        raw = uuids.view(np.uint8).reshape(-1, 16)
        buckets = raw[:, 15] & (_BUCKETS - 1)
        order = np.argsort(buckets, kind="stable")
        ends = np.cumsum(np.bincount(buckets, minlength=_BUCKETS))
        ordered = raw[order].tobytes()
        start = 0
        for file, end in zip(self._files, ends.tolist(), strict=True):
            file.write(ordered[start * 16 : end * 16])
            start = end

    def repeated(self) -> np.ndarray:
        """Return the uuids that were added more than once, sorted."""
        found = [np.empty(0, dtype="S16")]
        for file in self._files:
            file.flush()
            file.seek(0)
            uuids = np.sort(np.frombuffer(file.read(), dtype="S16"))
            found.append(np.unique(uuids[1:][uuids[1:] == uuids[:-1]]))
        return np.sort(np.concatenate(found))
