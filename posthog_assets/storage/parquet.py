"""Writing and reading Parquet files in batches of bounded size.

Belongs here: the writer, and reading some row groups. Does not belong here: where a file is stored (`layout`, `store`).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from posthog_assets.core.errors import DamagedFile, shorten
from posthog_assets.core.schemas import CONTENT_KEY
from posthog_assets.core.threads import ahead

#: How a Parquet file ends: the length of its footer, and "PAR1".
_FOOTER: Final = struct.Struct("<I4s")

_DIGEST_BYTES: Final = 4 << 20


class ParquetSink:
    """A Parquet file written batch by batch, encoding on a thread of its own.

    Use as a context manager around `write`; `rows` counts what was written. Memory stays at a few batches.
    """

    _AHEAD: Final = 2

    #: A row group holds about this many bytes before compression.
    _GROUP_BYTES: Final = 8 << 20
    #: So many batches become one: a batch takes 16 KB, however few rows it has.
    _GROUP_BATCHES: Final = 256

    def __init__(self, path: Path, schema: pa.Schema, metadata: dict[str, str] | None = None) -> None:
        self.rows = 0
        self.schema = schema
        full = schema.with_metadata(metadata) if metadata else schema
        self._metadata = metadata or {}
        self._file = _DigestingFile(path)
        self._writer = pq.ParquetWriter(
            self._file,
            full,
            compression="zstd",
            compression_level=1,
            use_dictionary=[name for name in ("kind", "event", "raw_part", "reject_reason") if name in schema.names],
            write_statistics=["timestamp"] if "timestamp" in schema.names else False,
            write_page_checksum=True,
        )
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="parquet")
        self._pending: list[Future[None]] = []
        self._group: list[pa.RecordBatch] = []
        self._group_bytes = 0
        self._noted: dict[str, str] = {}

    def write(self, batch: pa.RecordBatch) -> None:
        """Queue one batch of the sink's schema; raises what an earlier write raised."""
        if batch.num_rows == 0:
            return
        self.rows += batch.num_rows
        self._group.append(batch)
        self._group_bytes += batch.nbytes
        if self._group_bytes >= self._GROUP_BYTES:
            self._flush()
        elif len(self._group) >= self._GROUP_BATCHES:
            self._group = pa.Table.from_batches(self._group, self.schema).combine_chunks().to_batches()

    def note(self, metadata: dict[str, str]) -> None:
        """Add metadata to the file that is known only once its rows are written."""
        self._noted |= metadata

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
                content = self._file.content(self._metadata | self._noted)
                self._writer.add_key_value_metadata(self._noted | {CONTENT_KEY.decode(): content})
        finally:
            self._pool.shutdown(wait=True, cancel_futures=exc[0] is not None)
            try:
                self._writer.close()
            finally:
                self._file.close()


class _DigestingFile:
    """A file that takes a digest of what is written to it."""

    def __init__(self, path: Path) -> None:
        # What comes is as large as a page of a column.
        self._file = path.open("wb", buffering=0)
        self._digest = xxhash.xxh3_128()
        self._bytes = 0

    @property
    def closed(self) -> bool:
        return self._file.closed

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self._bytes += len(data)
        rest = memoryview(data)
        while rest.nbytes:
            rest = rest[self._file.write(rest) :]
        return len(data)

    def tell(self) -> int:
        return self._bytes

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def content(self, metadata: dict[str, str]) -> str:
        """Return what `digest_of` returns for this file, whose rows are written and which is to have *metadata*."""
        whole = self._digest.copy()
        whole.update(orjson.dumps(metadata, option=orjson.OPT_SORT_KEYS))
        return f"{whole.hexdigest()}-{self._bytes}"


def digest_of(file: IO[bytes]) -> str:
    """Return a text that is equal for equal content of a Parquet file, which is at its beginning before and after.

    It was taken while the file was written. Of a file that does not have it, all is read.
    """
    if (noted := _noted_content(file)) is not None:
        return noted
    digest = xxhash.xxh3_128()
    while block := file.read(_DIGEST_BYTES):
        digest.update(block)
    file.seek(0)
    return digest.hexdigest()


