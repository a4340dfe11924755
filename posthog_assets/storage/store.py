"""One import's folder, and which process may work on which of its partitions.

Belongs here: the locks of partitions and of what runs share, and what killed runs left of them. Does not belong here:
files (`folder`), how a lease is held (`leases`), what the files mean.

Layout below the storage folder, one folder per import:

    <import>/raw_export/<day>/manifest.json and parts
    <import>/staged_events/<day>.parquet
    <import>/posthog_events/<day>.parquet
    <import>/imported_batches/<day>/...
    <import>/landed_events/<day>.parquet
"""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from posthog_assets.core.errors import PartitionBusy, StorageError
from posthog_assets.storage.folder import TEMPORARY, Folder
from posthog_assets.storage.leases import Held, Holding, lease

#: How often a lock that is held for moments is waited for, on a store where that is a lease.
_BRIEF_TRIES: Final = 60


class Store(Folder):
    """One import's folder, on a local disk or on any fsspec store, with its locks."""

    def sweep(self, relative: str) -> None:
        """Delete temporary files that a killed process left in folder *relative* (call with its lock held)."""
        folder = self.path(relative)
        if self._local and folder.exists():
            for entry in Path(folder.path).glob(f"{TEMPORARY}*"):
                entry.unlink(missing_ok=True)

    def sweep_beside(self, relative: str) -> None:
        """Delete temporary files that a killed process left of the file *relative* (call with its lock held)."""
        path = Path(self.path(relative).path)
        if self._local and path.parent.exists():
            for entry in path.parent.glob(f"{TEMPORARY}*-{glob.escape(path.name)}"):
                entry.unlink(missing_ok=True)

    def _sweep_partition(self, asset: str, day: str) -> None:
        # Other days' files, which others may be writing, lie in the same folder.
        self.sweep_beside(f"{asset}/{day}.parquet")
        for folder in (f"{asset}/{day}", f"{asset}/{day}/batches"):
            self.sweep(folder)

    @contextlib.contextmanager
    def lock(self, asset: str, day: str) -> Iterator[Holding]:
        """Hold the partition while the block runs; yields what tells whether it is still held.

        On a local disk this is an OS lock that dies with its process; elsewhere a lease, which outlives it by a minute
        and is waited for that long. It can be lost: ask before anything that only its holder may do. Temporary files
        that killed runs left of the partition go.

        Raises:
            PartitionBusy: another process holds it.
            StorageError: the storage is another user's, or cannot be written.
        """
        busy = f"another run is materializing {self.root.name}/{asset} for {day}"
        if not self._local:
            with self._leased(f".locks/{asset}-{day}.json", f"{self.root.name}/{asset} for {day}", busy) as holding:
                yield holding
            return
        try:
            lock = self._acquired(f"{asset}-{day}", timeout=0)
        except Timeout:
            raise PartitionBusy(f"{busy}; wait for it to finish, then run this one again") from None
        with lock:
            self._sweep_partition(asset, day)
            yield Holding()

    @contextlib.contextmanager
    def _leased(self, relative: str, what: str, busy: str) -> Iterator[Holding]:
        with contextlib.ExitStack() as stack:
            with self._answers(relative):
                try:
                    held = stack.enter_context(lease(self._files, self.path(relative).path, what, self._timing))
                except Held as holder:
                    raise PartitionBusy(f"{busy} ({holder}); wait for it to finish, then run this one again") from None
            yield held

    @contextlib.contextmanager
    def shared_lock(self, name: str) -> Iterator[None]:
        """Hold *name* while the block runs, waiting for the process that holds it (local disks only)."""
        if not self._local:
            yield
            return
        with self._acquired(name, timeout=-1):
            yield

    @contextlib.contextmanager
    def brief_lock(self, name: str) -> Iterator[None]:
        """Hold *name* for the moment that the block takes, waiting for other processes that hold it, on any store.

        Raises:
            PartitionBusy: each time it was free another process was faster.
        """
        if self._local:
            with self.shared_lock(name):
                yield
            return
        what = f"{self.root.name}/{name}"
        with contextlib.ExitStack() as stack:
            for left in reversed(range(_BRIEF_TRIES)):
                try:
                    stack.enter_context(self._leased(f".locks/{name}.json", what, f"other runs write {what}"))
                    break
                except PartitionBusy:
                    # Of several that wait for one process each sees the next one as a holder.
                    if not left:
                        raise
            yield

    def _acquired(self, name: str, timeout: float) -> AbstractContextManager[object]:
        path = Path(self.path(f".locks/{name}").path)
        self._made(path.parent)
        try:
            return FileLock(path).acquire(timeout)
        except PermissionError as error:
            raise StorageError(
                f"no permission to write {path}: whatever works on {self.root} must run as the user whose it is"
            ) from error
        except Timeout:
            raise
        except OSError as error:
            raise StorageError(f"{path} cannot be locked: {error.strerror}. Delete it if it is no file") from error
