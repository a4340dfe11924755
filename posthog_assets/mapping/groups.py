"""What the events of a day say of their groups.

Belongs here: the last known properties of each group. Does not belong here: the `$groupidentify` event (`events`).

PostHog merges the properties of a group into what it has, name by name (nodejs/src/ingestion, `calculateUpdate` of
groups), so one event a group and day is enough: each property with its last value.
"""

from __future__ import annotations

from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

#: Group type, group key.
Group = tuple[str, str]


class GroupStates:
    """Collects what was said last of each group; memory grows with what is said of groups, not with the events."""

    def __init__(self) -> None:
        self._last: dict[Group, dict[str, tuple[int, bytes]]] = {}

    def add(self, staged: pa.RecordBatch) -> None:
        """Take the rows of a batch that tell properties of groups."""
        said = pc.is_valid(staged["group_set"])
        if not pc.any(said).as_py():
            return
        rows = staged.select(["group_set", "timestamp"]).filter(said)
        stamps = rows["timestamp"].cast(pa.int64()).to_pylist()
        for text, stamp in zip(rows["group_set"].to_pylist(), stamps, strict=True):
            for kind, keys in orjson.loads(text).items():
                for key, properties in keys.items():
                    self._note((kind, key), properties, stamp)

    def _note(self, group: Group, properties: dict[str, Any], stamp: int) -> None:
        known = self._last.setdefault(group, {})
        for name, value in properties.items():
            # Of two at the same instant the greater text counts, so that the order of rows does not matter.
            latest = stamp, orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
            known[name] = max(latest, known.get(name, latest))

    def states(self) -> dict[Group, tuple[int, str]]:
        """Return each group's last instant (µs since 1970) and its properties then, as JSON text."""
        return {
            group: (
                max(stamp for stamp, _ in known.values()),
                orjson.dumps({name: orjson.Fragment(known[name][1]) for name in sorted(known)}).decode(),
            )
            for group, known in self._last.items()
            if known
        }
