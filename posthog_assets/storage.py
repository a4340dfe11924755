"""Where a partition lives, and how it is written so that a crash never leaves half of it.

Belongs here: paths below an import's folder, atomic writes, Parquet streams, the partition lock. Does not
belong here: what the files mean.

Layout below the storage folder, one folder per import:

    <import>/raw_export/<day>/manifest.json and parts
    <import>/staged_events/<day>.parquet
    <import>/posthog_events/<day>.parquet
    <import>/imported_batches/<day>/...
    <import>/landed_events/<day>.parquet
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from posthog_assets.ahead import ahead
from posthog_assets.downloads import Downloads, create, steadily
from posthog_assets.errors import (
    ImportFileError,
    PartitionBusy,
    PosthogAssetsError,
    StorageError,
    StorageUnavailable,
    shorten,
)
from posthog_assets.leases import Held, lease

#: A day of an import; or a name, for what has no days.
Partition = date | str

T = TypeVar("T")

_TEMPORARY: Final = ".tmp-"

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def key_of(partition: Partition) -> str:
    """Return a partition as its key and file name, `2015-09-12`."""
    return partition if isinstance(partition, str) else partition.isoformat()


class Store:
    """One import's folder, on a local disk or on any fsspec store.

    A write goes to a local temporary file first. On a local disk that file lies beside its target, is synced and
    renamed over it; elsewhere it is uploaded whole, and appears when it is complete. What is read from elsewhere is
    downloaded whole, since it is read several times.
    """

    def __init__(self, url: str, import_name: str, options: Mapping[str, Any] | None = None) -> None:
        """Open *import_name*'s folder below *url*, a path or an fsspec URL; *options* are passed to fsspec.

        Raises:
            ImportFileError: the URL names a protocol that is not installed.
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
        if self._local:
            self.root = UPath(Path(self.root.path).absolute())
        self._downloads: Downloads | None = None
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
        """Return the sorted names of the files in folder *relative*; none where it does not exist."""
        return sorted(entry.name for entry in self._entries(relative) if not entry.name.startswith(_TEMPORARY))

    def folders(self, relative: str) -> list[str]:
        """Return the sorted names of the folders in folder *relative*; none where it does not exist."""
        return sorted(entry.name for entry in self._entries(relative) if entry.is_dir())

    def _entries(self, relative: str) -> list[UPath]:
        folder = self.path(relative)
        with self._answers(relative):
            return self._ask(lambda: list(folder.iterdir()) if folder.exists() else [])

    def delete(self, relative: str) -> None:
        """Delete a file; one that does not exist is fine."""
        with contextlib.suppress(FileNotFoundError), self._answers(relative):
            self._ask(self.path(relative).unlink)

    def delete_all(self, relatives: list[str]) -> None:
        """Delete files, in as few requests as the store allows; those that do not exist are fine."""
        if self._local:
            for relative in relatives:
                self.delete(relative)
        elif relatives:
            paths = [self.path(relative).path for relative in relatives]
            with contextlib.suppress(FileNotFoundError), self._answers(relatives[0]):
                steadily(lambda: self._files.rm(paths))

    def open(self, relative: str) -> IO[bytes]:
        """Open a file for reading, seekable; raises FileNotFoundError."""
        if self._local:
            return self.path(relative).open("rb")
        self._downloads = self._downloads or Downloads(self._files)
        with self._answers(relative):
            return self._downloads.open(self.path(relative).path)

    def read_bytes(self, relative: str) -> bytes:
        with self._answers(relative):
            return self._ask(self.path(relative).read_bytes)

    def write_bytes(self, relative: str, content: bytes) -> None:
        """Write a small file atomically."""
        if self._local:
            with self.replace(relative) as path:
                path.write_bytes(content)
        else:
            with self._answers(relative):
                steadily(lambda: self._files.pipe_file(self.path(relative).path, content))

    def create(self, relative: str, content: bytes) -> bool | None:
        """Write a small file that does not exist yet; returns whether it was written, None where the store cannot tell.

        Of several processes one gets True; none does where a store's answer to it is lost.
        """
        if not self._local:
            with self._answers(relative):
                return create(self._files, self.path(relative).path, content)
        path = Path(self.path(relative).path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), path.open("xb") as file:
            file.write(content)
            return True
        return False

    @contextlib.contextmanager
    def replace(self, relative: str) -> Iterator[Path]:
        """Yield a local temporary path; what is written there becomes *relative* when the block ends.

        Where the block raises, the old content of *relative* stays as it was.

        Raises:
            StorageError: there is no room for it, or the store does not take it.
        """
        target = self.path(relative)
        if self._local:
            folder = Path(target.path).parent
            folder.mkdir(parents=True, exist_ok=True)
        else:
            folder = Path(tempfile.gettempdir())
        temporary = folder / f"{_TEMPORARY}{uuid.uuid4().hex}-{target.name}"
        try:
            yield temporary
            if self._local:
                _sync(temporary)
                temporary.replace(target.path)
                _sync(folder)
            else:
                with self._answers(relative):
                    # Not through an open file: one that is closed by an error would leave what it has got until then.
                    steadily(lambda: self._files.put_file(str(temporary), target.path))
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise StorageError(
                f"{target} cannot be written: {error.strerror}. Nothing that was written before is lost: make room, "
                "then run this again"
            ) from error
        finally:
            temporary.unlink(missing_ok=True)

    def _ask(self, ask: Callable[[], T]) -> T:
        return ask() if self._local else steadily(ask)

    @contextlib.contextmanager
    def _answers(self, relative: str) -> Iterator[None]:
        """Turn what a store elsewhere raises, after several tries, into our errors."""
        try:
            yield
        except (FileNotFoundError, PosthogAssetsError):
            raise
        except PermissionError as error:
            raise StorageError(f"no permission for {self.path(relative)}: {shorten(str(error))}") from error
        except Exception as error:
            if self._local:
                raise
            words = shorten(str(error) or type(error).__name__)
            raise StorageUnavailable(f"{self.path(relative)}: the store did not answer: {words}") from error

    def sweep(self, relative: str) -> None:
        """Delete temporary files that a killed process left in folder *relative* (call with its lock held)."""
        folder = self.path(relative)
        if self._local and folder.exists():
            for entry in Path(folder.path).glob(f"{_TEMPORARY}*"):
                entry.unlink(missing_ok=True)

    @contextlib.contextmanager
    def lock(self, asset: str, day: str) -> Iterator[None]:
        """Hold the partition while the block runs.

        On a local disk this is an OS lock that dies with its process; elsewhere a lease, which outlives it by a minute
        and is waited for that long.

        Raises:
            PartitionBusy: another process holds it.
            StorageError: the storage is another user's.
        """
        busy = f"another run is materializing {self.root.name}/{asset} for {day}"
        if not self._local:
            with self._leased(f".locks/{asset}-{day}.json", busy):
                yield
            return
        with self._lock_file(f"{asset}-{day}") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise PartitionBusy(f"{busy}; wait for it to finish, then run this one again") from error
            yield

    @contextlib.contextmanager
    def _leased(self, relative: str, busy: str) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            with self._answers(relative):
                try:
                    stack.enter_context(lease(self._files, self.path(relative).path))
                except Held as holder:
                    raise PartitionBusy(f"{busy} ({holder}); wait for it to finish, then run this one again") from None
            yield

    @contextlib.contextmanager
    def shared_lock(self, name: str) -> Iterator[None]:
        """Hold *name* while the block runs, waiting for whoever holds it (local disks only)."""
        if not self._local:
            yield
            return
        with self._lock_file(name) as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _lock_file(self, name: str) -> IO[str]:
        path = Path(self.path(f".locks/{name}").path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("w")
        except PermissionError as error:
            raise StorageError(
                f"no permission to write {path}: whatever works on {self.root} must run as the user whose it is"
            ) from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class ParquetSink:
    """A Parquet file written batch by batch, encoding on a thread of its own.

    Use as a context manager around `write`; `rows` counts what was written. Memory stays at a few batches.
    """

    _AHEAD: Final = 2

    #: A row group holds about this many bytes before compression.
    _GROUP_BYTES: Final = 8 << 20

    def __init__(self, path: Path, schema: pa.Schema, metadata: dict[str, str] | None = None) -> None:
        self.rows = 0
        self.schema = schema
        full = schema.with_metadata(metadata) if metadata else schema
        self._writer = pq.ParquetWriter(
            path,
            full,
            compression="zstd",
            compression_level=1,
            use_dictionary=[name for name in ("kind", "event", "raw_part", "reject_reason") if name in schema.names],
            write_statistics=["timestamp"] if "timestamp" in schema.names else False,
        )
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="parquet")
        self._pending: list[Future[None]] = []
        self._group: list[pa.RecordBatch] = []
        self._group_bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Queue one batch of the sink's schema; raises what an earlier write raised."""
        if batch.num_rows == 0:
            return
        self.rows += batch.num_rows
        self._group.append(batch)
        self._group_bytes += batch.nbytes
        if self._group_bytes >= self._GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._group:
            return
        while len(self._pending) >= self._AHEAD:
            self._pending.pop(0).result()
        table = pa.Table.from_batches(self._group, self.schema)
        self._group, self._group_bytes = [], 0
        self._pending.append(self._pool.submit(self._writer.write_table, table, table.num_rows))

    def __enter__(self) -> ParquetSink:
        return self

    def __exit__(self, *exc: Any) -> None:
        try:
            if exc[0] is None:
                self._flush()
                for future in self._pending:
                    future.result()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=exc[0] is not None)
            self._writer.close()


