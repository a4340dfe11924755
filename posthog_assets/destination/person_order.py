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

from posthog_assets.core.json_members import last_texts
from posthog_assets.destination.encoder import hashes_of

#: The events that link ids, and the property that names the other one:
#: nodejs/src/ingestion/common/persons/person-merge-service.ts
_LINKS: Final = {
    "$identify": "$anon_distinct_id",
    "$create_alias": "alias",
    "$merge_dangerously": "alias",
}

#: Ids, and for each another one of the same person.
Links = tuple[pa.StringArray, pa.StringArray]

_NONE: Final = np.empty(0, dtype=np.uint64)

_GROUPS: Final = np.uint64(xxhash.xxh3_64_intdigest(b"$groupidentify"))


class StoredEvents(Protocol):
    """Opens the stored events of a day, any number of times."""

    def __call__(self, columns: list[str] | None, names: Iterable[str] | None = None) -> Iterable[pa.RecordBatch]:
        """Return batches with these columns, None for all; with *names* those without such an event may be missing."""


class Persons:
    """Gives every event a number (unsigned, 64 bits) that all events of its person share."""

    def __init__(self, links: Iterable[Links] = ()) -> None:
        """Take the pairs of ids that belong to one person; memory grows with the linked ids only."""
        ones, others = [_NONE], [_NONE]
        for one, other in links:
            ones.append(hashes_of(one))
            others.append(hashes_of(other))
        pairs = np.concatenate([*ones, *others])
        self._linked, places = np.unique(pairs, return_inverse=True)
        places = places.reshape(2, -1)
        # The smallest number is the person's, so that the order of the links does not matter.
        self._roots = self._linked[_smallest_linked(places[0], places[1], len(self._linked))]

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


def _links(batches: Iterable[pa.RecordBatch]) -> Iterator[Links]:
    for batch in batches:
        sendable = pc.is_null(batch["reject_reason"])
        for event, key in _LINKS.items():
            wanted = pc.and_(pc.equal(batch["event"], event), sendable)
            if pc.any(wanted).as_py():
                rows = batch.filter(wanted)
                others = _properties(rows["properties"], key)
                named = pc.is_valid(others)
                yield rows["distinct_id"].filter(named), others.filter(named)


def _properties(objects: pa.StringArray, key: str) -> pa.StringArray:
    """Return a property of each object as text; null where it is absent or empty."""
    found = last_texts(objects, key)
    if not found.null_count:
        return found
    unknown = pc.is_null(found)
    rest = [_property(text, key) for text in objects.filter(unknown).to_pylist()]
    return pc.replace_with_mask(found, unknown, pa.array(rest, pa.string()))


def _property(properties: str, key: str) -> str | None:
    value: Any = orjson.loads(properties).get(key)
    return None if value is None else str(value) or None


def _smallest_linked(ones: np.ndarray, others: np.ndarray, count: int) -> np.ndarray:
    """Return, for each number below *count*, the smallest that *ones* and *others*, linked pair by pair, lead to."""
    smallest = np.arange(count)
    while True:
        one, other = smallest[ones], smallest[others]
        lower, joined = np.minimum(one, other), smallest.copy()
        np.minimum.at(joined, one, lower)
        np.minimum.at(joined, other, lower)
        # Each takes over what the number it has come to has come to itself, so that chains are halved.
        joined = joined[joined]
        if bool((joined == smallest).all()):
            return smallest
        smallest = joined
