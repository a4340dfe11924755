"""One day as the source delivered it: immutable parts and a manifest.

Belongs here: the contract of `raw_export/<day>/`. Does not belong here: fetching.

A part appears whole or not at all, and is written into the manifest (complete: false) before the next one is begun, so
that an interrupted export goes on after its last complete part. Parts are made durable when the day is completed, not
one by one, since an API delivers thousands of them; what a power cut takes before that is noticed and fetched again.
Nothing ever resumes inside a part: vendors do not deliver the same bytes twice.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

import orjson

from posthog_assets.core.errors import BrokenPart, MissingUpstream
from posthog_assets.core.partitions import Partition, key_of
from posthog_assets.sources.account import Account
from posthog_assets.sources.checked_part import HashedFile, checked
from posthog_assets.sources.formats import Framing, count_records
from posthog_assets.sources.formats.framing import framing_of
from posthog_assets.storage.layout import export_folder
from posthog_assets.storage.store import Store

_VERSION: Final = 1
_MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class Part:
    """One delivered file.

    `origin` says where it came from, `origin_fingerprint` changes when that changes. `without_day` says that its
    records are here because the source could not tell their day.
    """

    name: str
    sha256: str
    bytes: int
    records: int
    origin: str
    origin_fingerprint: str
    framing: Framing
    without_day: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a day's raw export consists of; `position` is the source's own, instants are ISO 8601 in UTC.

    `pruned_at`: the parts were deleted then, after the day had been imported. `account`: of all records that were read
    for the day, where the source itself finds those of the day among them.
    """

    day: str
    complete: bool
    fetched_at: str
    position: str
    parts: tuple[Part, ...]
    pruned_at: str | None = None
    account: Account | None = None

    @property
    def records_without_day(self) -> int:
        """Records of the import whose day the source could not tell; they are kept with its first day."""
        return sum(part.records for part in self.parts if part.without_day)

    def digest(self) -> str:
        """Return a text that is equal for equal content."""
        return hashlib.sha256("".join(part.sha256 for part in self.parts).encode()).hexdigest()[:32]


