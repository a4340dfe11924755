"""The rows of a Parquet file in batches of bounded size, whatever the file.

Belongs here: how many rows are read at once, and which rows are too large. Does not belong here: what the values become
(`parquet`), or how the sizes of pages are found (`parquet_pages`).

Parquet stores equal values once: 29 KB may hold a value of a megabyte in each of 5,000 rows. Where that may be so, such
columns are read as numbers of distinct values, and become values again a few rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from posthog_assets.core.errors import BrokenPart
from posthog_assets.core.json_records import LONGEST_LINE
from posthog_assets.core.records import Unreadable
from posthog_assets.sources.formats.parquet_pages import Chunk, check_footer, largest_pages, measured

# Arrow makes its functions when it is imported; type checkers cannot see them.
pc: Any = pyarrow.compute

#: A value takes this much, as a number in a list or as a place in a row, however little it takes in the file.
_VALUE: Final = 8
#: Smaller pages of distinct values make no batch large.
_SMALL_DICTIONARY: Final = 32 << 10
#: Batches that equal values could make larger than this are read as numbers of distinct values.
_UNPACKED: Final = 64 << 20

#: A page is in memory as a whole, and a row of it some three times more: what is read, and what was freed before it,
#: which a longer one has no use for. Pages and rows take this much at most.
_PAGES_AND_ROWS: Final = 320 << 20
_ROW_TIMES: Final = 3
#: Rows of much data in lists that are read at once.
_FEW_ROWS: Final = 16
#: Rows of large pages that are looked at together, at most.
_LOOKED_AT: Final = 64

#: Smaller batches are put together: each costs a dialect about a millisecond, however few rows it has.
_SMALL_BATCH: Final = 256 << 10

#: Stands for a row that is not read.
TOO_LARGE: Final = Unreadable(f"a row longer than {LONGEST_LINE >> 20} MiB")


def bounded_batches(file: IO[bytes], name: str, rows: int, limit: int) -> Iterator[pa.RecordBatch | Unreadable]:
    """Yield the rows of an open, seekable file in order, at most *rows* and about *limit* bytes at a time.

    A row of more than 16 MiB, eight bytes being counted for each value at least, comes alone and as `Unreadable`.

    Raises:
        BrokenPart: a page, a value beside large pages, or the lists of a row group are larger than can be read.
        pyarrow.ArrowException: the file is damaged.
    """
    check_footer(file, name)
    with pq.ParquetFile(file, pre_buffer=False) as reader:
        plain = reader.schema_arrow
        measured_groups = measured(file, reader.metadata, name)
        for number, chunks in enumerate(measured_groups):
            _check_rows(reader, number, chunks, name)
        for groups, size, repeated in _runs(file, measured_groups, rows, limit):
            source = pq.ParquetFile(file, pre_buffer=False, read_dictionary=repeated) if repeated else reader
            looks_closer = bool(repeated) or any(pa.types.is_nested(kind) for kind in plain.types)
            read = _read(source, groups, size, plain, limit, looks_closer=looks_closer)
            yield from _together(read, rows, min(limit, _SMALL_BATCH)) if size < rows else read


def _read(
    source: pq.ParquetFile, groups: list[int], size: int, plain: pa.Schema, limit: int, *, looks_closer: bool
) -> Iterator[pa.RecordBatch | Unreadable]:
    for batch in source.iter_batches(batch_size=size, row_groups=groups):
        yield from _parts(batch, plain, limit) if looks_closer or batch.nbytes > limit else (batch,)
        # Gone before the next one is read.
        is_large = batch.nbytes > LONGEST_LINE
        del batch
        if is_large:
            pa.default_memory_pool().release_unused()


def _together(
    batches: Iterator[pa.RecordBatch | Unreadable], rows: int, limit: int
) -> Iterator[pa.RecordBatch | Unreadable]:
    """Yield the same rows, neighbouring small batches as one: one long row makes all batches of its group small."""
    held: list[pa.RecordBatch] = []
    count = size = 0
    for batch in batches:
        length, more = (1, limit + 1) if isinstance(batch, Unreadable) else (batch.num_rows, _bytes_in(batch))
        if held and (size + more > limit or count + length > rows):
            yield pa.concat_batches(held)
            held, count, size = [], 0, 0
        if more <= limit:
            held.append(batch)
            count, size = count + length, size + more
        else:
            yield batch
        # What is large is gone before the next one is read.
        del batch
    if held:
        yield pa.concat_batches(held)


def _bytes_in(batch: pa.RecordBatch) -> int:
    """Return about how many bytes a batch takes unpacked."""
    nested = (column for column in batch.columns if pa.types.is_nested(column.type))
    return batch.nbytes + sum(int(row_bytes(column).sum()) for column in nested)


def _check_rows(reader: pq.ParquetFile, group: int, chunks: list[Chunk], name: str) -> None:
    """Refuse a row group whose large pages hold rows that do not fit into memory beside them.

    Raises:
        BrokenPart: it is refused. The pages were read one column at a time to find out.
    """
    pages = largest_pages(chunks)
    if (1 + _ROW_TIMES) * pages <= _PAGES_AND_ROWS:
        return
    longest = {chunk.path: chunk.longest for chunk in chunks if chunk.fewest}
    for chunk in (chunk for chunk in chunks if chunk.fewest and (chunk.is_repeated or not chunk.longest)):
        # Never so many that they could be of three pages, with a row as large as a page in each.
        count = 1 if chunk.is_repeated else min(_LOOKED_AT, chunk.fewest)
        for batch in reader.iter_batches(batch_size=count, row_groups=[group], columns=[chunk.path]):
            sizes = (int(row_bytes(column).max(initial=0)) for column in batch.columns)
            longest[chunk.path] = max(longest[chunk.path], *sizes)
            is_large = batch.nbytes > LONGEST_LINE
            del batch
            if is_large:
                pa.default_memory_pool().release_unused()
    if pages + _ROW_TIMES * sum(longest.values()) > _PAGES_AND_ROWS:
        widest = max(longest, key=longest.__getitem__, default=chunks[0].path)
        raise BrokenPart(
            f"{name}: a value of column {widest!r} has {longest[widest]:,} bytes, more than can be read beside pages "
            f"of {pages:,} bytes in row group {group}: refused; no event holds more than 1 MB, so leave such values out"
        )


def _runs(
    file: IO[bytes], groups: list[list[Chunk]], rows: int, limit: int
) -> Iterator[tuple[list[int], int, list[str]]]:
    """Yield the row groups that are read together, how many rows at a time, and the columns that repeat long values."""
    run: list[int] = []
    least = rows
    for number, chunks in enumerate(groups):
        size = _rows_within(chunks, rows, limit)
        repeated = _often_repeated(file, number, chunks, size)
        if not repeated:
            run, least = [*run, number], min(least, size)
            continue
        if run:
            yield run, least, []
        yield [number], size, repeated
        run, least = [], rows
    if run:
        yield run, least, []


def _rows_within(chunks: list[Chunk], rows: int, limit: int) -> int:
    """Return how many rows of a row group hold about *limit* bytes where its rows are the widest."""
    widest = 0.0
    for chunk in chunks:
        average = chunk.values / max(chunk.rows, 1)
        if chunk.is_repeated:
            widest += max(chunk.bytes / max(chunk.rows, 1), _VALUE * average)
            if chunk.bytes > _UNPACKED:
                # Which rows of it are the wide ones is not known.
                rows = min(rows, _FEW_ROWS)
        else:
            widest += max(chunk.longest, chunk.largest if chunk.shares_beginnings else chunk.densest)
    return max(1, min(rows, int(limit / max(widest, 1.0))))


def _often_repeated(file: IO[bytes], group: int, chunks: list[Chunk], rows: int) -> list[str]:
    """Return the paths of the columns in which one long value may stand in many rows."""
    large = [chunk for chunk in chunks if chunk.dictionary > _SMALL_DICTIONARY]
    if not large:
        return []
    # Of the values themselves the first row is read, and all distinct ones come with it.
    paths = [chunk.path for chunk in large]
    with pq.ParquetFile(file, pre_buffer=False, read_dictionary=paths) as reader:
        first = next(reader.iter_batches(batch_size=1, row_groups=[group], columns=paths), None)
    longest = max(map(_longest, first.columns), default=0) if first is not None else 0
    return [chunk.path for chunk in large if longest * (chunk.values if chunk.is_repeated else rows) > _UNPACKED]


def _longest(column: pa.Array) -> int:
    """Return the length of the longest distinct value of a column, or of the members of its lists."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return pc.max(pc.binary_length(column.dictionary)).as_py() or 0
    if pa.types.is_map(kind):
        return max(_longest(column.keys), _longest(column.items))
    if pa.types.is_struct(kind):
        return max((_longest(column.field(index)) for index in range(kind.num_fields)), default=0)
    if pa.types.is_nested(kind):
        return _longest(column.values)
    return 0


