"""One type for each column of CSV in all of an import, whichever day is staged first.

Belongs here: keeping what the days have shown of the columns. Does not belong here: what a text is
(`dialects.column_kinds`).

    <import>/column_types.json     the kind of each column, and the days that were staged while it was known as another

Kinds only widen, to text, so that the last word does not depend on the order of the days. Where a day shows that a
column of numbers holds text, days that were staged before it are to be staged again: they are *behind*. Their events
have the same keys, so PostHog replaces what has changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import orjson

from posthog_assets.core.errors import BrokenPart
from posthog_assets.core.partitions import Partition, key_of
from posthog_assets.dialects.column_kinds import ColumnKinds, Kind, joined
from posthog_assets.storage.layout import column_types_path, staged_folder
from posthog_assets.storage.store import Store

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class ColumnTypes:
    """Kinds of columns, and the keys of the days that are staged by other ones."""

    kinds: dict[str, Kind]
    behind: frozenset[str] = frozenset()


def read_column_types(store: Store) -> ColumnTypes:
    """Return what is known of the columns of an import; nothing before its first day of CSV.

    Raises:
        BrokenPart: the file is damaged.
    """
    path = column_types_path()
    try:
        content = orjson.loads(store.read_bytes(path))
        if content["version"] != _VERSION:
            raise ValueError(f"version {content['version']!r}, where this program knows {_VERSION}")
        return ColumnTypes(dict(content["kinds"]), frozenset(content["behind"]))
    except FileNotFoundError:
        return ColumnTypes({})
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenPart(
            f"{store.path(path)} cannot be read ({error!r}): delete it, then materialize staged_events of all days "
            "again"
        ) from error


def keep_column_types(store: Store, day: Partition, found: ColumnKinds, *, is_stored: bool) -> bool:
    """Add what *day* has shown to what is known; return whether its rows are by the kinds that hold now.

    Where they are not, another day has widened a kind meanwhile: *found* has it now, and *day* must be staged once
    more. It is called before the rows are stored, so that what they show is known when they are; and again when they
    are (*is_stored*), since another day may have widened a kind between, when this one had no rows to leave behind.
    """
    before, key = read_column_types(store), key_of(day)
    if before.kinds == found.kinds and not (is_stored and key in before.behind):
        return True
    with store.brief_lock("column-types"):
        before = read_column_types(store)
        now = dict(before.kinds)
        for column, kind in found.kinds.items():
            now[column] = joined(now.get(column), kind)
        is_current = all(found.kinds[column] == now[column] for column in found.kinds)
        widens = any(before.kinds[column] != now[column] for column in before.kinds)
        behind = before.behind | (_staged_days(store) if widens else frozenset())
        if is_stored:
            behind = behind - {key} if is_current else behind | {key}
        if ColumnTypes(now, behind) != before:
            _write(store, ColumnTypes(now, behind))
            # Stored by what was known until then.
            if widens and (late := _staged_days(store) - behind - {key}):
                _write(store, ColumnTypes(now, behind | late))
    found.kinds.update(now)
    return is_current


def _staged_days(store: Store) -> frozenset[str]:
    return frozenset(name.removesuffix(".parquet") for name in store.names(staged_folder()))


def _write(store: Store, types: ColumnTypes) -> None:
    content = {"version": _VERSION, "kinds": types.kinds, "behind": sorted(types.behind)}
    store.write_bytes(column_types_path(), orjson.dumps(content, option=orjson.OPT_INDENT_2))