class RawExport:
    """The raw export of one day. Only one process may write (hold the partition's lock)."""

    def __init__(self, store: Store, day: Partition, progress: Callable[[int], None] = lambda received: None) -> None:
        """Open the day; raises BrokenPart where its manifest is damaged.

        *progress* gets the bytes written to parts so far, each time some are.
        """
        self.store = store
        self._progress = progress
        self._received = 0
        self._day = key_of(day)
        self._folder = export_folder(day)
        self._fragments: dict[str, tuple[Part, orjson.Fragment]] = {}
        self._manifest = self._load()
        #: Names of the parts that belong to the export under way, in order.
        self._confirmed: list[str] = []

    def manifest(self) -> Manifest:
        """Return the complete manifest.

        Raises:
            MissingUpstream: there is none, or the export was interrupted.
        """
        if self._manifest is None or not self._manifest.complete:
            state = "has no partition" if self._manifest is None else "was interrupted for"
            raise MissingUpstream(
                f"{self.store.raw_owner}/raw_export {state} {self._day}: materialize raw_export for {self._day} first"
            )
        return self._manifest

    def parts(self) -> tuple[Part, ...]:
        """Return the parts of the complete manifest, in the order they are to be read; raises MissingUpstream."""
        return self.manifest().parts

    @property
    def interrupted(self) -> Manifest | None:
        """The manifest of an export that was begun and not completed; its position is the source's own note."""
        return self._manifest if self._manifest and not self._manifest.complete else None

    def is_complete(self, position: str) -> bool:
        """Whether the day is pinned already, from the same *position* of the source, and its parts are intact.

        A pruned day is not: asking for its export means that the parts are wanted back.
        """
        found = self._manifest
        return bool(found and found.complete and found.position == position and all(map(self._is_intact, found.parts)))

    @property
    def account(self) -> Account | None:
        """Where all records went that the last export of this day read."""
        return self._manifest.account if self._manifest else None

    @property
    def is_pruned(self) -> bool:
        """Whether the day's parts were deleted, after it had been imported."""
        return self._manifest is not None and self._manifest.pruned_at is not None

    def begin(self, position: str) -> None:
        """Start an export, or go on with one; the parts of an earlier one stay until `complete`."""
        self._confirmed = []
        self.store.sweep(self._folder)
        if self._manifest is None:
            self._save(Manifest(self._day, False, _now(), position, ()))
        elif self._manifest.pruned_at:
            self._save(replace(self._manifest, complete=False, position=position, parts=(), pruned_at=None))
        elif self._manifest.complete or self._manifest.position != position:
            self._save(replace(self._manifest, complete=False, position=position))

    @property
    def names(self) -> frozenset[str]:
        """Names of the parts that are there, of this export or an earlier one."""
        return frozenset(part.name for part in self._parts)

    def keep_if_current(self, name: str, origin_fingerprint: str, framing: Framing | None = None) -> bool:
        """Whether part *name* was fetched already, has not changed since, and is intact; it then stays.

        With *framing*, it must also be meant to be read like that.
        """
        part = self.found(name)
        if part is None or part.origin_fingerprint != origin_fingerprint or not self._is_intact(part):
            return False
        if framing is not None and part.framing != framing:
            return False
        self._confirmed.append(name)
        return True

    def found(self, name: str) -> Part | None:
        """Return part *name* as an interrupted or an earlier export left it, for a source that goes on from there."""
        return next((part for part in self._parts if part.name == name), None)

    def leave_out(self, name: str) -> None:
        """Leave part *name* out of the export under way; `complete` deletes it."""
        self._confirmed = [other for other in self._confirmed if other != name]

    @contextmanager
    def part(
        self, name: str, framing: Framing, origin: str, origin_fingerprint: str = "", *, without_day: bool = False
    ) -> Iterator[IO[bytes]]:
        """Yield a file to write part *name* to; when the block ends it is hashed, counted, stored and noted.

        Raises:
            BrokenPart: what was written cannot be read to its end; nothing of it is kept.
        """
        _check_name(name)
        with self.store.atomic_write(f"{self._folder}/{name}", durable=False) as path:
            with io.BufferedWriter(_Metered(path, self._receive), 1 << 20) as sink:
                yield sink
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
                records = count_records(file, framing, origin)
            size = path.stat().st_size
        part = Part(name, sha256, size, records, origin, origin_fingerprint, framing, without_day)
        others = tuple(other for other in self._parts if other.name != name)
        self._confirmed.append(name)
        self._save(replace(self._current, fetched_at=_now(), parts=(*others, part)))

    def complete(self, position: str | None = None, account: Account | None = None) -> None:
        """Pin the day, at *position* if that is known only now; parts the source no longer has are deleted.

        Those are the parts for which there was neither `part` nor a successful `keep_if_current` since `begin`. The
        others stand in the manifest in the order of these calls.
        """
        by_name = {part.name: part for part in self._parts}
        kept = [by_name.pop(name) for name in dict.fromkeys(self._confirmed)]
        stale = list(by_name)
        current = self._current
        position = position or current.position
        self.store.sync([f"{self._folder}/{part.name}" for part in kept])
        self._save(replace(current, complete=True, parts=tuple(kept), position=position, account=account))
        for name in stale:
            self.store.delete(f"{self._folder}/{name}")

    def open(self, part: Part) -> IO[bytes]:
        """Open a part for reading.

        Raises:
            BrokenPart: it is gone, or of another size than what was fetched.
            MissingUpstream: the day was pruned.
        """
        if self._manifest is not None and self._manifest.pruned_at:
            raise MissingUpstream(
                f"{self.store.root.name}/raw_export of {self._day} was pruned on {self._manifest.pruned_at[:10]}, "
                f"after it had been imported: materialize raw_export for {self._day} again to fetch it again"
            )
        if self._size(part) != part.bytes:
            raise self._broken(part, "is missing or damaged: ")
        return self.store.open(f"{self._folder}/{part.name}")

    @contextmanager
    def verified(self, part: Part) -> Iterator[IO[bytes]]:
        """Yield a part for reading; what the block made of it counts only if the block ends without an error.

        Raises:
            BrokenPart: like `open`; or, when the block ends, some byte of it is not what was fetched.
            MissingUpstream: the day was pruned.
        """
        with self.open(part) as opened, checked(opened, part.sha256, self._altered(part)) as file:
            yield file

    def _altered(self, part: Part) -> BrokenPart:
        # A store elsewhere is trusted with its content, so an export would keep the part.
        first = "" if self.store.is_local else f"delete {self.store.path(self._folder)}/{part.name}, then "
        return self._broken(part, f"was altered since it was fetched (its sha256 is not the manifest's): {first}")

    def _broken(self, part: Part, words: str) -> BrokenPart:
        where = f"part {part.name} of {self.store.raw_owner}/raw_export {self._day}"
        return BrokenPart(f"{where} {words}materialize raw_export for {self._day} again")

    def stored(self) -> dict[str, int]:
        """Return the bytes of every file of the day but the manifest, by name."""
        names = [name for name in self.store.names(self._folder) if name != _MANIFEST]
        return {name: self.store.size(f"{self._folder}/{name}") for name in names}

    def prune(self) -> None:
        """Delete the parts of the complete manifest, which stays and says so; raises MissingUpstream."""
        manifest = self.manifest()
        if not manifest.pruned_at:
            self._save(replace(manifest, pruned_at=_now()))
        # What a killed process left of an earlier pruning goes too.
        for name in self.stored():
            self.store.delete(f"{self._folder}/{name}")

    def _receive(self, count: int) -> None:
        self._received += count
        self._progress(self._received)

    @property
    def _current(self) -> Manifest:
        if self._manifest is None:
            raise RuntimeError("RawExport.begin() comes before part() and complete()")
        return self._manifest

    @property
    def _parts(self) -> tuple[Part, ...]:
        return self._manifest.parts if self._manifest else ()

    def _is_intact(self, part: Part) -> bool:
        # Object stores keep their objects intact themselves; reading everything back from them would cost.
        return self._size(part) == part.bytes and (not self.store.is_local or self._sha256(part) == part.sha256)

    def _size(self, part: Part) -> int:
        try:
            return self.store.size(f"{self._folder}/{part.name}")
        except FileNotFoundError:
            return -1

    def _sha256(self, part: Part) -> str:
        with self.store.open(f"{self._folder}/{part.name}") as file:
            return HashedFile(file).sha256()

    def _load(self) -> Manifest | None:
        try:
            text = self.store.read_bytes(f"{self._folder}/{_MANIFEST}")
            if not text:
                # A power cut took it; no process leaves one without content.
                return None
            content = orjson.loads(text)
            if content["version"] != _VERSION:
                raise ValueError(f"version {content['version']!r}, where this program knows {_VERSION}")
            parts = tuple(Part(**(part | {"framing": framing_of(part["framing"])})) for part in content["parts"])
            return Manifest(
                content["day"], content["complete"], content["fetched_at"], content["position"], parts,
                content.get("pruned_at"), Account(**account) if (account := content.get("account")) else None,
            )  # fmt: skip
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise BrokenPart(
                f"{self.store.path(self._folder)}/{_MANIFEST} cannot be read ({error!r}): delete it, then materialize "
                f"raw_export for {self._day} again"
            ) from error

    def _save(self, manifest: Manifest) -> None:
        self._manifest = manifest
        content: dict[str, Any] = {
            "version": _VERSION,
            "day": manifest.day,
            "complete": manifest.complete,
            "fetched_at": manifest.fetched_at,
            "position": manifest.position,
            "parts": [self._written(part) for part in manifest.parts],
            "records_without_day": manifest.records_without_day,
        }
        if manifest.pruned_at is not None:
            content["pruned_at"] = manifest.pruned_at
        if manifest.account is not None:
            content["account"] = asdict(manifest.account)
        self.store.write_bytes(
            f"{self._folder}/{_MANIFEST}",
            orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE),
            durable=manifest.complete,
        )

    def _written(self, part: Part) -> orjson.Fragment:
        """Return a part as JSON. It is made once: the manifest is written again with every page of an API."""
        made = self._fragments.get(part.name)
        if made is None or made[0] is not part:
            content = {item.name: getattr(part, item.name) for item in fields(part)}
            text = orjson.dumps(content | {"framing": part.framing.written()})
            made = self._fragments[part.name] = part, orjson.Fragment(text)
        return made[1]


class _Metered(io.FileIO):
    """A new file that tells how many bytes each write brought."""

    def __init__(self, path: Path, told: Callable[[int], None]) -> None:
        super().__init__(path, "wb")
        self._told = told

    def write(self, data: Any) -> int:
        count = super().write(data)
        self._told(count)
        return count


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _check_name(name: str) -> None:
    if not name or "/" in name or "\\" in name or name.startswith(".") or name == _MANIFEST or len(name) > 200:
        raise ValueError(f"part name {name!r} must be a plain file name, not {_MANIFEST}, of at most 200 characters")