def _parts(batch: pa.RecordBatch, plain: pa.Schema, limit: int) -> Iterator[pa.RecordBatch | Unreadable]:
    """Yield a batch in parts of about *limit* bytes as they are unpacked; rows that are too large come alone."""
    sizes = sum((row_bytes(column) for column in batch.columns), np.zeros(batch.num_rows, np.int64))
    if int(sizes.sum()) <= limit:
        yield _unpacked(batch, plain)
        return
    start = held = 0
    for index, size in enumerate(sizes.tolist()):
        if index > start and (held + size > limit or size > LONGEST_LINE):
            yield _unpacked(batch.slice(start, index - start), plain)
            start, held = index, 0
        held += size
        if size > LONGEST_LINE:
            yield TOO_LARGE
            start, held = index + 1, 0
    if start < batch.num_rows:
        yield _unpacked(batch.slice(start), plain)


def _unpacked(batch: pa.RecordBatch, plain: pa.Schema) -> pa.RecordBatch:
    columns = [
        column if column.type == field.type else column.cast(field.type)
        for column, field in zip(batch.columns, plain, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=plain)


def row_bytes(column: pa.Array) -> np.ndarray:
    """Return about how many bytes each row of a column takes unpacked."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        lengths = np.append(row_bytes(column.dictionary), _VALUE)
        return lengths[pc.fill_null(column.indices.cast(pa.int64()), len(lengths) - 1).to_numpy(zero_copy_only=False)]
    if any(test(kind) for test in _BYTES):
        lengths = pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
        return lengths.astype(np.int64) + _VALUE
    if pa.types.is_struct(kind):
        fields = (row_bytes(column.field(index)) for index in range(kind.num_fields))
        return sum(fields, np.full(len(column), _VALUE, np.int64))
    if pa.types.is_map(kind):
        return _of_lists(column, row_bytes(column.keys) + row_bytes(column.items))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _of_lists(column, row_bytes(column.values))
    if pa.types.is_fixed_size_list(kind):
        members = row_bytes(column.values)[column.offset * kind.list_size :][: len(column) * kind.list_size]
        return members.reshape(len(column), kind.list_size).sum(axis=1) + _VALUE
    return np.full(len(column), _VALUE, np.int64)


def _of_lists(column: pa.Array, members: np.ndarray) -> np.ndarray:
    ends = np.concatenate(([0], np.cumsum(members)))[column.offsets.to_numpy()]
    return np.diff(ends) + _VALUE


_BYTES: Final = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
