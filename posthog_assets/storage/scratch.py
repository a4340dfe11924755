"""What this machine's disk holds for a while: working folders, and small files by which the processes of a user agree.

Belongs here: one folder below the temporary one, its user's alone, and clearing it of what killed processes left. Does
not belong here: what is in the files (`rates`), or anything that is worth keeping (`store`).

    <temporary folder>/posthog-assets-<user>/     readable by this user only
        <process>-<token>.lock                    held as long as that process lives
        <process>-<token>-.../                    its working folders
        <name>                                    small files, each locked while it is used
"""

from __future__ import annotations

import getpass
import os
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from posthog_assets.core.errors import StorageError

#: What is younger may be about to be locked, or used again, seconds.
_YOUNG: Final = 60.0
_UNUSED: Final = 86_400.0

#: The lock of each process that has working folders: this one, and those it was forked from.
_locks: dict[int, FileLock] = {}


def private_folder() -> Path:
    """Return this user's folder for temporary things, made where it does not exist.

    Raises:
        StorageError: it is another user's or no folder, or cannot be made.
    """
    folder = Path(tempfile.gettempdir()) / f"posthog-assets-{_user()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if hasattr(os, "getuid") and (found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode)):
            raise StorageError(
                f"{folder} is not a folder of user {_user()}: delete it, or set TMPDIR to a folder of your own"
            )
        if stat.S_IMODE(found.st_mode) & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be made: {error.strerror}. Make room, or set TMPDIR to a folder that you may write to"
        ) from None
    return folder


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a new folder that goes with the object that is returned, or with its `with` block.

    The first one of a process also clears away what killed processes left.
    """
    lock = _locks.get(os.getpid())
    # Tests, and a service whose TMPDIR is cleared, may lose it.
    if lock is None or not Path(lock.lock_file).exists() or Path(lock.lock_file).parent != private_folder():
        lock = _locks[os.getpid()] = _taken(private_folder() / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.lock")
        for abandoned in leftovers():
            delete(abandoned)
    name = Path(lock.lock_file).stem
    return tempfile.TemporaryDirectory(prefix=f"{name}-", dir=Path(lock.lock_file).parent)


def leftovers() -> Iterator[Path]:
    """Yield the working folders, locks and small files that no process of this user needs any more."""
    now = time.time()
    # Every process that sorts looks here first, and there may be thousands: no path is made of what stays.
    with os.scandir(private_folder()) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        with suppress(FileNotFoundError):
            age = now - entry.stat(follow_symlinks=False).st_mtime
            if age > (_YOUNG if _is_of_process(entry) else _UNUSED) and not _is_in_use(entry):
                yield Path(entry.path)


def _is_of_process(entry: os.DirEntry[str]) -> bool:
    """Whether it is a working folder, or the lock of a process; else it is a small file."""
    return entry.is_dir() or (entry.name.endswith(".lock") and entry.name[0].isdigit())


def _is_in_use(entry: os.DirEntry[str]) -> bool:
    """Whether the process whose folder or lock it is still lives; small files are no process's."""
    path = Path(entry.path)
    if entry.is_dir():
        return _is_held(path.with_name("-".join(entry.name.split("-")[:2]) + ".lock"))
    return _is_of_process(entry) and _is_held(path)


def delete(path: Path) -> None:
    """Delete a file or folder of `leftovers`; what cannot be deleted stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _taken(path: Path) -> FileLock:
    lock = FileLock(path, mode=0o600)
    lock.acquire(timeout=10)
    return lock


def _is_held(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0, mode=0o600):
            return False
    except Timeout:
        return True


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()
