"""An API that knows no days, read as a whole and split by the day of its records.

Belongs here: reading everything once for all days, and a day's extract of it. Does not belong here: pages (`pages`),
splitting (`sources.files.day_split`).

    raw_export/.whole-<settings>/     every page, and a manifest, as of a day
    raw_export/.split/<settings>/     the records of each day
    raw_export/<day>/                 the day's extract

A day is taken from a reading that began when the day was complete. A backfill of years therefore reads once, and a
later day reads again.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any, Protocol, cast

from posthog_assets.core.errors import MissingUpstream
from posthog_assets.core.json_text import dump_line
from posthog_assets.sources.account import WITHOUT_DAY
from posthog_assets.sources.files.day_split import DaySplit
from posthog_assets.sources.files.record_days import Days
from posthog_assets.sources.formats import Compression, Format, Framing, Unreadable, read_records
from posthog_assets.sources.manifest import Part, RawExport
from posthog_assets.storage.leases import Holding
from posthog_assets.storage.store import Store


class Reading(Protocol):
    """Reads all pages into a raw export, under a key."""

    def __call__(self, raw: RawExport, key: str) -> None: ...


class Whole:
    """All records of an API, as far as they are stored.

    *name* is unique to the settings, *read_as* to the rule by which *days* gives records to days.
    """

    def __init__(self, store: Store, name: str, day_column: str, days: Days, read_as: str) -> None:
        self._store = store
        self._name = name
        self._day_column = day_column
        self._days = days
        self._read_as = read_as

    def split(self, needed_at: datetime, now: datetime, read: Reading) -> DaySplit:
        """Return the extracts of a reading that began at *needed_at* or later, made now unless there is one.

        An interrupted reading goes on where it stopped, if it began late enough.

        Raises:
            PartitionBusy: another run reads (on a local disk it is waited for).
            PartitionLost: this run was stopped, and another one may be reading now.
        """
        with self._alone() as holding:
            raw = RawExport(self._store, f".whole-{self._name}", lambda received: holding.check())
            begun = _begun(raw)
            if begun is None or begun < needed_at:
                begun = now
            position = begun.isoformat()
            if not raw.is_complete(position):
                raw.begin(position)
                read(raw, position)
                raw.complete()
            return self._made(raw)

    @contextmanager
    def _alone(self) -> Iterator[Holding]:
        """Hold the right to read: on a local disk the others wait, elsewhere they run again later."""
        if self._store.is_local:
            with self._store.shared_lock(f"whole-{self._name}"):
                yield Holding()
        else:
            with self._store.lock("whole", self._name) as holding:
                yield holding

    def _made(self, raw: RawExport) -> DaySplit:
        split = DaySplit(self._store, self._name, f"{raw.manifest().digest()}{self._read_as}")
        if not split.load():
            stream = cast("IO[bytes]", io.BufferedReader(_Lines(raw, raw.parts()), 1 << 20))
            split.write(stream, Framing(Format.JSONL), "the API", self._day_column, self._days)
        return split

    def pin(self, split: DaySplit, key: str, raw: RawExport) -> None:
        """Pin the extract of the day *key*, `2024-03-01`, or `WITHOUT_DAY`."""
        label = key or "without-day"
        for extract in split.extracts(key):
            name, framing = f"records-{label}.jsonl.zst", Framing(Format.JSONL, Compression.ZSTD)
            if not raw.keep_if_current(name, extract.digest, framing):
                with raw.part(
                    name, framing, f"the whole of the API [{label}]", extract.digest, without_day=key == WITHOUT_DAY
                ) as sink:
                    split.copy(extract, sink)


def _begun(raw: RawExport) -> datetime | None:
    """Return when the reading that is stored, or was interrupted, began."""
    try:
        return datetime.fromisoformat((raw.interrupted or raw.manifest()).position)
    except MissingUpstream:
        return None


class _Lines(io.RawIOBase):
    """The records of all pages as JSON lines, made as they are read."""

    def __init__(self, raw: RawExport, parts: tuple[Part, ...]) -> None:
        self._pieces = self._texts(raw, parts)
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = piece
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    @staticmethod
    def _texts(raw: RawExport, parts: tuple[Part, ...]) -> Iterator[bytes]:
        for part in parts:
            with raw.verified(part) as file:
                for chunk in read_records(file, part.framing, part.name):
                    yield b"".join(_line(record) for record in chunk.records)


def _line(record: dict[str, Any] | Unreadable) -> bytes:
    # What is no object stays what it is: a record that is rejected with its reason.
    content = record if isinstance(record, dict) else record.reason
    return dump_line(content)
