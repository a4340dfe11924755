"""Who was seen under which ids: the pairs of anonymous and user id of a day.

Belongs here: which pairs are linked, when, and which links PostHog will refuse. Does not belong here: the `$identify`
event (`events`), and events of one's own id (`people`).

PostHog merges persons when an event says so, whatever the order of their timestamps; the link comes just before the
first event of the pair, as in PostHog's own importers, so that all events of the day are one person's from the start.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.posthog_rules import ILLEGAL_IDS, is_illegal
from posthog_assets.mapping.kinds import LINKS

#: Anonymous id, user id.
Pair = tuple[str, str]

SharedDevices = Literal["first", "skip", "all"]


_NAMES: Final = ["anonymous", "user", "is_link", "stamp"]

#: So many pairs of single batches are put together at least.
_TOGETHER: Final = 50_000

#: An id without white space around it, all of whose letters Arrow and Python take for the same.
_PLAIN: Final = r"^[!-~](?:[ -~]*[!-~])?$"


@dataclass(frozen=True, slots=True)
class Links:
    """What a day's pairs come to.

    `pairs` has the instant (µs since 1970) of the first event of each pair that is to be linked. `shared_devices` were
    seen with several users; `refused` links are those PostHog will not make, because the anonymous id belongs to an
    identified person by then.
    """

    pairs: dict[Pair, int]
    shared_devices: int
    refused: int


class Identities:
    """Collects a day's pairs; memory grows with the pairs, not with the events."""

    def __init__(self) -> None:
        #: The first event of each pair, by batch; of the first table the pairs are put together already.
        self._found: list[pa.Table] = []
        self._linked: dict[Pair, int] = {}
        self._seen: dict[Pair, int] = {}

    def add(self, staged: pa.RecordBatch) -> None:
        """Take the rows of a batch that carry both ids, where PostHog would link them."""
        both = pc.and_(pc.is_valid(staged["user_id"]), pc.is_valid(staged["anonymous_id"]))
        if not pc.any(both).as_py():
            return
        links = pc.is_in(staged["kind"], value_set=pa.array(sorted(LINKS), pa.string()))
        stamps = staged["timestamp"].cast(pa.int64())
        rows = pa.table([staged["anonymous_id"], staged["user_id"], links, stamps], names=_NAMES).filter(both)
        # Most pairs come again and again: Arrow finds the first of each several times as fast as a loop does.
        self._found.append(_firsts(rows))
        if sum(map(len, self._found[1:])) > max(_TOGETHER, len(self._found[0])):
            self._found = [_firsts(pa.concat_tables(self._found))]

    def _take_found(self) -> None:
        """Note the pairs that were found as what they are to PostHog."""
        self._seen, self._linked = {}, {}
        if not self._found:
            return
        table = _firsts(pa.concat_tables(self._found))
        self._found = [table]
        plain = _are_plain(table)
        for is_link, first in ((False, self._seen), (True, self._linked)):
            mine = pc.equal(table["is_link"], is_link)
            anonymous, users, _, stamps = (column.to_pylist() for column in table.filter(pc.and_(mine, plain)).columns)
            first |= zip(zip(anonymous, users, strict=True), stamps, strict=True)
            odd = table.filter(pc.and_not(mine, plain))
            for one, user, _, stamp in zip(*(column.to_pylist() for column in odd.columns), strict=True):
                _note(first, one.strip(), user.strip(), stamp)

    def links(self, shared: SharedDevices = "first") -> Links:
        """Return the pairs to link; pairs linked by a call before their first event need no other.

        A device that several users share that day is linked to the `first` of them, to none (`skip`), or to `all`, of
        which PostHog makes the first.
        """
        self._take_found()
        owners, of_several = self._owners()
        wanted = {
            pair: stamp
            for pair, stamp in self._seen.items()
            if (pair not in self._linked or stamp < self._linked[pair])
            and (shared == "all" or pair[0] not in of_several or (shared == "first" and owners[pair[0]][1] == pair[1]))
        }
        if not of_several and owners.keys().isdisjoint(user for pairs in (wanted, self._linked) for _, user in pairs):
            # Each anonymous id has one user and is none: it belongs to no user before its link.
            return Links(wanted, 0, 0)
        calls = [(stamp, pair) for pair, stamp in (*wanted.items(), *self._linked.items())]
        return Links(wanted, len(of_several), _refused(pair for _, pair in sorted(calls)))

    def _owners(self) -> tuple[dict[str, tuple[int, str]], set[str]]:
        """Return the first user of each anonymous id, and since when; and the anonymous ids that have several users."""
        owners: dict[str, tuple[int, str]] = {}
        of_several: set[str] = set()
        for pairs in (self._seen, self._linked):
            for (anonymous, user), stamp in pairs.items():
                known = owners.setdefault(anonymous, (stamp, user))
                if known[1] != user:
                    of_several.add(anonymous)
                if (stamp, user) < known:
                    owners[anonymous] = stamp, user
        return owners, of_several


def _refused(links: Iterable[Pair]) -> int:
    """Return how many of these links, in their order, PostHog refuses as far as the day tells.

    It merges the person of the anonymous id into that of the user id, unless the former is identified already:
    nodejs/src/ingestion/common/persons/person-merge-service.ts
    """
    parents: dict[str, str] = {}
    identified: set[str] = set()
    refused = 0

    def person(name: str) -> str:
        while (parent := parents.setdefault(name, name)) != name:
            parents[name] = parents[parent]
            name = parent
        return name

    for anonymous, user in links:
        merged, kept = person(anonymous), person(user)
        if merged != kept:
            if merged in identified:
                refused += 1
            else:
                parents[merged] = kept
        identified.add(person(user))
    return refused


def _firsts(rows: pa.Table) -> pa.Table:
    """Return the first event of each pair, of links and of others."""
    return rows.group_by(_NAMES[:3], use_threads=False).aggregate([("stamp", "min")]).rename_columns(_NAMES)


def _are_plain(pairs: pa.Table) -> pa.ChunkedArray:
    """Return which pairs `_note` would take as they are; where it is not certain, they are not."""
    plain = pc.not_equal(pairs["anonymous"], pairs["user"])
    illegal = pa.array(sorted(ILLEGAL_IDS), pa.string())
    for ids in (pairs["anonymous"], pairs["user"]):
        taken = pc.invert(pc.is_in(pc.ascii_lower(ids), value_set=illegal))
        plain = pc.and_(plain, pc.and_(taken, pc.match_substring_regex(ids, _PLAIN)))
    return plain


def _note(first: dict[Pair, int], anonymous: str, user: str, stamp: int) -> None:
    if anonymous and user and anonymous != user and not is_illegal(anonymous) and not is_illegal(user):
        first[anonymous, user] = min(stamp, first.get((anonymous, user), stamp))
