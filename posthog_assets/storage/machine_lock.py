"""Small files that all processes of one machine read and write in turn, whoever runs them.

Belongs here: making, opening and locking them. Does not belong here: what is in them (`sources.http.api`,
`destination.gate`).

A daemon and a person who calls a command are often two users, and the temporary folder is everybody's. So such a file
may be written by all, whatever the umask of its maker; and it is opened without O_CREAT where it exists, because with
it Linux refuses other users' files in a sticky folder (fs.protected_regular).
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from posthog_assets.core.errors import StorageError

_EVERYBODYS: Final = 0o666


@contextmanager
def held(path: Path) -> Iterator[IO[bytes]]:
    """Yield the file at *path*, open for reading and writing at its begin, while nobody else has it; made if need be.

    Raises:
        StorageError: it cannot be opened, read or written.
    """
    try:
        with os.fdopen(_opened(path), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
    except OSError as error:
        raise StorageError(
            f"{path}, by which the processes of this machine keep a rate together, cannot be used: {error.strerror}. "
            "If it is another user's, let them delete it; otherwise make room, or set TMPDIR to a folder that all may "
            "write to"
        ) from None


def _opened(path: Path) -> int:
    while True:
        with suppress(FileNotFoundError):
            return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        path.parent.mkdir(parents=True, exist_ok=True)
        # It appears with its mode, lest somebody meet it before.
        handle, temporary = tempfile.mkstemp(prefix=f"{path.name}-", dir=path.parent)
        try:
            os.fchmod(handle, _EVERYBODYS)
            with suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            os.close(handle)
            Path(temporary).unlink()
