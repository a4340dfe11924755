"""The table of old and new ids that `mapping.identity_map` names.

Belongs here: reading it. Does not belong here: applying it (`mapping.people`).
"""

from __future__ import annotations

from typing import Final

from posthog_assets.errors import ImportFileError, shorten
from posthog_assets.formats import Unreadable, detect, read_records
from posthog_assets.mapping.settings import IdentityMap
from posthog_assets.sources.locations import Found, Location

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
