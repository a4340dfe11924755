"""Small files that all processes of a user on this machine read and write in turn.

Belongs here: opening and locking them. Does not belong here: what is in them (`rates`, `sources.http.api`), or where
they are (`scratch`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from filelock import FileLock

from posthog_assets.core.errors import StorageError

#: A process holds the file for microseconds.
_POLL_SECONDS: Final = 0.002


@contextmanager
def held(path: Path) -> Iterator[IO[bytes]]:
    """Open *path* for reading and writing, exclusively locked and positioned at the start; create it if it is absent.

    Raises:
        StorageError: it cannot be opened, read or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", mode=0o600, poll_interval=_POLL_SECONDS):
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
            with os.fdopen(os.open(path, flags | getattr(os, "O_BINARY", 0), 0o600), "r+b") as file:
                yield file
    except OSError as error:
        raise StorageError(
            f"{path}, by which the processes of this machine keep a rate together, cannot be used: {error.strerror}. "
            "Make room, delete it if it is another user's, or set TMPDIR to a folder that you may write to"
        ) from None
