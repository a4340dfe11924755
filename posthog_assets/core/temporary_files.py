"""What is said where a temporary file finds no room.

Belongs here: that sentence. Does not belong here: where temporary files stand (`storage.scratch`), files that are kept.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from posthog_assets.core.errors import StorageError

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@contextmanager
def writing_temporary(path: Path) -> Iterator[None]:
    """Write the temporary file *path* in the block.

    Raises:
        StorageError: there is no room for it; it names the file, since that is often another disk than the storage's.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        # Arrow's own text repeats itself.
        raise StorageError(
            f"{path} cannot be written: {os.strerror(error.errno)}. Make room there, or set TMPDIR to a folder on a "
            "larger disk; then run this again"
        ) from error