#: A batch of rows in memory holds about this much at most, unless one row is larger.
_BATCH_BYTES: Final = 8 << 20


def groups_where(file: IO[bytes], column: str, holds: Callable[[pa.ChunkedArray], bool]) -> list[int]:
    """Return the row groups of an open Parquet file of whose *column* that holds; nothing else of it is read."""
    reader = pq.ParquetFile(file, pre_buffer=False)
    groups = range(reader.metadata.num_row_groups)
    return [number for number in groups if holds(reader.read_row_group(number, columns=[column])[column])]


def read_batches(
    file: IO[bytes], columns: list[str] | None = None, rows: int = 20_000, groups: list[int] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of an open Parquet file in order, at most *rows* (and about 8 MiB) at a time.

    The next batch is read on a thread of its own while the caller works on the last one. *groups* are the row groups
    to read, all of them by default.
    """
    reader = pq.ParquetFile(file, pre_buffer=False)
    every = [reader.metadata.row_group(i) for i in range(reader.metadata.num_row_groups)]
    widest = max((group.total_byte_size / max(group.num_rows, 1) for group in every), default=1.0)
    size = max(1, min(rows, int(_BATCH_BYTES / max(widest, 1))))
    yield from ahead(reader.iter_batches(batch_size=size, row_groups=groups, columns=columns), "read")
