"""Uuids that occur more than once in a day, found in bounded memory.

Belongs here: remembering uuids, on disk where they are many. Does not belong here: what becomes of repeated ones
(`repeats`).
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, Final

import numpy as np

_BUCKETS: Final = 64
#: Uuids that are held in memory before files are made for them: a megabyte.
_HELD: Final = 1 << 16


class UuidSpool:
    """Remembers uuids, many of them on disk, and says which occurred more than once; a context manager.

    Its memory is that of a bucket, or of 65,536 uuids.
    """

    def __init__(self, folder: Path, held: int = _HELD) -> None:
        self._folder = folder
        self._room = held
        self._held: list[bytes] = []
        self._files: list[IO[bytes]] = []

    def __enter__(self) -> UuidSpool:
        return self

    def __exit__(self, *exc: object) -> None:
        for file in self._files:
            file.close()

    def add(self, uuids: np.ndarray) -> None:
        """Remember uuids given as 16 bytes each (`S16`)."""
        if self._files:
            self._write(uuids)
            return
        self._held.append(uuids.tobytes())
        self._room -= len(uuids)
        if self._room < 0:
            self._files = [(self._folder / f"uuids-{bucket:02d}").open("w+b") for bucket in range(_BUCKETS)]
            self._write(np.frombuffer(b"".join(self._held), dtype="S16"))
            self._held.clear()

    def _write(self, uuids: np.ndarray) -> None:
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
        found = [_repeated(b"".join(self._held))]
        for file in self._files:
            file.flush()
            file.seek(0)
            found.append(_repeated(file.read()))
        return np.sort(np.concatenate(found))


def _repeated(content: bytes) -> np.ndarray:
    uuids = np.sort(np.frombuffer(content, dtype="S16"))
    return np.unique(uuids[1:][uuids[1:] == uuids[:-1]])
