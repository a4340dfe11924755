"""What became of each field of a raw record.

Belongs here: comparing a record with its event. Does not belong here: choosing or showing them (`preview`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What happened to a field."""

    KEPT = "kept"
    RENAMED = "renamed"
    CHANGED = "changed"
    ADDED = "added"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field: its path in the record, its path in the event, and the values (None where there is none)."""

    kind: Kind
    old: str | None
    new: str | None
    before: Any
    after: Any


def differences(before: Any, after: dict[str, Any], time_column: str | None = None) -> list[Difference]:
    """Return what became of the fields of *before*, a raw record, in *after*, its event: the event's order first.

    A field whose value stands under another path counts as renamed, and so does *time_column*, the field that is the
    event's timestamp however it is written.
    """
    old = dict(_leaves(before if isinstance(before, dict) else {"record": before}))
    fields = {key: value for key, value in after.items() if key != "properties"} | dict(after.get("properties") or {})
    unused = dict(old)
    found: list[Difference] = []
    for path, value in _leaves(fields):
        if path in old:
            unused.pop(path, None)
            kind = Kind.KEPT if _same(old[path], value) else Kind.CHANGED
            found.append(Difference(kind, path, path, old[path], value))
            continue
        if path == "timestamp" and time_column in unused and time_column not in fields:
            source: str | None = time_column
        else:
            source = next((name for name, other in unused.items() if name not in fields and _same(other, value)), None)
        if source is None or value in (None, "", True, False):
            found.append(Difference(Kind.ADDED, None, path, None, value))
        else:
            found.append(Difference(Kind.RENAMED, source, path, unused.pop(source), value))
    return found + [Difference(Kind.DROPPED, path, None, value, None) for path, value in unused.items()]


def _leaves(value: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        here = f"{path}.{key}" if path else str(key)
        if isinstance(item, dict) and item:
            yield from _leaves(item, here)
        else:
            yield here, item


def _same(one: Any, other: Any) -> bool:
    if one == other and isinstance(one, bool) == isinstance(other, bool):
        return True
    if isinstance(one, dict | list | bool) or isinstance(other, dict | list | bool):
        return False
    if str(one) == str(other):
        return True
    # A day of the event is not the midnight of a record: it may be one of the import's own marks.
    return isinstance(other, str) and len(other) > 10 and _instant(one) is not None and _instant(one) == _instant(other)


def _instant(value: Any) -> datetime | None:
    if not isinstance(value, str) or len(value) < 10:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
