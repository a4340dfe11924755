"""Finding, and telling apart, events of one day that would get the same uuid.

Belongs here: repeated ids within a partition. Does not belong here: repeats across days, which PostHog replaces.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from posthog_assets.dialects.base import CONTENT
from posthog_assets.mapping.uuids import uuids5

_BUCKETS: Final = 64

#: Not remembered.
_UNKNOWN: Final = -1


class UuidSpool:
    """Remembers uuids on disk, and says which occurred more than once, in memory of one bucket."""

    def __init__(self, folder: Path) -> None:
        self._files = [(folder / f"uuids-{bucket:02d}").open("w+b") for bucket in range(_BUCKETS)]

    def add(self, uuids: np.ndarray) -> None:
        """Remember uuids given as 16 bytes each (`S16`)."""
        raw = uuids.view(np.uint8).reshape(-1, 16)
        buckets = raw[:, 15] & (_BUCKETS - 1)
        order = np.argsort(buckets, kind="stable")
        ends = np.cumsum(np.bincount(buckets, minlength=_BUCKETS))
        ordered = raw[order].tobytes()
        start = 0
        for file, end in zip(self._files, ends.tolist(), strict=True):
            file.write(ordered[start * 16 : end * 16])
            start = end

    def repeated(self) -> np.ndarray:
        """Return the uuids that were added more than once, sorted; closes the spool."""
        found = [np.empty(0, dtype="S16")]
        for file in self._files:
            file.flush()
            file.seek(0)
            uuids = np.sort(np.frombuffer(file.read(), dtype="S16"))
            found.append(np.unique(uuids[1:][uuids[1:] == uuids[:-1]]))
            file.close()
        return np.sort(np.concatenate(found))


class Distinguisher:
    """Gives the second and later events of one uuid an identity of their own, in the order of time.

    Records without an id that are alike are all kept: the n-th gets its number mixed into its uuid; they are
    interchangeable, so any order gives the same set. With *collapse* all but the first are rejected. Of records that
    share a source id, an exact repetition is rejected; one with another payload gets the payload's hash mixed into its
    uuid, and is counted. The uuid itself stays with the oldest of them, and with the smallest hash of several at one
    instant, so that a vendor that delivers the same records in another order changes no uuid.

    Where there are steps, the payload is that before them (`remember`): a step that makes two records alike does not
    make one a repetition, and adding a step changes no uuid.
    """

    def __init__(self, namespace: uuid.UUID, repeated: list[str], *, collapse: bool = False) -> None:
        self._namespace = namespace
        self._repeated = pa.array(repeated, pa.string())
        self._collapse = collapse
        self._seen: dict[tuple[str, bool], list[int]] = {}
        #: Raw part and line -> the payload's hash, None where the event would not be sent without the steps.
        self._before: dict[tuple[str, int], int | None] = {}
        self._oldest: dict[str, tuple[datetime, int]] = {}
        self.reused_ids = 0

    def remember(self, plain: pa.RecordBatch) -> None:
        """Take in what the events of repeated uuids are without steps."""
        for row in plain.filter(pc.is_in(plain["uuid"], value_set=self._repeated)).to_pylist():
            self._before[row["raw_part"], row["raw_line"]] = None if row["reject_reason"] else _digest(row)

    def survey(self, batch: pa.RecordBatch) -> None:
        """Take note of whose the repeated uuids are; every batch, remembered where there are steps, before `apply`."""
        for row in batch.take(pa.array(self._concerned(batch), pa.int64())).to_pylist():
            before = self._before.get((row["raw_part"], row["raw_line"]), _UNKNOWN)
            if before is not None:
                place = row["timestamp"], _digest(row) if before == _UNKNOWN else before
                self._oldest[row["uuid"]] = min(place, self._oldest.get(row["uuid"], place))

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return *batch* with repeated uuids resolved."""
        indices = self._concerned(batch)
        if not indices:
            return batch
        uuids, reasons = batch["uuid"].to_pylist(), batch["reject_reason"].to_pylist()
        for index, row in zip(indices, batch.take(pa.array(indices)).to_pylist(), strict=True):
            before = self._before.get((row["raw_part"], row["raw_line"]), _UNKNOWN)
            if before is None and reasons[index]:
                continue
            uuids[index], reason = self._resolve(row, before)
            reasons[index] = reasons[index] or reason
        batch = batch.set_column(0, "uuid", pa.array(uuids, pa.string()))
        return batch.set_column(6, "reject_reason", pa.array(reasons, pa.string()))

    def _concerned(self, batch: pa.RecordBatch) -> list[int]:
        concerned = pc.is_in(batch["uuid"], value_set=self._repeated)
        if not self._before:
            concerned = pc.and_(concerned, pc.is_null(batch["reject_reason"]))
        indices: list[int] = pc.indices_nonzero(concerned).to_pylist()
        return indices

    def _resolve(self, row: dict, before: int | None) -> tuple[str, str | None]:
        digest = _digest(row) if before is None or before == _UNKNOWN else before
        source = row["source_id"] or row["uuid"]
        has_no_id = source.startswith(CONTENT)
        # An event that only the steps made sendable leaves the uuid to those that are without them.
        is_new = before is None and not has_no_id
        seen = self._seen.setdefault((row["uuid"], is_new), [])
        seen.append(digest)
        if has_no_id:
            if len(seen) == 1:
                return row["uuid"], None
            if self._collapse:
                return row["uuid"], f"repeats an earlier record without an id: {source}"
            return self._made(f"{source}#{len(seen)}"), None
        if digest in seen[:-1]:
            return row["uuid"], f"repeats an earlier record: id {source}"
        if not is_new and (row["timestamp"], digest) == self._oldest.get(row["uuid"]):
            return row["uuid"], None
        self.reused_ids += 1
        return self._made(f"{source}#{digest:016x}"), None

    def _made(self, name: str) -> str:
        return uuids5(self._namespace, [name])[0].as_py()


def _digest(row: dict) -> int:
    key = [row["event"], row["distinct_id"], row["timestamp"].isoformat(), row["properties"]]
    return xxhash.xxh3_64_intdigest(orjson.dumps(key))
