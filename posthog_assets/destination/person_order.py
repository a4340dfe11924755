"""Whose event is whose: events of one person must reach PostHog in their order, others need not.

Belongs here: numbers that are equal for events of one person. Does not belong here: what is done with them (`lane`).

PostHog processes `$identify`, `$create_alias` and `$merge_dangerously` when they come in, so the ids they link count as
one person for the whole day. `$groupidentify` sets properties of a group, which has an order of its own: all of them
count as one person's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from posthog_assets.destination.encoder import hashes_of

#: The events that link ids, and the property that names the other one:
#: nodejs/src/ingestion/common/persons/person-merge-service.ts
_LINKS: Final = {
    "$identify": "$anon_distinct_id",
    "$create_alias": "alias",
    "$merge_dangerously": "alias",
}

_GROUPS: Final = np.uint64(xxhash.xxh3_64_intdigest(b"$groupidentify"))


class StoredEvents(Protocol):
    """Opens the stored events of a day, any number of times."""

    def __call__(self, columns: list[str] | None, names: Iterable[str] | None = None) -> Iterable[pa.RecordBatch]:
        """Return batches with these columns, None for all; with *names* those without such an event may be missing."""


class Persons:
    """Gives every event a number (unsigned, 64 bits) that all events of its person share."""

    def __init__(self, links: Iterable[tuple[str, str]] = ()) -> None:
        """Take the pairs of ids that belong to one person; memory grows with the linked ids only."""
        parents: dict[int, int] = {}

        def root(number: int) -> int:
            while (parent := parents.setdefault(number, number)) != number:
                parents[number] = parents[parent]
                number = parent
            return number

        for one, other in links:
            first, second = root(_number(one)), root(_number(other))
            # The smaller number wins, so that the order of the links does not matter.
            parents[max(first, second)] = min(first, second)
        self._linked = np.array(sorted(parents), dtype=np.uint64)
        self._roots = np.array([root(number) for number in sorted(parents)], dtype=np.uint64)

    def of(self, events: pa.RecordBatch) -> np.ndarray:
        """Return the number of each row's person (columns `event` and `distinct_id`)."""
        persons = hashes_of(events["distinct_id"])
        if len(self._linked):
            where = np.minimum(np.searchsorted(self._linked, persons), len(self._linked) - 1)
            persons = np.where(self._linked[where] == persons, self._roots[where], persons)
        groups = pc.equal(events["event"], "$groupidentify")
        if pc.any(groups).as_py():
            persons[groups.to_numpy(zero_copy_only=False)] = _GROUPS
        return persons


def of_day(events: StoredEvents) -> Persons:
    """Return the persons of a day."""
    # Most of a day links no ids, and is not read.
    return Persons(_links(events(["event", "distinct_id", "properties", "reject_reason"], _LINKS)))


def _links(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, str]]:
    names = pa.array(list(_LINKS), pa.string())
    for batch in batches:
        wanted = pc.and_(pc.is_in(batch["event"], names), pc.is_null(batch["reject_reason"]))
        for row in batch.filter(wanted).to_pylist() if pc.any(wanted).as_py() else ():
            other = _property(row["properties"], _LINKS[row["event"]])
            if other:
                yield row["distinct_id"], other


def _property(properties: str, key: str) -> str | None:
    value: Any = orjson.loads(properties).get(key)
    return None if value is None else str(value)


def _number(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode())
