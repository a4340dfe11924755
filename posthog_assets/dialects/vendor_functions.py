"""The functions that are compiled for one vendor's dialect, and what these call.

Belongs here: making them once for each dialect. Does not belong here: their text (`compiled`, `straight`), the tables
they are made of (`vendor`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import orjson

from posthog_assets.core.errors import shorten
from posthog_assets.core.records import Unreadable
from posthog_assets.core.rejection import Rejected
from posthog_assets.dialects.compiled import fields_source, made, rows_source
from posthog_assets.dialects.members import NOTHING, never
from posthog_assets.dialects.reading import Reading, read_ids, trim_groups, written
from posthog_assets.dialects.record import Record, as_id, group_keys, is_nothing, read_own_groups
from posthog_assets.dialects.rows import Note, Noted
from posthog_assets.dialects.straight import is_straight, lines_source

if TYPE_CHECKING:
    from posthog_assets.dialects.vendor import Vendor

#: What is wrong with a record that is not what its vendor writes.
FLAWS: Final = (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError)


def fields_of(vendor: type[Vendor]) -> Callable[[Vendor, Record], Reading]:
    """Return the compiled `fields` of a dialect."""
    unwanted = vendor.renames.keys() | vendor.dropped
    return made("fields", fields_source(vendor), {"Reading": Reading, "unwanted": unwanted})


def not_of(dialect: Vendor, error: Exception) -> Rejected:
    """Return the reason for a record in which something is not what the vendor writes."""
    return Rejected(f"record is not what {dialect.type} writes: {shorten(f'{type(error).__name__}: {error}')}")


@functools.cache
def rows_of(vendor: type[Vendor], *, of_texts: bool, has_groups: bool) -> Callable[..., Noted]:
    """Return the compiled `rows_by_row` of a dialect, for records that are lines of JSON (*of_texts*) or objects."""
    return made("rows", rows_source(vendor, of_texts=of_texts, has_groups=has_groups), _SEEN)


@functools.cache
def lines_of(vendor: type[Vendor], *, has_groups: bool) -> Callable[..., list[Note]] | None:
    """Return the reader of lines of a dialect (`straight`), None where it has none."""
    if not is_straight(vendor):
        return None
    return made("lines", *lines_source(vendor, _SEEN, has_groups=has_groups))


#: What compiled functions call.
_SEEN: Final[dict[str, Any]] = {
    "FLAWS": FLAWS, "JSONDecodeError": orjson.JSONDecodeError, "NEITHER": (None, None), "NOTHING": NOTHING,
    "Reading": Reading,
    "Rejected": Rejected, "Unreadable": Unreadable, "as_id": as_id,
    "dumps": orjson.dumps, "group_keys": group_keys, "is_nothing": is_nothing,
    "loads": orjson.loads, "never": never, "not_of": not_of, "read_ids": read_ids, "read_own_groups": read_own_groups,
    "trim_groups": trim_groups, "written": written,
}  # fmt: skip
