"""One day as the source delivered it: immutable parts and a manifest.

Belongs here: the contract of `raw_export/<day>/`. Does not belong here: fetching.

A part appears whole or not at all, and is written into the manifest (complete: false) before the next one is begun, so
that an interrupted export goes on after its last complete part. Nothing ever resumes inside a part: vendors do not
deliver the same bytes twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any, Final

import orjson

from posthog_assets.errors import BrokenPart, MissingUpstream
from posthog_assets.formats import Compression, Format, Framing, count_records
from posthog_assets.storage import Store

_VERSION: Final = 1
_MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class Part:
    """One delivered file. `origin` says where it came from; `origin_fingerprint` changes when that changes."""

    name: str
    sha256: str
    bytes: int
    records: int
    origin: str
    origin_fingerprint: str
    framing: Framing


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a day's raw export consists of; `position` is the source's own, `fetched_at` ISO 8601 in UTC."""

    day: str
    complete: bool
    fetched_at: str
    position: str
    parts: tuple[Part, ...]

    def digest(self) -> str:
        """Return a text that is equal for equal content."""
        return hashlib.sha256("".join(part.sha256 for part in self.parts).encode()).hexdigest()[:32]


class RawExport:
    """The raw export of one day. Only one process may write (hold the partition's lock)."""

    def __init__(self, store: Store, day: date) -> None:
        self._store = self.store = store
        self._day = day.isoformat()
        self._folder = f"raw_export/{self._day}"
        self._manifest = self._load()

    def manifest(self) -> Manifest:
        """Return the complete manifest.

        Raises:
            MissingUpstream: there is none, or the export was interrupted.
        """
        if self._manifest is None or not self._manifest.complete:
            state = "has no partition" if self._manifest is None else "was interrupted for"
            raise MissingUpstream(
                f"{self._store.root.name}/raw_export {state} {self._day}: materialize raw_export for {self._day} first"
            )
        return self._manifest

    def is_complete(self, position: str) -> bool:
        """Whether the day is pinned already, from the same *position* of the source."""
        return bool(self._manifest and self._manifest.complete and self._manifest.position == position)

    def begin(self, position: str) -> None:
        """Start, or go on with, an export; parts of an earlier one stay known to `has`."""
        parts = self._manifest.parts if self._manifest else ()
        self._store.sweep(self._folder)
        self._save(Manifest(self._day, False, datetime.now(UTC).isoformat(), position, parts))

    def has(self, name: str, origin_fingerprint: str) -> bool:
        """Whether part *name* was fetched already, unchanged since."""
        return any(
            part.name == name and part.origin_fingerprint == origin_fingerprint and self._size(part) == part.bytes
            for part in self._parts
        )

    @contextmanager
    def part(self, name: str, framing: Framing, origin: str, origin_fingerprint: str = "") -> Iterator[Path]:
        """Yield a path to write part *name* to; when the block ends it is hashed, counted, stored and noted.

        Raises:
            BrokenPart: what was written cannot be read to its end; nothing of it is kept.
        """
        with self._store.replace(f"{self._folder}/{name}") as path:
            yield path
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
                records = count_records(file, framing, origin)
            size = path.stat().st_size
        part = Part(name, sha256, size, records, origin, origin_fingerprint, framing)
        others = tuple(other for other in self._parts if other.name != name)
        self._save(replace(self._current, parts=tuple(sorted((*others, part), key=lambda part: part.name))))

    def complete(self, names: list[str] | None = None) -> None:
        """Pin the day; parts not in *names* (default: all stay) are of an earlier export and are deleted."""
        kept = tuple(part for part in self._parts if names is None or part.name in names)
        stale = [part.name for part in self._parts if part not in kept]
        self._save(replace(self._current, complete=True, parts=kept))
        for name in stale:
            self._store.delete(f"{self._folder}/{name}")

    def open(self, part: Part) -> IO[bytes]:
        """Open a part for reading.

        Raises:
            BrokenPart: it is gone, or not as long as it was.
        """
        if self._size(part) != part.bytes:
            raise BrokenPart(
                f"part {part.name} of {self._store.root.name}/raw_export {self._day} is missing or damaged: "
                f"materialize raw_export for {self._day} again"
            )
        return self._store.open(f"{self._folder}/{part.name}")

    @property
    def _current(self) -> Manifest:
        assert self._manifest is not None, "begin() comes first"
        return self._manifest

    @property
    def _parts(self) -> tuple[Part, ...]:
        return self._manifest.parts if self._manifest else ()

    def _size(self, part: Part) -> int:
        try:
            return self._store.size(f"{self._folder}/{part.name}")
        except FileNotFoundError:
            return -1

    def _load(self) -> Manifest | None:
        try:
            content = orjson.loads(self._store.read_bytes(f"{self._folder}/{_MANIFEST}"))
        except FileNotFoundError:
            return None
        except orjson.JSONDecodeError as error:
            raise BrokenPart(f"{self._store.path(self._folder)}/{_MANIFEST} is damaged: delete it") from error
        parts = tuple(Part(**(part | {"framing": _framing(part["framing"])})) for part in content["parts"])
        return Manifest(content["day"], content["complete"], content["fetched_at"], content["position"], parts)

    def _save(self, manifest: Manifest) -> None:
        self._manifest = manifest
        content = {"version": _VERSION} | asdict(manifest)
        self._store.write_bytes(
            f"{self._folder}/{_MANIFEST}", orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        )


def _framing(content: dict[str, Any]) -> Framing:
    shape = Format(content["format"]) if content["format"] else None
    return Framing(**(content | {"format": shape, "compression": Compression(content["compression"])}))
