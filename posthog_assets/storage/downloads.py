"""Files of a store elsewhere, on this machine's disk while they are read.

Belongs here: downloading whole files, and trying again. Does not belong here: which files (`store`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt

from posthog_assets.core.errors import StorageError
from posthog_assets.core.http import backoff
from posthog_assets.core.temporary_files import writing_temporary
from posthog_assets.storage.scratch import scratch_folder
from posthog_assets.storage.timing import Timing

#: Files kept: a step reads one several times, and sometimes a second one beside it.
_KEPT: Final = 2

#: What a look into a file fetches at a time.
_PEEK_BYTES: Final = 256 << 10

#: Final answers, and no room for them here: asking again would change nothing.
_ANSWERS: Final = (
    StorageError,
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
)

T = TypeVar("T")


def steadily(ask: Callable[[], T], timing: Timing) -> T:
    """Return what *ask* returns, asking again with growing pauses where it raises anything but a final answer."""
    tries = Retrying(
        stop=stop_after_attempt(timing.tries),
        wait=lambda state: backoff(state.attempt_number + 1),
        retry=retry_if_exception(lambda error: isinstance(error, Exception) and not isinstance(error, _ANSWERS)),
        sleep=timing.sleep,
        reraise=True,
    )
    return tries(ask)


def create(files: Any, path: str, content: bytes, timing: Timing) -> bool | None:
    """Write an object that does not exist yet; returns whether it was written, None where the store cannot tell."""

    def attempt() -> bool | None:
        try:
            files.pipe_file(path, content, mode="create")
        except FileExistsError:
            return False
        except (NotImplementedError, TypeError):
            return None
        return True

    return steadily(attempt, timing)


def read_small(files: Any, path: str, timing: Timing) -> bytes:
    """Return what a small object holds, by one request; those of s3fs and adlfs ask for the size first otherwise."""
    parameters = signature(getattr(files, "_cat_file", files.cat_file)).parameters
    at_once = {"max_concurrency": 1} if "max_concurrency" in parameters else {}
    return bytes(steadily(lambda: files.cat_file(path, **at_once), timing))


class Downloads:
    """The last files that were opened; they go with this object."""

    def __init__(self, files: Any, timing: Timing) -> None:
        self._files = files
        self._timing = timing
        self._folder = scratch_folder()
        self._there: dict[tuple[str, str], Path] = {}
        self._number = 0
        self._lock = threading.Lock()

    def open(self, path: str) -> IO[bytes]:
        """Open *path*, as it is in the store now; raises FileNotFoundError, and what the store raises in the end."""
        key = self._key(path)
        if file := self._opened(key):
            return file
        with self._lock:
            self._number += 1
            local = Path(self._folder.name) / str(self._number)

        def fetch() -> None:
            with writing_temporary(local):
                self._files.get_file(path, str(local))

        try:
            steadily(fetch, self._timing)
        except BaseException:
            local.unlink(missing_ok=True)
            raise
        with self._lock:
            self._there[key] = local
            while len(self._there) > _KEPT:
                # A reader that has it open goes on.
                self._there.pop(next(iter(self._there))).unlink()
            return local.open("rb")

    def peek(self, path: str) -> IO[bytes]:
        """Open *path* to read little of it: of what is not on this machine yet, only the blocks that are read."""
        file: IO[bytes] = self._opened(self._key(path)) or steadily(
            lambda: self._files.open(path, "rb", block_size=_PEEK_BYTES, cache_type="readahead"), self._timing
        )
        return file

    def _key(self, path: str) -> tuple[str, str]:
        info = steadily(lambda: self._files.info(path), self._timing)
        return path, repr([info.get(name) for name in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "size")])

    def _opened(self, key: tuple[str, str]) -> IO[bytes] | None:
        with self._lock:
            return self._there[key].open("rb") if key in self._there else None
