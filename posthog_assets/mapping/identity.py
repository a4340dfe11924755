"""Who was seen under which ids: the pairs of anonymous and user id of a day.

Belongs here: which pairs are linked, and when. Does not belong here: the `$identify` event (`events`).

PostHog merges persons when an event says so, whatever the order of their timestamps; the link comes just before the
first event of the pair, as in PostHog's own importers, so that all events of the day are one person's from the start.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.mapping.kinds import LINKS
from posthog_assets.mapping.validation import is_illegal

#: Anonymous id, user id.
Pair = tuple[str, str]


class Identities:
    """Collects a day's pairs; memory grows with the pairs, not with the events."""

    def __init__(self) -> None:
        self._seen: dict[Pair, int] = {}
        self._linked: dict[Pair, int] = {}

    def add(self, staged: pa.RecordBatch) -> None:
        """Take the rows of a batch that carry both ids, where PostHog would link them."""
        both = pc.and_(pc.is_valid(staged["user_id"]), pc.is_valid(staged["anonymous_id"]))
        if not pc.any(both).as_py():
            return
        rows = staged.select(["anonymous_id", "user_id", "timestamp", "kind"]).filter(both)
        stamps = rows["timestamp"].cast(pa.int64()).to_pylist()
        for anonymous, user, stamp, kind in zip(
            rows["anonymous_id"].to_pylist(), rows["user_id"].to_pylist(), stamps, rows["kind"].to_pylist(), strict=True
        ):
            pair = anonymous.strip(), user.strip()
            if all(pair) and pair[0] != pair[1] and not is_illegal(pair[0]) and not is_illegal(pair[1]):
                first = self._linked if kind in LINKS else self._seen
                first[pair] = min(stamp, first.get(pair, stamp))

    def pairs(self) -> dict[Pair, int]:
        """Return the instant (µs since 1970) of each pair's first event; pairs linked by a call before it need none."""
        return {
            pair: stamp for pair, stamp in self._seen.items() if pair not in self._linked or stamp < self._linked[pair]
        }
