"""Records of many days in a row of files, each as large as the memory that they may take.

Belongs here: collecting records by day, and writing them out as pieces that make a file when put in a row. Does not
belong here: reading them (`day_splitter`), putting the pieces of a day together (`day_split`).

JSON lines and CSV rows are one zstd frame per piece, Avro records are blocks, Parquet rows are a small Parquet file.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from dataclasses import asdict
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from posthog_assets.sources.account import WITHOUT_DAY
from posthog_assets.sources.formats import Format, Framing
from posthog_assets.sources.formats.avro_container import MARK, avro_block, avro_header
from posthog_assets.storage.store import Store

#: Extracts are held in memory up to about this many bytes in all, then written out as a segment.
HELD: Final = 64 << 20
#: What Python adds to each line that is held.
_OVERHEAD: Final = 64

#: Most records of an Avro block, which is read as a whole.
_BLOCK_RECORDS: Final = 1_000


class SegmentWriter:
    """Collects extracts, and writes all of them out as one segment before they grow too large."""

    def __init__(self, store: Store, path: str) -> None:
        self._store = store
        self._path = path
        self._kinds: list[tuple[Framing, bytes]] = []
        self._held: dict[tuple[int, str], list[Any]] = {}
        self._size = 0
        self._segments: list[str] = []
        self._pieces: dict[tuple[int, str], list[tuple[int, int, int]]] = {}
        self._digests: dict[tuple[int, str], Any] = {}
        self._compressor = zstandard.ZstdCompressor(level=1)
        #: Most bytes that are held in memory, all days together.
        self.held = HELD
        #: Records by day; `WITHOUT_DAY` is one of the days.
        self.counts: Counter[str] = Counter()

    @property
    def records(self) -> int:
        return self.counts.total()

    def kind(self, framing: Framing, head: bytes = b"") -> int:
        """Return the number of a kind of records: those that can stand in one extract, below the same header."""
        if (framing, head) not in self._kinds:
            self._kinds.append((framing, head))
        return self._kinds.index((framing, head))

    def add(self, kind: int, day: str, line: bytes) -> None:
        """Add one record: a line with its end, or an Avro record."""
        self._hold(kind, day, line, len(line) + _OVERHEAD, 1)

    def add_rows(self, kind: int, day: str, rows: pa.RecordBatch) -> None:
        """Add records of a Parquet file."""
        self._hold(kind, day, rows, rows.nbytes + _OVERHEAD, rows.num_rows)

    def _hold(self, kind: int, day: str, item: Any, size: int, count: int) -> None:
        self.counts[day] += count
        self._held.setdefault((kind, day), []).append(item)
        self._size += size
        if self._size > self.held:
            self._flush()

    def _flush(self) -> None:
        if not self._held:
            return
        number, at = len(self._segments), 0
        relative = f"{self._path}-{number:04d}"
        with self._store.atomic_write(relative) as path, path.open("wb") as file:
            for (kind, day), items in sorted(self._held.items()):
                piece = self._encode(kind, day, items)
                file.write(piece)
                self._pieces.setdefault((kind, day), []).append((number, at, len(piece)))
                at += len(piece)
        self._segments.append(relative.rsplit("/", 1)[-1])
        self._held.clear()
        self._size = 0

    def _encode(self, kind: int, day: str, items: list[Any]) -> bytes:
        framing, head = self._kinds[kind]
        digest = self._digests.setdefault((kind, day), hashlib.sha256(head))
        if framing.format is Format.PARQUET:
            piece = _parquet(items)
            digest.update(piece)
            return piece
        text = b"".join(items)
        digest.update(text)
        is_first = (kind, day) not in self._pieces
        if framing.format is Format.AVRO:
            return self._avro(head, items, is_first)
        return self._compressor.compress(head + text if is_first else text)

    def _avro(self, schema: bytes, records: list[bytes], is_first: bool) -> bytes:
        # The same for all pieces of an extract, which therefore is one file.
        mark = hashlib.sha256(schema).digest()[:MARK]
        pieces = [avro_header(schema, "zstandard", mark)] if is_first else []
        for start in range(0, len(records), _BLOCK_RECORDS):
            part = records[start : start + _BLOCK_RECORDS]
            pieces.append(avro_block(len(part), self._compressor.compress(b"".join(part)), mark))
        return b"".join(pieces)

    def finish(self) -> dict[str, Any]:
        """Write what is left, and return the index."""
        self._flush()
        days: dict[str, list[Any]] = {}
        for (kind, day), pieces in sorted(self._pieces.items()):
            digest = self._digests[kind, day].hexdigest()[:32]
            days.setdefault(day, []).append((kind, digest, pieces))
        return {
            "segments": self._segments,
            "kinds": [asdict(framing) for framing, _ in self._kinds],
            "days": days,
            "records": self.records,
            "records_without_day": self.counts[WITHOUT_DAY],
            "counts": dict(sorted(self.counts.items())),
        }


def _parquet(items: list[pa.RecordBatch]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_batches(items), sink, compression="zstd")
    return sink.getvalue()
