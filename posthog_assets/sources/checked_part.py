"""A file that is hashed while it is read, so that what was read can be held against a manifest without a second pass.

Belongs here: the hash of every byte, in whatever order they are read. Does not belong here: what it is compared with
(`manifest`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final, cast

from posthog_assets.core.errors import BrokenPart

_BLOCK: Final = 4 << 20


@contextmanager
def checked(file: IO[bytes], sha256: str, altered: BrokenPart) -> Iterator[IO[bytes]]:
    """Yield an open file to read; raises *altered* when the block ends and the file's hash is not *sha256*.

    What cannot be read because it was altered raises it too, in place of the words about where reading ended.
    """
    hashed = HashedFile(file)
    try:
        yield cast("IO[bytes]", hashed)
    except BrokenPart as error:
        if hashed.sha256() == sha256:
            raise
        raise altered from error
    if hashed.sha256() != sha256:
        raise altered


class HashedFile:
    """Reads an open file, positioned at its start, and hashes what comes by.

    A file that is read from its start to its end costs nothing more than the hash. What was jumped over (Parquet and
    zip begin at the end) is read for `sha256`.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        #: How much of the file, from its start, is hashed; and where it stands.
        self._hashed = 0
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        end = self._position + len(data)
        if self._position <= self._hashed < end:
            self._digest.update(memoryview(data)[self._hashed - self._position :])
            self._hashed = end
        self._position = end
        return data

    def seekable(self) -> bool:
        return self._file.seekable()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = self._file.seek(offset, whence)
        return self._position

    def tell(self) -> int:
        return self._position

    def sha256(self) -> str:
        """Return the hash of the whole file, reading what of it was not read yet."""
        self.seek(self._hashed)
        while self.read(_BLOCK):
            pass
        return self._digest.hexdigest()
