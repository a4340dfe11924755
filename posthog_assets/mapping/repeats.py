"""Finding, and telling apart, events of one day that would get the same uuid.

Belongs here: repeated ids within a partition. Does not belong here: repeats across days, which PostHog replaces.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import xxhash

from posthog_assets.core.arrow_columns import pack
from posthog_assets.dialects.base import CONTENT
from posthog_assets.mapping.uuids import uuids5

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


#: Not remembered.
_UNKNOWN: Final = -1


class Distinguisher:
    """Gives the second and later events of one uuid an identity of their own, in the order of time.

    Equal records without an id are all kept: the n-th gets its number mixed into its uuid; they are
    interchangeable, so any order gives the same set. With *collapse* all but the first are rejected. Of records that
    share a source id, an exact repetition is rejected; one with another payload gets the payload's hash mixed into its
    uuid, and is counted. The uuid itself stays with the oldest of them, and with the smallest hash of several at one
    instant, so that a vendor that delivers the same records in another order changes no uuid.

    With *replace*, records that share id, UTC day, event and person are versions of one event, as PostHog tells events
    apart: the one that was stored last counts, of several the one of the latest time and the greatest hash, and the
    others are rejected. Only what is no version of the same event is told apart as above.

    Where there are steps, the payload is that before them (`remember`): a step that makes two records equal does not
    make one a repetition, and adding a step changes no uuid.
    """

    def __init__(
        self, namespace: uuid.UUID, repeated: np.ndarray, *, collapse: bool = False, replace: bool = False
    ) -> None:
        """Take the repeated uuids, packed and sorted; each costs 56 bytes, and more only where its payloads differ.

        With *replace* 42 bytes more, and more only where several events have it.
        """
        self._namespace = namespace
        self._repeated = repeated
        self._collapse = collapse
        self._seen = {is_new: _Seen(len(repeated)) for is_new in (False, True)}
        #: Raw part and line -> the payload's hash, None where the event would not be sent without the steps.
        self._before: dict[tuple[str, int], int | None] = {}
        self._oldest = _Oldest(len(repeated))
        self._versions = _Versions(len(repeated)) if replace else None
        self.reused_ids = 0
        #: Records without an id that are like an earlier one and are kept.
        self.kept_repeats = 0

    def remember(self, plain: pa.RecordBatch) -> None:
        """Take in what the events of repeated uuids are without steps."""
        for row in plain.filter(pa.array(self._places(plain) >= 0)).to_pylist():
            self._before[row["raw_part"], row["raw_line"]] = None if row["reject_reason"] else _digest(row)

    def survey(self, batch: pa.RecordBatch, staged: pa.RecordBatch | None = None) -> None:
        """Take note of whose the repeated uuids are; every batch, remembered where there are steps, before `apply`.

        *staged* has the rows that the events of *batch* are made of, row by row; None: they are derived.
        """
        indices, places = self._concerned(batch)
        if not len(indices):
            return
        rows = batch.take(pa.array(indices)).to_pylist()
        made_of = (
            staged.take(pa.array(indices)).to_pylist()
            if self._versions is not None and staged is not None
            else [None] * len(rows)
        )
        for place, row, record in zip(places.tolist(), rows, made_of, strict=True):
            before = self._before.get((row["raw_part"], row["raw_line"]), _UNKNOWN)
            if self._versions is not None and record is not None and _has_id(row):
                if before is not None or not row["reject_reason"]:
                    self._versions.offer(place, _event_of(record), _version_of(row, record, before))
            elif before is not None:
                self._oldest.offer(place, row["timestamp"], _digest(row) if before == _UNKNOWN else before)

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return *batch* with repeated uuids resolved."""
        indices, places = self._concerned(batch)
        if not len(indices):
            return batch
        uuids, reasons = batch["uuid"].to_pylist(), batch["reject_reason"].to_pylist()
        rows = batch.take(pa.array(indices)).to_pylist()
        for index, place, row in zip(indices.tolist(), places.tolist(), rows, strict=True):
            before = self._before.get((row["raw_part"], row["raw_line"]), _UNKNOWN)
            if before is None and reasons[index]:
                continue
            uuids[index], reason = self._resolve(row, place, before)
            reasons[index] = reasons[index] or reason
        batch = batch.set_column(0, "uuid", pa.array(uuids, pa.string()))
        return batch.set_column(6, "reject_reason", pa.array(reasons, pa.string()))

    def _concerned(self, batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
        """Return which rows are to be told apart, and the place of each one's uuid."""
        places = self._places(batch)
        if not self._before:
            places = np.where(batch["reject_reason"].is_null().to_numpy(zero_copy_only=False), places, -1)
        indices = np.flatnonzero(places >= 0)
        return indices, places[indices]

    def _places(self, batch: pa.RecordBatch) -> np.ndarray:
        """Return each row's place among the repeated uuids, -1 where it is none of them."""
        if not batch.num_rows:
            return np.empty(0, dtype=np.int64)
        uuids = pack(batch["uuid"])
        places = np.minimum(np.searchsorted(self._repeated, uuids), len(self._repeated) - 1)
        return np.where(self._repeated[places] == uuids, places, -1)

    def _resolve(self, row: dict[str, Any], place: int, before: int | None) -> tuple[str, str | None]:
        digest = _digest_of(row, before)
        source = row["source_id"] or row["uuid"]
        has_no_id = not _has_id(row)
        if self._versions is not None and row["raw_part"] and not has_no_id:
            return self._version(self._versions.of(place), row, digest)
        # An event that only the steps made sendable leaves the uuid to those that are without them.
        is_new = before is None and not has_no_id
        count, is_repetition = self._seen[is_new].add(place, digest)
        if has_no_id:
            if count == 1:
                return row["uuid"], None
            if self._collapse:
                return row["uuid"], f"repeats an earlier record without an id: {source}"
            self.kept_repeats += 1
            return self._made(f"{source}#{count}"), None
        if is_repetition:
            return row["uuid"], f"repeats an earlier record: id {source}"
        if not is_new and self._oldest.is_it(place, row["timestamp"], digest):
            return row["uuid"], None
        self.reused_ids += 1
        return self._made(f"{source}#{digest:016x}"), None

    def _version(self, newest: list[_Version], row: dict[str, Any], digest: int) -> tuple[str, str | None]:
        """Resolve a row of a uuid of which there are these *newest* versions, one of each event."""
        mine = next((version for version in newest if version[-1] == _place_of(row)), None)
        if mine is None:
            is_repetition = any(version[-2] == digest for version in newest)
            head = "repeats an earlier record" if is_repetition else "replaced by a newer version of the same event"
            return row["uuid"], f"{head}: id {row['source_id']}"
        # As without versions: the oldest keeps the uuid, and none does that only the steps made sendable.
        if mine[0] and mine == min(newest, key=lambda version: (not version[0], *version[2:4])):
            return row["uuid"], None
        self.reused_ids += 1
        return self._made(f"{row['source_id']}#{digest:016x}"), None

    def _made(self, name: str) -> str:
        return uuids5(self._namespace, [name])[0].as_py()


class _Seen:
    """Which payloads came with each of so many uuids: their number, the first one's hash, and those that differ."""

    def __init__(self, uuids: int) -> None:
        self._counts = np.zeros(uuids, dtype=np.uint32)
        self._firsts = np.zeros(uuids, dtype=np.uint64)
        self._others: dict[int, set[int]] = {}

    def add(self, place: int, digest: int) -> tuple[int, bool]:
        """Note a payload of the uuid at *place*; return how many came so far, and whether an earlier one was equal."""
        self._counts[place] += 1
        count = int(self._counts[place])
        if count == 1:
            self._firsts[place] = digest
            return count, False
        if int(self._firsts[place]) == digest:
            return count, True
        others = self._others.setdefault(place, set())
        is_repetition = digest in others
        others.add(digest)
        return count, is_repetition


class _Oldest:
    """Which payload of each of so many uuids is the oldest, and has the smallest hash of several at one instant."""

    def __init__(self, uuids: int) -> None:
        self._instants = np.full(uuids, np.iinfo(np.int64).max)
        self._digests = np.zeros(uuids, dtype=np.uint64)

    def offer(self, place: int, instant: datetime, digest: int) -> None:
        at = _microseconds(instant)
        if (at, digest) < (int(self._instants[place]), int(self._digests[place])):
            self._instants[place], self._digests[place] = at, digest

    def is_it(self, place: int, instant: datetime, digest: int) -> bool:
        return int(self._instants[place]) == _microseconds(instant) and int(self._digests[place]) == digest


#: Whether it can be sent without the steps, when it was stored (µs), when it happened (µs), the payload's hash, the
#: record's place: the greatest is the newest.
_Version = tuple[bool, int, int, int, int]


_VERSION: Final = np.dtype([("plain", "?"), ("stored", "<i8"), ("at", "<i8"), ("digest", "<u8"), ("place", "<u8")])


class _Versions:
    """Of each of so many uuids, the newest version of each event that has it."""

    def __init__(self, uuids: int) -> None:
        self._has_any = np.zeros(uuids, dtype=bool)
        self._events = np.zeros(uuids, dtype=np.uint64)
        self._newest = np.zeros(uuids, dtype=_VERSION)
        self._others: dict[int, dict[int, _Version]] = {}

    def offer(self, place: int, event: int, version: _Version) -> None:
        """Note a version of the event with the hash *event*."""
        if not self._has_any[place]:
            self._has_any[place], self._events[place], self._newest[place] = True, event, version
        elif int(self._events[place]) == event:
            self._newest[place] = max(self._newest[place].item(), version)
        else:
            others = self._others.setdefault(place, {})
            others[event] = max(others.get(event, version), version)

    def of(self, place: int) -> list[_Version]:
        return [self._newest[place].item(), *self._others.get(place, {}).values()]


def _event_of(record: dict[str, Any]) -> int:
    """Return a hash of what PostHog tells events of one uuid apart by."""
    day = _microseconds(record["timestamp"]) // 86_400_000_000
    key = [day, record["event"], record["user_id"] or record["anonymous_id"]]
    return xxhash.xxh3_64_intdigest(orjson.dumps(key))


def _version_of(row: dict[str, Any], record: dict[str, Any], before: int | None) -> _Version:
    stored, at = record.get("stored_at"), _microseconds(record["timestamp"])
    since = _microseconds(stored) if stored else np.iinfo(np.int64).min
    return before is not None, int(since), at, _digest_of(row, before), _place_of(row)


def _place_of(row: dict[str, Any]) -> int:
    return xxhash.xxh3_64_intdigest(f"{row['raw_line']} {row['raw_part']}")


def _has_id(row: dict[str, Any]) -> bool:
    return not (row["source_id"] or row["uuid"]).startswith(CONTENT)


def _digest_of(row: dict[str, Any], before: int | None) -> int:
    return _digest(row) if before is None or before == _UNKNOWN else before


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _digest(row: dict[str, Any]) -> int:
    key = [row["event"], row["distinct_id"], row["timestamp"].isoformat(), row["properties"]]
    return xxhash.xxh3_64_intdigest(orjson.dumps(key))
