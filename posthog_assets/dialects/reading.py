"""One record as a dialect reads it, before it is a row of columns.

Belongs here: what is read, its ids, the keys of its groups and its objects as text. Does not belong here: where a
vendor has these (`vendor`), many rows (`rows`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from posthog_assets.core.errors import shorten
from posthog_assets.core.rejection import Rejected
from posthog_assets.dialects.record import Record, as_id, usable_id

#: The JSON objects of a row as text, in the order of the columns; None where there is none.
_Texts = tuple[bytes | None, bytes | None, bytes | None, bytes | None, bytes | None]


class Reading:
    """One record as a dialect reads it: the staged row before it is written as columns.

    `timestamp` is as the record has it; the dictionaries become JSON text, empty ones nothing. `left_out` are paths of
    fields that no table names, `remarks` what else is worth counting of a record that is imported all the same.
    """

    __slots__ = (
        "anonymous_id", "clocks", "event", "group_set", "groups", "kind", "left_out", "properties", "remarks", "set",
        "set_once", "source_id", "timestamp", "user_id",
    )  # fmt: skip

    def __init__(self) -> None:
        self.kind = "event"
        self.event: Any = None
        self.user_id: Any = None
        self.anonymous_id: Any = None
        self.timestamp: Any = None
        self.source_id: Any = None
        self.properties: Record = {}
        self.set: Record = {}
        self.set_once: Record = {}
        self.groups: dict[str, str] = {}
        self.group_set: dict[str, dict[str, Record]] = {}
        self.left_out: list[str] | None = None
        self.remarks: list[str] | None = None
        self.clocks: tuple[Any, ...] = ()

    def remark(self, sentence: str) -> None:
        """Have *sentence* counted, which is the same for all records it is true of."""
        self.remarks = [*(self.remarks or ()), sentence]


def trim_groups(row: Reading) -> None:
    """Take blanks off the keys of groups, as off the ids of persons."""
    if any(key[:1].isspace() or key[-1:].isspace() for key in row.groups.values()):
        row.groups = {kind: key.strip() for kind, key in row.groups.items()}


def read_ids(row: Reading) -> None:
    """Make the ids of a row text; one that is no id counts as absent where the other is one. Raises Rejected."""
    try:
        row.user_id, row.anonymous_id = as_id(row.user_id, "user id"), as_id(row.anonymous_id, "anonymous id")
    except Rejected:
        flaws: list[str] = []
        row.user_id = usable_id(row.user_id, "user id", flaws)
        row.anonymous_id = usable_id(row.anonymous_id, "anonymous id", flaws)
        if row.user_id is None and row.anonymous_id is None:
            raise
        for flaw in flaws:
            row.remark(flaw)


def written(row: Reading, dumps: Callable[[Any], bytes]) -> _Texts:
    """Return a row's objects as JSON text; raises Rejected."""
    try:
        return _texts(row, dumps)
    except TypeError as error:
        raise Rejected(f"record cannot be written as JSON: {shorten(str(error))}") from error


def _texts(row: Reading, dumps: Callable[[Any], bytes]) -> _Texts:
    return (
        dumps(row.properties),
        dumps(row.set) if row.set else None,
        dumps(row.set_once) if row.set_once else None,
        dumps(row.groups) if row.groups else None,
        dumps(row.group_set) if row.group_set else None,
    )
