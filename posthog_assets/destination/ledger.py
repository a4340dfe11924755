"""What PostHog was sent and what it said, event by event, so that nothing is sent twice and nothing forgotten.

Belongs here: the files below `imported_batches/<day>/` and the questions asked of them. Does not belong here:
what is in a batch file (`batch_files`), sending.

Layout:

    imported_batches/<day>/batches/   one file per answered batch, a row per event, never changed; see `batch_files`
    imported_batches/<day>/ledger.parquet   one row per batch, derived from the above

No two writers ever use the same name, so even two runs at once on a store without locks leave a whole ledger.
An entry of a later file replaces the entries of earlier ones for the same uuid. A batch file appears whole or not
at all, after PostHog's answer and before the next one counts, so a crash forgets at most what was in flight. When a day
is settled its files are folded: one more is written, of the newest entries of all, and the others are deleted after it.
"""

from __future__ import annotations

import io
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import IO, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from posthog_assets.core.errors import DamagedFile, shorten
from posthog_assets.core.schemas import LEDGER
from posthog_assets.core.temporary_files import writing_temporary
from posthog_assets.core.threads import Threads
from posthog_assets.core.uuid_sorter import UuidSorter, halves
from posthog_assets.destination.batch_files import (
    BatchFacts,
    FileFacts,
    codes_of,
    content_of,
    digest_of,
    facts_of,
    file_name,
    is_batch_file,
    is_folded,
    no_layouts,
    number_of,
    read,
    write_folded,
)
from posthog_assets.destination.entries import Entries, Growing, Known, Texts, Words, newest_of
from posthog_assets.destination.entry_join import SortedEntries
from posthog_assets.storage.layout import delivery_folder, ledger_path
from posthog_assets.storage.leases import Holding
from posthog_assets.storage.parquet import damage_named
from posthog_assets.storage.scratch import scratch_folder
from posthog_assets.storage.store import Store

__all__ = ["REOPENING", "BatchFacts", "Ledger"]

#: What stands for the protocol of an entry that takes verdicts back, so that events are owed again: a look that did not
#: find them, an undo, a release.
REOPENING: Final = ("query", "undo", "release")

T = TypeVar("T")

#: Files of a store elsewhere that are fetched at the same time: each costs a journey, and few bytes.
_AHEAD: Final = 8


#: What an entry has beside its uuid: two hashes, the code of its verdict, and the place of PostHog's words.
_FURTHER: Final = (np.uint64, np.uint64, np.int8, np.int32)

#: Fewer files than this stay as they are when a day is settled.
_FOLDED_FROM: Final = 10

#: So many small files, or fewer that have so many rows, are read as one table: what is done to each costs more than
#: its rows.
_TOGETHER: Final = 250
_ROWS_TOGETHER: Final = 1 << 16

#: How often the folder is listed again because another run has folded what was in it.
_LISTINGS: Final = 3


