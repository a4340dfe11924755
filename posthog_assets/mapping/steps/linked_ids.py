"""Which ids a day's records link, for steps that must treat all ids of a person in the same way.

Belongs here: under which id a person goes on. Does not belong here: `$identify` events (`mapping.identity`).
"""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.posthog_rules import is_illegal


class Links:
    """Collects the pairs of ids of a day; memory grows with the pairs, not with the events."""

    def __init__(self) -> None:
        self._users: dict[str, set[str]] = {}
        self._ends: dict[str, Collection[str]] = {}

    def add(self, staged: pa.RecordBatch) -> None:
        """Take the rows of a batch that carry both ids."""
        both = pc.and_(pc.is_valid(staged["user_id"]), pc.is_valid(staged["anonymous_id"]))
        both = pc.and_(both, pc.is_null(staged["reject_reason"]))
        if not pc.any(both).as_py():
            return
        rows = staged.select(["anonymous_id", "user_id"]).filter(both)
        for anonymous, user in zip(rows["anonymous_id"].to_pylist(), rows["user_id"].to_pylist(), strict=True):
            anonymous, user = anonymous.strip(), user.strip()
            if anonymous != user and not is_illegal(anonymous) and not is_illegal(user):
                self._users.setdefault(anonymous, set()).add(user)
        self._ends.clear()

    def of(self, distinct_id: str | None) -> Collection[str]:
        """Return the ids at the end of the chain of links from an id (alias on alias); of a circle the smallest."""
        if distinct_id is None or distinct_id not in self._users:
            return ()
        if distinct_id not in self._ends:
            seen, todo = {distinct_id}, [distinct_id]
            while todo:
                new = self._users.get(todo.pop(), set()) - seen
                seen |= new
                todo += new
            self._ends[distinct_id] = sorted(seen - self._users.keys()) or [min(seen)]
        return self._ends[distinct_id]
