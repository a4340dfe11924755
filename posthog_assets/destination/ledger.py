"""What PostHog was sent and what it said, event by event, so that nothing is sent twice and nothing forgotten.

Belongs here: the files below `imported_batches/<day>/` and the questions asked of them. Does not belong here:
sending.

Layout:

    imported_batches/<day>/batches/<number>-<writer>-<digest>.parquet   one per answered batch, a row per event, never
                                                                        changed; release 0.1 wrote them without digest
    imported_batches/<day>/ledger.parquet                               one row per batch, derived from the above

The digest is of all bytes of the file: one that was cut off or altered is noticed before its verdicts count.
No two writers ever use the same name, so even two runs at once on a store without locks leave a whole ledger.
An entry of a later file replaces the entries of earlier ones for the same uuid. A batch file appears whole or not
at all, after PostHog's answer and before the next one counts, so a crash forgets at most what was in flight.
"""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import IO, Final, TypeVar

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from posthog_assets.core.errors import DamagedFile, shorten
from posthog_assets.core.schemas import BATCH_FILE, LEDGER
from posthog_assets.core.threads import Threads
from posthog_assets.destination.entries import CODES, VERDICTS, Entries, Growing, Known, Texts, halves, newest_of
from posthog_assets.destination.verdicts import Verdict
from posthog_assets.storage.layout import delivery_folder, ledger_path
from posthog_assets.storage.leases import Holding
from posthog_assets.storage.parquet import damage_named
from posthog_assets.storage.store import Store

#: What stands for the protocol of an entry that takes verdicts back, so that events are owed again: a look that did not
#: find them, an undo, a release.
REOPENING: Final = ("query", "undo", "release")

T = TypeVar("T")

#: Other names in the folder, such as a copy that a person or a synchronised folder made, are not the ledger's.
_BATCH_NAME: Final = re.compile(r"\d{8,}(-[0-9a-f]{8}(-(?P<digest>[0-9a-f]{16}))?)?\.parquet")

#: Where a batch file keeps its facts, and their digest: they are also read without the rest.
_FACTS: Final = b"posthog_assets"
_FACTS_DIGEST: Final = b"posthog_assets.digest"

#: Files of a store elsewhere that are fetched at the same time: each costs a journey, and few bytes.
_AHEAD: Final = 8


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """The ledger's row of one batch; instants are ISO 8601 with zone, or None."""

    answered_at: str
    protocol: str
    request_id: str
    requests: int
    events: int
    acknowledged: int
    dropped: int
    owed: int
    raw_bytes: int
    sent_bytes: int
    first_timestamp: str | None
    last_timestamp: str | None
    #: The version of the mapping that made the events (`mapping.version`).
    mapping: str | None = None