class Ledger:
    """The ledger of one partition. One process at a time may write (hold the partition's lock)."""

    def __init__(self, store: Store, day: str, holding: Holding | None = None) -> None:
        """Open it; who writes is asked first whether the partition is still held (*holding*)."""
        self._store = store
        self.holding = holding or Holding()
        self._day = day
        self._folder = delivery_folder(day)
        self._shown = str(store.path(self._path("")))
        self._writer = uuid.uuid4().hex[:8]
        #: What was read of the files already.
        self._facts: dict[str, FileFacts] = {}
        self._list()
        self._next = number_of(self._files[-1]) + 1 if self._files else 1

    def _list(self) -> None:
        names = [name for name in self._store.names(self._path("")) if name.endswith(".parquet")]
        self._files = [name for name in names if is_batch_file(name)]
        self._strangers = [name for name in names if not is_batch_file(name)]

    def _path(self, name: str) -> str:
        return f"{self._folder}/batches/{name}" if name else f"{self._folder}/batches"

    @property
    def location(self) -> str:
        return str(self._store.path(ledger_path(self._day)))

    @property
    def batches(self) -> int:
        """How many files of answered batches there are."""
        return len(self._files)

    def append(self, entries: Entries, facts: BatchFacts) -> None:
        """Record one answered batch; when this returns it survives a crash.

        Raises:
            PartitionLost: another run may have the day now; nothing is written.
            StorageError: it cannot be written.
        """
        self._refuse_strangers()
        content = content_of(entries, facts)
        name = file_name(self._next, self._writer, digest_of(content))
        self.holding.confirm()
        self._store.write_bytes(self._path(name), content)
        self._added(name, FileFacts([(name, facts)]))

    def _added(self, name: str, facts: FileFacts) -> None:
        self._files.append(name)
        self._facts[name] = facts
        self._next += 1

    def load(self) -> Known:
        """Return the newest entry of every uuid (see there for its memory, of which reading takes twice as much).

        Raises:
            DamagedFile: a file was cut off or altered, or is not one of the ledger's.
        """
        return self._while_others_fold(self._load)

    def _load(self) -> Known:
        current = self._current()
        # Of these it is known how many entries they have at most.
        room = sum(facts.events for file in self._facts_of([*filter(is_folded, current)]) for _, facts in file.batches)
        highs, lows, hashes, keys = (Growing(np.uint64, room) for _ in range(4))
        codes, texts = Growing(np.int8, room), Texts()
        for table, verdicts in self._tables(current):
            for values, more in zip((highs, lows), halves(_fixed(table["uuid"])), strict=True):
                values.add(more)
            hashes.add(table["content_hash"].to_numpy())
            keys.add(table["key_hash"].to_numpy())
            codes.add(verdicts)
            texts.add(table["detail"])
        newest = newest_of(highs.values, lows.values)
        # One column after the other, so that not all of them are in memory twice.
        return Known(
            highs.taken(newest), lows.taken(newest), hashes.taken(newest), keys.taken(newest), codes.taken(newest),
            texts.taken(newest), texts.known,
        )  # fmt: skip

    @contextmanager
    def sorted_entries(self) -> Iterator[SortedEntries]:
        """Open what `load` returns in pieces, one of which is in memory at a time; raises what `load` does."""
        with scratch_folder() as folder, ExitStack() as stack:
            yield self._while_others_fold(lambda: self._sorted_entries(Path(folder), stack))

    def _sorted_entries(self, folder: Path, stack: ExitStack) -> SortedEntries:
        current = self._current()
        if len(current) == 1 and is_folded(current[0]):
            # It is sorted already.
            file = stack.enter_context(self._store.open(self._path(current[0])))
            return SortedEntries(False, lambda: self._folded(file, current[0]))
        words = Words()
        sorter = stack.enter_context(UuidSorter(folder / "entries", _FURTHER))
        for table, verdicts in self._tables(current):
            known = _known(table, verdicts, words)
            sorter.add(known.high, known.low, known.hashes, known.keys, known.codes, known.places)
        return SortedEntries(not current, lambda: self._sorted(sorter, words))

    def _folded(self, file: IO[bytes], name: str) -> Iterator[Known]:
        """Yield the entries of a folded file; what the consumer raises is not taken for damage of the file."""
        words = Words()
        file.seek(0)
        with self._damage_named(name):
            tables = read(file, name, no_layouts())[1]
        while True:
            with self._damage_named(name):
                table = next(tables, None)
                codes = None if table is None else codes_of(table)
            if table is None or codes is None:
                return
            yield _known(table, codes, words)

    @staticmethod
    def _sorted(sorter: UuidSorter, words: Words) -> Iterator[Known]:
        for high, low, hashes, keys, codes, places in sorter.pieces():
            yield Known(high, low, hashes, keys, codes, places, words.known).newest()

    def _tables(self, current: list[str]) -> Iterator[tuple[pa.Table, np.ndarray]]:
        """Yield the rows of the files *current*, with the codes of their verdicts; those of small ones together."""
        for folded, names in groupby(current, is_folded):
            if not folded:
                yield from map(self._together, self._by_hundreds(list(names)))
                continue
            for name in names:
                # Large: not all of it at once.
                with self._store.open(self._path(name)) as file, self._damage_named(name):
                    self._facts[name], tables = read(file, name, no_layouts())
                    for table in tables:
                        yield table, codes_of(table)

    def _by_hundreds(self, names: list[str]) -> Iterator[list[tuple[str, pa.Table]]]:
        """Yield the rows of small files, and the name of each, some hundreds of files at a time."""
        some: list[tuple[str, pa.Table]] = []
        rows = 0
        layouts = no_layouts()
        for name, (facts, tables) in self._each(names, lambda file, name: read(file, name, layouts)):
            self._facts[name] = facts
            some += ((name, table) for table in tables)
            rows += some[-1][1].num_rows
            if len(some) >= _TOGETHER or rows >= _ROWS_TOGETHER:
                yield some
                some, rows = [], 0
        if some:
            yield some

    def _together(self, some: list[tuple[str, pa.Table]]) -> tuple[pa.Table, np.ndarray]:
        table = pa.concat_tables([table for _, table in some])
        try:
            return table, codes_of(table)
        except (ValueError, KeyError, pa.ArrowException):
            # Of which file?
            for name, one in some:
                with self._damage_named(name):
                    codes_of(one)
            raise

    def _current(self) -> list[str]:
        """Return the names of the files that count: not those that a folded one replaces."""
        self._refuse_strangers()
        replaced: set[str] = set()
        for name in reversed(self._files):
            if is_folded(name) and name not in replaced:
                replaced |= self._facts_of([name])[0].replaces
        return [name for name in self._files if name not in replaced]

    def _while_others_fold(self, ask: Callable[[], T]) -> T:
        """Return what *ask* returns; another run may fold the files meanwhile, and then they are listed again."""
        for _ in range(_LISTINGS):
            try:
                return ask()
            except FileNotFoundError:
                self._list()
        try:
            return ask()
        except FileNotFoundError as error:
            raise DamagedFile(
                f"a batch file is listed in {self._shown} but not there ({shorten(str(error))}): a link that leads "
                "nowhere, or something that deletes files. Restore it from a backup, or remove the link"
            ) from error

    def _each(self, names: list[str], read: Callable[[IO[bytes], str], T]) -> Iterator[tuple[str, T]]:
        """Yield each name with what *read* makes of that file; what comes over a network is fetched ahead."""
        if self._store.is_local:
            for name in names:
                with self._store.open(self._path(name)) as file, self._damage_named(name):
                    content = read(file, name)
                yield name, content
            return

        def fetched(name: str) -> T:
            content = self._store.read_bytes(self._path(name))
            with self._damage_named(name):
                return read(io.BytesIO(content), name)

        with Threads(_AHEAD, "ledger") as pool:
            for start in range(0, len(names), 4 * _AHEAD):
                some = names[start : start + 4 * _AHEAD]
                yield from zip(some, pool.map(fetched, some), strict=True)

    def _check_stored(self, name: str) -> None:
        """Read back what others will be deleted for; raises DamagedFile, and leaves them."""
        try:
            with self._store.open(self._path(name)) as file, self._damage_named(name):
                read(file, name, no_layouts())
        except DamagedFile:
            self._store.delete(self._path(name))
            raise

    @contextmanager
    def _damage_named(self, name: str) -> Iterator[None]:
        remedy = (
            f"it records what PostHog answered to events of {self._day}. Restore it from a backup; or move it out "
            "of that folder and materialize imported_batches again, which sends those events again: PostHog "
            "keeps one of each, as they have the same uuids, provided the mapping has not changed since"
        )
        with damage_named(f"{self._shown}/{name}", remedy):
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
                f"{self._store.path(self._path(''))} holds {shorten(', '.join(self._strangers))}, which is "
                "no name of a batch file: a copy, or a batch file that was renamed. Move a copy out of that folder, "
                "give a renamed one its name back; then run this again"
            )

    def batch_facts(self) -> Iterator[tuple[str, BatchFacts]]:
        """Yield the name and facts of each batch, oldest first; of files that were not read yet, only their ends are.

        Raises:
            DamagedFile: a file was cut off or altered, or is not one of the ledger's.
        """
        for facts in self._while_others_fold(lambda: self._facts_of(self._current())):
            yield from facts.batches

    def _facts_of(self, names: list[str]) -> list[FileFacts]:
        self._refuse_strangers()
        for name in [name for name in names if is_folded(name) and name not in self._facts]:
            with self._store.peek(self._path(name)) as file, self._damage_named(name):
                self._facts[name] = facts_of(file, name)
        for name, facts in self._each([name for name in names if name not in self._facts], facts_of):
            self._facts[name] = facts
        return [self._facts[name] for name in names]

    def fold(self, entries: SortedEntries | None = None) -> None:
        """Make one file of many, once the day is settled: reading ten thousand files takes many seconds.

        *entries* is what `sorted_entries` opened, where nothing was recorded since.

        Raises:
            PartitionLost: another run may have the day now; nothing is written or deleted.
            DamagedFile, StorageError: nothing is deleted.
        """
        current = self._current()
        if len(current) >= _FOLDED_FROM:
            facts = FileFacts(list(self.batch_facts()), frozenset(self._files))
            with ExitStack() as stack:
                path = Path(stack.enter_context(scratch_folder())) / "folded.parquet"
                pieces = (entries or stack.enter_context(self.sorted_entries())).pieces()
                with writing_temporary(path):
                    digest = write_folded(path, pieces, facts)
                name = file_name(self._next, self._writer, digest, folded=True)
                self.holding.confirm()
                with self._store.atomic_write(self._path(name)) as target:
                    shutil.copyfile(path, target)
            self._added(name, facts)
            self._check_stored(name)
            current = [name]
        # A process that was killed before may have left some that are folded already.
        if replaced := sorted(set(self._files) - set(current)):
            self.holding.confirm()
            self._store.delete_all([self._path(name) for name in replaced])
            self._files = current

    def may_hold_drops(self) -> bool:
        """Whether PostHog dropped an event of any batch, which a later batch may have replaced."""
        return any(facts.dropped for _, facts in self.batch_facts())

    def facts(self) -> list[dict[str, object]]:
        """Return one row per batch, oldest first, in the `LEDGER` columns."""
        rows = []
        for name, facts in self.batch_facts():
            row = facts.as_dict()
            for instant in ("answered_at", "first_timestamp", "last_timestamp"):
                row[instant] = datetime.fromisoformat(row[instant]) if row[instant] else None
            rows.append({"number": number_of(name)} | row)
        return rows

    def summarize(self) -> None:
        """Write `ledger.parquet` again from the batch files."""
        table = pa.Table.from_pylist(self.facts(), schema=LEDGER)
        self.holding.confirm()
        with self._store.atomic_write(ledger_path(self._day)) as path:
            pq.write_table(table, path)


def _known(table: pa.Table, codes: np.ndarray, words: Words) -> Known:
    """Return the rows of a file."""
    hashes, keys = table["content_hash"].to_numpy(), table["key_hash"].to_numpy()
    return Known(*halves(_fixed(table["uuid"])), hashes, keys, codes, words.places(table["detail"]), words.known)


def _fixed(column: pa.ChunkedArray) -> np.ndarray:
    whole = column.combine_chunks()
    return np.frombuffer(whole.buffers()[1], dtype="S16", count=len(whole), offset=whole.offset * 16)
