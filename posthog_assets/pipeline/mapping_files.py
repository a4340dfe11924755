"""Files that a mapping reads: those of steps, and the identity map.

Belongs here: finding and reading them. Does not belong here: what is done with them (`mapping`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from posthog_assets.core.errors import ImportFileError, SourceError, shorten
from posthog_assets.mapping.settings import IdentityMap
from posthog_assets.sources.files.locations import Found, Location
from posthog_assets.sources.formats import Unreadable, detect, read_records
from posthog_assets.storage.scratch import scratch_folder

#: The last table read, by its files: every day of a backfill wants the same one.
_last: tuple[object, dict[str, str]] | None = None


_SHOWN: Final = 3


def read_identity_map(table: IdentityMap) -> dict[str, str]:
    """Return new ids by old ids, about 200 bytes of memory each.

    Raises:
        ImportFileError: there is no such file or column, or an old id has two new ones.
        BrokenPart: a file cannot be read to its end.
        SourceUnavailable: the store did not answer.
    """
    global _last
    location = Location(table.path, table.storage_options)
    files = location.find()
    if not files:
        raise ImportFileError(f"mapping.identity_map.path: there is no file at {location.shown}")
    state = table.model_dump_json(), tuple(file.fingerprint for file in files)
    if _last is None or _last[0] != state:
        ids: dict[str, str] = {}
        for file in files:
            _read(table, location, file, ids)
        _last = state, ids
    return _last[1]


def _read(table: IdentityMap, location: Location, file: Found, ids: dict[str, str]) -> None:
    wrong: list[str] = []
    with location.open(file) as content:
        for chunk in read_records(content, detect(file.path), file.url):
            for position, record in zip(chunk.positions, chunk.records, strict=True):
                place = f"{file.url}:{position}"
                if isinstance(record, Unreadable):
                    raise ImportFileError(f"mapping.identity_map: {place} cannot be read: {record.reason}")
                for name in (table.old, table.new):
                    if name not in record:
                        there = shorten(", ".join(record))
                        raise ImportFileError(f"mapping.identity_map: {place} has no column {name!r}; it has: {there}")
                old, new = (_text(record[name]) for name in (table.old, table.new))
                if old and new and ids.setdefault(old, new) != new:
                    wrong.append(f"{old!r} is both {ids[old]!r} and {new!r} ({place})")
    if wrong:
        raise ImportFileError(
            f"mapping.identity_map: an old id has one new id, but {'; '.join(wrong[:_SHOWN])}"
            + (f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else "")
        )


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


class StepFiles:
    """Opens the files of one run (`mapping.steps.Files`); what was opened is closed by `open_step_files`."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def read(self, path: str) -> bytes:
        """Return the bytes at *path*; raises ImportFileError where there is no such file."""
        location, found = _find(path)
        with location.open(found) as file:
            return file.read()

    def ip_lookup(self, path: str) -> Callable[[str], Mapping[str, Any] | None]:
        """Return the lookup of the MaxMind database at *path*, which is mapped into memory, not read."""
        import maxminddb

        location, found = _find(path)
        local = Path(found.path)
        # The reader wants a file on this machine.
        if not found.url.startswith(("file://", "local://", "python-package://")):
            local = Path(self._stack.enter_context(scratch_folder())) / "ip.mmdb"
            with location.open(found) as source, local.open("wb") as sink:
                shutil.copyfileobj(source, sink, 4 << 20)
        try:
            reader = self._stack.enter_context(maxminddb.open_database(local))
        except maxminddb.InvalidDatabaseError as error:
            raise ImportFileError(f"mapping.steps: {location.shown} is no MaxMind database: {error}") from None
        return reader.get  # type: ignore[return-value]


@contextmanager
def open_step_files() -> Iterator[StepFiles]:
    """Give steps their files, and close them at the end."""
    with ExitStack() as stack:
        yield StepFiles(stack)


def _find(path: str) -> tuple[Location, Any]:
    location = Location(path, {})
    try:
        found = location.find()
    except (ImportFileError, SourceError) as error:
        # Locations speak of the source; this one is a step's.
        raise type(error)(str(error).replace("source.path ", "mapping.steps: ")) from None
    if len(found) != 1:
        raise ImportFileError(
            f"mapping.steps: there are {len(found)} files at {location.shown}; a step needs one"
            if found
            else f"mapping.steps: there is no file at {location.shown}"
        )
    return location, found[0]