def _noted_content(file: IO[bytes]) -> str | None:
    """Return the digest that stands in a file; None where it has none, or one that was copied from another file."""
    try:
        noted = (pq.read_metadata(file).metadata or {}).get(CONTENT_KEY, b"").decode()
        end = file.seek(-_FOOTER.size, io.SEEK_END)
        length, _ = _FOOTER.unpack(file.read(_FOOTER.size))
    except (pa.ArrowException, OSError, ValueError, struct.error):
        return None
    finally:
        file.seek(0)
    return noted if noted.rpartition("-")[2] == str(end - length) else None


#: A batch of rows in memory holds about this much at most, unless one row is larger.
_BATCH_BYTES: Final = 4 << 20

#: Values of a column that is read alone, in a piece of it.
_COLUMN_ROWS: Final = 500_000


def groups_where(file: IO[bytes], column: str, holds: Callable[[pa.ChunkedArray], bool]) -> list[int]:
    """Return the row groups of an open Parquet file of whose *column* that holds; nothing else of it is read."""
    with damage_named(_name(file), _MAKE_AGAIN):
        reader = pq.ParquetFile(file, pre_buffer=False, page_checksum_verification=True)
        groups = range(reader.metadata.num_row_groups)
        return [number for number in groups if holds(reader.read_row_group(number, columns=[column])[column])]


def read_batches(
    file: IO[bytes], columns: list[str] | None = None, rows: int = 20_000, groups: list[int] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of an open Parquet file in order, at most *rows* (and about 4 MiB) at a time.

    The next batch is read on a thread of its own while the caller works on the last one. *groups* are the row groups
    to read, all of them by default.

    Raises:
        DamagedFile: the file is cut off, not Parquet, or not what was written.
    """
    with damage_named(_name(file), _MAKE_AGAIN):
        reader = pq.ParquetFile(file, pre_buffer=False, page_checksum_verification=True)
        every = [reader.metadata.row_group(i) for i in range(reader.metadata.num_row_groups)]
        widest = max((group.total_byte_size / max(group.num_rows, 1) for group in every), default=1.0)
        size = max(1, min(rows, int(_BATCH_BYTES / max(widest, 1))))
        yield from ahead(reader.iter_batches(batch_size=size, row_groups=groups, columns=columns), "read")


def read_column(file: IO[bytes], column: str) -> Iterator[pa.Array]:
    """Yield one column of an open Parquet file in order, in pieces; nothing else of it is read.

    Raises:
        DamagedFile: like `read_batches`.
    """
    with damage_named(_name(file), _MAKE_AGAIN):
        reader = pq.ParquetFile(file, pre_buffer=False, page_checksum_verification=True)
        for batch in reader.iter_batches(batch_size=_COLUMN_ROWS, columns=[column]):
            yield batch[column]


def read_table(file: IO[bytes], schema: pa.Schema | None = None) -> pa.Table:
    """Return all of a small open Parquet file, as *schema* if given; raises DamagedFile like `read_batches`."""
    with damage_named(_name(file), _MAKE_AGAIN):
        if schema is not None:
            return pq.read_table(file, schema=schema, page_checksum_verification=True)
        # `pq.read_table` would load Arrow's data sets, and pandas with them where it is installed.
        return pq.ParquetFile(file, pre_buffer=False, page_checksum_verification=True).read()


def read_footer(file: IO[bytes]) -> pq.FileMetaData:
    """Return what the end of an open Parquet file says of it; raises DamagedFile like `read_batches`."""
    with damage_named(_name(file), _MAKE_AGAIN):
        return pq.read_metadata(file)


_MAKE_AGAIN: Final = "materialize the asset whose folder it lies in for that day again"


@contextmanager
def damage_named(path: object, remedy: str) -> Iterator[None]:
    """Turn what Arrow raises of a Parquet file that is cut off or altered into an error that says which and what to do.

    Raises:
        DamagedFile: in place of Arrow's error.
    """
    try:
        yield
    except MemoryError:
        # Arrow's class for it is one of Arrow's errors too; the file may be well.
        raise
    except (pa.ArrowException, OSError) as error:
        # Arrow's own are plain; a disk or a network that does not answer says so by a number or a class of its own.
        if isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None):
            raise
        raise DamagedFile(
            f"{path} is cut off, was altered or is not a Parquet file ({shorten(str(error))}): {remedy}"
        ) from error


def _name(file: IO[bytes]) -> str:
    # fsspec's files have a path.
    return str(getattr(file, "name", None) or getattr(file, "path", "a stored file"))
