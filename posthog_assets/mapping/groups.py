"""What the events of a day say of their groups.

Belongs here: the last known properties of each group. Does not belong here: the `$groupidentify` event (`events`).

PostHog keeps one set of properties a group, the last it was sent, so one event a group and day says it all.
"""

from __future__ import annotations

import orjson
import pyarrow as pa
import pyarrow.compute as pc

#: Group type, group key.
Group = tuple[str, str]


class GroupStates:
    """Collects what was said last of each group; memory grows with the groups, not with the events."""

    def __init__(self) -> None:
        self._last: dict[Group, tuple[int, str]] = {}

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
                    # Of two at the same instant the greater text counts, so that the order of rows does not matter.
                    state = stamp, orjson.dumps(properties, option=orjson.OPT_SORT_KEYS).decode()
                    self._last[kind, key] = max(state, self._last.get((kind, key), state))

    def states(self) -> dict[Group, tuple[int, str]]:
        """Return each group's last instant (µs since 1970) and its properties then, as JSON text."""
        return self._last