class Ledger:
    """The ledger of one partition. One process at a time may write (hold the partition's lock)."""

    def __init__(self, store: Store, day: str, holding: Holding | None = None) -> None:
        """Open it; who writes is asked first whether the partition is still held (*holding*)."""
        self._store = store
        self.holding = holding or Holding()
        self._day = day
        self._folder = delivery_folder(day)
        names = [name for name in store.names(f"{self._folder}/batches") if name.endswith(".parquet")]
        self._files = [name for name in names if _BATCH_NAME.fullmatch(name)]
        self._strangers = [name for name in names if not _BATCH_NAME.fullmatch(name)]
        self._next = _number(self._files[-1]) + 1 if self._files else 1
        self._writer = uuid.uuid4().hex[:8]
        #: What was read of the files already: their facts.
        self._facts: dict[str, BatchFacts] = {}

    @property
    def location(self) -> str:
        return str(self._store.path(ledger_path(self._day)))

    @property
    def batches(self) -> int:
        """How many answered batches are on record."""
        return len(self._files)

    def append(self, entries: Entries, facts: BatchFacts) -> None:
        """Record one answered batch; when this returns it survives a crash.

        Raises:
            PartitionLost: another run may have the day now; nothing is written.
            StorageError: it cannot be written.
        """
        self._refuse_strangers()
        text = orjson.dumps(asdict(facts))
        table = pa.Table.from_arrays(
            [
                # numpy drops trailing zero bytes of what it gives back as Python bytes.
                pa.Array.from_buffers(pa.binary(16), len(entries), [None, pa.py_buffer(entries.uuids.tobytes())]),
                pa.array(entries.hashes),
                pa.array(entries.keys),
                pa.DictionaryArray.from_arrays(entries.codes, [v.value for v in VERDICTS]),
                pa.array(entries.details, pa.string()),
            ],
            schema=BATCH_FILE.with_metadata({_FACTS: text, _FACTS_DIGEST: _digest(text)}),
        )
        sink = io.BytesIO()
        # Hashes and uuids do not compress.
        pq.write_table(table, sink, compression="none", use_dictionary=["verdict", "detail"], write_statistics=False)
        content = sink.getvalue()
        name = f"{self._next:08d}-{self._writer}-{_digest(content)}.parquet"
        self.holding.confirm()
        self._store.write_bytes(f"{self._folder}/batches/{name}", content)
        self._files.append(name)
        self._facts[name] = facts
        self._next += 1

    def load(self) -> Known:
        """Return the newest entry of every uuid (see there for its memory, of which reading takes twice as much).

        Raises:
            DamagedFile: a file was cut off or altered, or is not one of the ledger's.
        """
        highs, lows, hashes, keys = (Growing(np.uint64) for _ in range(4))
        codes, texts = Growing(np.int8), Texts()
        self._refuse_strangers()
        for name, (table, verdicts) in self._each(self._files, _whole):
            for values, more in zip((highs, lows), halves(_fixed(table["uuid"])), strict=True):
                values.add(more)
            hashes.add(table["content_hash"].to_numpy())
            keys.add(table["key_hash"].to_numpy())
            codes.add(verdicts)
            texts.add(table["detail"])
            self._facts[name] = _facts(table.schema.metadata)
        newest = newest_of(highs.values, lows.values)
        # One column after the other, so that not all of them are in memory twice.
        return Known(
            highs.taken(newest), lows.taken(newest), hashes.taken(newest), keys.taken(newest), codes.taken(newest),
            texts.taken(newest), texts.known,
        )  # fmt: skip

    def _each(self, names: list[str], read: Callable[[IO[bytes], str], T]) -> Iterator[tuple[str, T]]:
        """Yield each name with what *read* makes of that file; what comes over a network is fetched ahead."""
        if self._store.is_local:
            for name in names:
                with self._store.open(f"{self._folder}/batches/{name}") as file, self._damage_named(name):
                    content = read(file, name)
                yield name, content
            return

        def fetched(name: str) -> T:
            content = self._store.read_bytes(f"{self._folder}/batches/{name}")
            with self._damage_named(name):
                return read(io.BytesIO(content), name)

        with Threads(_AHEAD, "ledger") as pool:
            for start in range(0, len(names), 4 * _AHEAD):
                some = names[start : start + 4 * _AHEAD]
                yield from zip(some, pool.map(fetched, some), strict=True)

    @contextmanager
    def _damage_named(self, name: str) -> Iterator[None]:
        remedy = (
            f"it records what PostHog answered to one batch of {self._day}. Restore it from a backup; or move it out "
            "of that folder and materialize imported_batches again, which sends that batch's events again: PostHog "
            "keeps one of each, as they have the same uuids, provided the mapping has not changed since"
        )
        with damage_named(self._store.path(f"{self._folder}/batches/{name}"), remedy):
            try:
                yield
            except MemoryError:
                raise
            except (ValueError, KeyError, TypeError) as error:
                # What is read is checked, so these are of bytes that were not written like that.
                raise pa.ArrowInvalid(shorten(str(error))) from error

    def _refuse_strangers(self) -> None:
        if self._strangers:
            raise DamagedFile(
                f"{self._store.path(f'{self._folder}/batches')} holds {shorten(', '.join(self._strangers))}, which is "
                "no name of a batch file: a copy, or a batch file that was renamed. Move a copy out of that folder, "
                "give a renamed one its name back; then run this again"
            )

    def batch_facts(self) -> Iterator[tuple[str, BatchFacts]]:
        """Yield each file's name and facts, oldest first; of files that were not read yet, only their ends are.

        Raises:
            DamagedFile: a file was cut off or altered, or is not one of the ledger's.
        """
        self._refuse_strangers()
        unread = [name for name in self._files if name not in self._facts]
        for name, facts in self._each(unread, lambda file, name: _facts(pq.read_schema(file).metadata)):
            self._facts[name] = facts
        yield from ((name, self._facts[name]) for name in self._files)

    def may_hold_drops(self) -> bool:
        """Whether PostHog dropped an event of any batch, which a later batch may have replaced."""
        return any(facts.dropped for _, facts in self.batch_facts())

    def facts(self) -> list[dict[str, object]]:
        """Return one row per batch, oldest first, in the `LEDGER` columns."""
        rows = []
        for name, facts in self.batch_facts():
            row = asdict(facts)
            for instant in ("answered_at", "first_timestamp", "last_timestamp"):
                row[instant] = datetime.fromisoformat(row[instant]) if row[instant] else None
            rows.append({"number": _number(name)} | row)
        return rows

    def summarize(self) -> None:
        """Write `ledger.parquet` again from the batch files."""
        table = pa.Table.from_pylist(self.facts(), schema=LEDGER)
        self.holding.confirm()
        with self._store.atomic_write(ledger_path(self._day)) as path:
            pq.write_table(table, path)


def _fixed(column: pa.ChunkedArray) -> np.ndarray:
    whole = column.combine_chunks()
    return np.frombuffer(whole.buffers()[1], dtype="S16", count=len(whole), offset=whole.offset * 16)


def _codes(table: pa.Table) -> np.ndarray:
    verdicts = table["verdict"].combine_chunks()
    codes = np.array([CODES[Verdict(name)] for name in verdicts.dictionary.to_pylist()], dtype=np.int8)
    return codes[verdicts.indices.to_numpy()]


def _facts(metadata: dict[bytes, bytes] | None) -> BatchFacts:
    noted = metadata or {}
    text = noted[_FACTS]
    if _FACTS_DIGEST in noted and noted[_FACTS_DIGEST].decode() != _digest(text):
        raise ValueError("its facts are not what was written")
    return BatchFacts(**orjson.loads(text))


def _digest(content: bytes) -> str:
    return xxhash.xxh3_64_hexdigest(content)


def _whole(file: IO[bytes], name: str) -> tuple[pa.Table, np.ndarray]:
    """Return all of a batch file and the codes of its verdicts.

    Raises:
        ValueError, KeyError, TypeError, pa.ArrowException: it is not what was written.
    """
    content, noted = file.read(), _BATCH_NAME.fullmatch(name)
    digest = noted["digest"] if noted else None
    if digest is not None and digest != _digest(content):
        raise ValueError("its content is not that of which its name has the digest")
    table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
    if not table.schema.equals(BATCH_FILE):
        raise ValueError(f"its columns are {', '.join(table.schema.names)}")
    if digest is None:
        table.validate(full=True)
    return table, _codes(table)


def _number(name: str) -> int:
    return int(name[:8])
