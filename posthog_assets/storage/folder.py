"""One import's folder: its files, and how they are written so that a crash never leaves half of one.

Belongs here: reading, listing and deleting files below the folder, atomic writes, wherever it is. Does not belong here:
who may work on a partition (`store`), Parquet (`parquet`), what the files mean.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from upath import UPath

from posthog_assets.core.errors import ImportFileError, PosthogAssetsError, StorageError, StorageUnavailable, shorten
from posthog_assets.core.temporary_files import writing_temporary
from posthog_assets.storage.downloads import Downloads, create, read_small, steadily
from posthog_assets.storage.scratch import scratch_folder
from posthog_assets.storage.timing import DEFAULT, Timing

T = TypeVar("T")

#: What the names of files begin with that are being written.
TEMPORARY: Final = ".tmp-"

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class Folder:
    """One import's folder, on a local disk or on any fsspec store.

    A write goes to a local temporary file first. On a local disk that file lies beside its target, is synced and
    renamed over it; elsewhere it is uploaded whole, and appears when it is complete. What is read from elsewhere is
    downloaded whole, since it is read several times.
    """

    def __init__(
        self, url: str, import_name: str, options: Mapping[str, Any] | None = None, timing: Timing = DEFAULT
    ) -> None:
        """Open *import_name*'s folder below *url*, a path or an fsspec URL; *options* are passed to fsspec.

        *timing* is what waiting for a store elsewhere goes by.

        Raises:
            ImportFileError: the URL names a protocol that is not installed.
            StorageUnavailable: nothing answers there.
        """
        try:
            self.root = UPath(url, **(options or {})) / import_name
            self._local = self.root.protocol in ("", "file", "local")
            if not self._local:
                # Listings are cached for the life of the process; other processes write here too.
                self.root = UPath(url, **({"use_listings_cache": False} | dict(options or {}))) / import_name
                # Makes the file system, which is where a missing package shows.
                self._files: Any = self.root.fs
        except (ValueError, ImportError) as error:
            raise ImportFileError(f"storage {url!r} cannot be opened: {error}") from error
        except OSError as error:
            # Some file systems connect at once.
            raise StorageUnavailable(f"storage {url} could not be reached: {shorten(str(error))}") from error
        if self._local:
            self.root = UPath(Path(self.root.path).absolute())
        self._timing = timing
        # A ledger may have ten thousand files, and making a path object takes as long as opening a file.
        self._folder = str(self.root)
        self._downloads: Downloads | None = None
        self._uploads: tempfile.TemporaryDirectory[str] | None = None
        self._making = threading.Lock()
        #: The import whose raw export this store holds.
        self.raw_owner = import_name

    @property
    def is_local(self) -> bool:
        return self._local

    def path(self, relative: str) -> UPath:
        """Return the full path of *relative*, for messages and metadata."""
        return self.root / relative

    def local_path(self, relative: str) -> Path | None:
        """Return *relative* as a path of the local file system, None where the store is elsewhere."""
        return Path(self.path(relative).path) if self._local else None

    def exists(self, relative: str) -> bool:
        with self._answers(relative):
            return self._ask(self.path(relative).exists)

    def size(self, relative: str) -> int:
        """Return the size in bytes; raises FileNotFoundError."""
        with self._answers(relative):
            return int(self._ask(self.path(relative).stat).st_size)

    def names(self, relative: str) -> list[str]:
        """Return the sorted names of the files and folders in folder *relative*; none where it does not exist."""
        return sorted(name for name, _ in self._entries(relative) if not name.startswith(TEMPORARY))

    def folders(self, relative: str) -> list[str]:
        """Return the sorted names of the folders in folder *relative*; none where it does not exist."""
        return sorted(name for name, is_folder in self._entries(relative) if is_folder)

    def _entries(self, relative: str) -> list[tuple[str, bool]]:
        """Return the names of what is in a folder, and whether each is a folder; elsewhere by one listing."""
        path = self.path(relative).path.rstrip("/")
        try:
            with self._answers(relative):
                if self._local:
                    with os.scandir(path) as entries:
                        return [(entry.name, _is_folder(entry)) for entry in entries]
                found = self._steadily(lambda: self._files.ls(path, detail=True))
        except FileNotFoundError:
            return []
        listed = [(str(entry["name"]).strip("/"), entry["type"] == "directory") for entry in found]
        # Some tools make an object that stands for the folder itself.
        return [(name.rsplit("/", 1)[-1], is_folder) for name, is_folder in listed if name != path.strip("/")]

    def delete(self, relative: str) -> None:
        """Delete a file; one that does not exist is fine."""
        with contextlib.suppress(FileNotFoundError), self._answers(relative):
            self._ask(self.path(relative).unlink)

    def delete_all(self, relatives: list[str]) -> None:
        """Delete files, in as few requests as the store allows; those that do not exist are fine."""
        if self._local:
            for relative in relatives:
                with contextlib.suppress(FileNotFoundError), self._answers(relative):
                    os.unlink(f"{self._folder}/{relative}")  # noqa: PTH108
        elif relatives:
            paths = [self.path(relative).path for relative in relatives]
            try:
                with self._answers(relatives[0]):
                    self._steadily(lambda: self._files.rm(paths))
            except FileNotFoundError:
                # Some stores end with the first that does not exist.
                for relative in relatives:
                    self.delete(relative)

    def open(self, relative: str) -> IO[bytes]:
        """Open a file for reading, seekable.

        Raises:
            FileNotFoundError: it is not there.
            StorageError: it is no file, or may not be read.
        """
        with self._answers(relative):
            if self._local:
                return _regular(f"{self._folder}/{relative}")
            file = self._downloaded().open(self.path(relative).path)
        self._name(file, relative)
        return file

    def _name(self, file: IO[bytes], relative: str) -> None:
        """What is wrong with a file is said of the one in the store, not of its copy on this machine."""
        raw = getattr(file, "raw", None)
        if raw is not None:
            raw.name = str(self.path(relative))

    @contextlib.contextmanager
    def peek(self, relative: str) -> Iterator[IO[bytes]]:
        """Yield a file to read a few columns of, or its end; unlike `open`, nothing else of it is downloaded.

        Raises:
            FileNotFoundError: there is none.
            StorageUnavailable: the store does not answer, also when the file is read in the block.
        """
        if self._local:
            with self.open(relative) as file:
                yield file
            return
        with self._answers(relative):
            found = self._downloaded().peek(self.path(relative).path)
        # What the block itself raises is not the store's.
        with io.BufferedReader(_Peeked(found, lambda: self._answers(relative))) as file:
            self._name(file, relative)
            yield file

    def _scratch(self) -> tempfile.TemporaryDirectory[str]:
        with self._making:
            self._uploads = self._uploads or scratch_folder()
            return self._uploads

    def _downloaded(self) -> Downloads:
        with self._making:
            self._downloads = self._downloads or Downloads(self._files, self._timing)
            return self._downloads

    def read_bytes(self, relative: str) -> bytes:
        """Return what a small file holds; raises FileNotFoundError."""
        with self._answers(relative):
            path = self.path(relative)
            return path.read_bytes() if self._local else read_small(self._files, path.path, self._timing)

    def write_bytes(self, relative: str, content: bytes, *, durable: bool = True) -> None:
        """Write a small file atomically; see `atomic_write` for *durable*."""
        if self._local:
            with self.atomic_write(relative, durable=durable) as path:
                path.write_bytes(content)
        else:
            with self._answers(relative):
                self._steadily(lambda: self._files.pipe_file(self.path(relative).path, content))

    def create(self, relative: str, content: bytes) -> bool | None:
        """Write a small file that does not exist yet; returns whether it was written, None where the store cannot tell.

        Of several processes one gets True; none does where a store's answer to it is lost.
        """
        if not self._local:
            with self._answers(relative):
                return create(self._files, self.path(relative).path, content, self._timing)
        path = Path(self.path(relative).path)
        self._made(path.parent)
        with contextlib.suppress(FileExistsError), path.open("xb") as file:
            file.write(content)
            return True
        return False

    @contextlib.contextmanager
    def atomic_write(self, relative: str, *, durable: bool = True) -> Iterator[Path]:
        """Yield a local temporary path; what is written there becomes *relative* when the block ends.

        Where the block raises, the old content of *relative* stays as it was. What is not *durable* outlives a killed
        process, but may be lost in a power cut until it is made so (`sync`).

        Raises:
            StorageError: there is no room for it, or the store does not take it.
        """
        target = self.path(relative)
        folder = self._made(Path(target.path).parent) if self._local else Path(self._scratch().name)
        temporary = folder / f"{TEMPORARY}{uuid.uuid4().hex}-{target.name}"
        try:
            # Elsewhere it stands on another disk than what it becomes.
            with contextlib.nullcontext() if self._local else writing_temporary(temporary):
                yield temporary
            if self._local:
                if durable:
                    _sync(temporary)
                temporary.replace(target.path)
                if durable:
                    _sync(folder)
            else:
                with self._answers(relative):
                    # Not through an open file: one that is closed by an error would leave what it has got until then.
                    self._steadily(lambda: self._files.put_file(str(temporary), target.path))
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise StorageError(
                f"{target} cannot be written: {error.strerror}. Nothing that was written before is lost: make room, "
                "then run this again"
            ) from error
        finally:
            temporary.unlink(missing_ok=True)

    def sync(self, relatives: list[str]) -> None:
        """Make files durable that were written without it, and their folders; elsewhere they are so already."""
        if self._local:
            paths = [Path(self.path(relative).path) for relative in relatives]
            for path in [*paths, *dict.fromkeys(path.parent for path in paths)]:
                _sync(path)

    def _made(self, folder: Path) -> Path:
        """Return *folder*, made where it does not exist; raises StorageError."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"the folder {folder} cannot be made: {error.strerror}. Give the import a storage folder that this "
                "user may write to (storage: in the import file, or $POSTHOG_ASSETS_STORAGE)"
            ) from error
        return folder

    def _ask(self, ask: Callable[[], T]) -> T:
        return ask() if self._local else self._steadily(ask)

    def _steadily(self, ask: Callable[[], T]) -> T:
        return steadily(ask, self._timing)

    @contextlib.contextmanager
    def _answers(self, relative: str) -> Iterator[None]:
        """Turn what a store elsewhere raises, after several tries, into our errors."""
        try:
            yield
        except (FileNotFoundError, PosthogAssetsError, MemoryError):
            raise
        except PermissionError as error:
            raise StorageError(f"no permission for {self.path(relative)}: {shorten(str(error))}") from error
        except Exception as error:
            if self._local:
                raise
            words = shorten(str(error) or type(error).__name__)
            raise StorageUnavailable(f"{self.path(relative)}: the store did not answer: {words}") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads to itself.
        return False


def _regular(path: str) -> IO[bytes]:
    """Open a file of this machine: nothing that keeps its reader waiting, or is none."""
    try:
        file = open(path, "rb", opener=_at_once)  # noqa: SIM115
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.ELOOP):
            raise
        raise _no_file(path) from error
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise _no_file(path)


def _at_once(path: str, flags: int) -> int:
    # Of a pipe nobody may ever open the other end.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _no_file(path: str) -> StorageError:
    return StorageError(
        f"{path} is a folder, a pipe or a link to itself where a file should be. Move it away, restore the file from "
        "a backup if there was one, then run this again"
    )


class _Peeked(io.RawIOBase):
    """A file of a store elsewhere that asks it for more while it is read, which may go wrong."""

    def __init__(self, file: IO[bytes], answers: Callable[[], AbstractContextManager[None]]) -> None:
        self._file = file
        self._answers = answers

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        with self._answers():
            return self._file.seek(offset, whence)

    def readinto(self, buffer: Any, /) -> int:
        with self._answers():
            content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        if not self.closed:
            with self._answers():
                self._file.close()
        super().close()


def _sync(path: Path) -> None:
    if path.is_dir() and os.name != "posix":
        # There a folder is no file, and its entries are written with the files.
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
