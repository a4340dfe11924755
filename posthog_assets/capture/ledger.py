"""What PostHog was sent and what it said, event by event, so that nothing is sent twice and nothing forgotten.

Belongs here: the files below `imported_batches/<day>/` and the questions asked of them. Does not belong here:
sending.

Layout:

    imported_batches/<day>/batches/<number>-<writer>.parquet   one per answered batch, a row per event, never changed
    imported_batches/<day>/ledger.parquet                      one row per batch, derived from the above for reading

No two writers ever use the same name, so even two runs at once on a store without locks leave a whole ledger.
An entry of a later file replaces the entries of earlier ones for the same uuid. A batch file appears whole or not
at all, after PostHog's answer and before the next one counts, so a crash forgets at most what was in flight.
"""

from __future__ import annotations

import io
import uuid
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from posthog_assets.capture.verdicts import Verdict
from posthog_assets.schemas import TIMESTAMP, column
from posthog_assets.storage import Store

BATCH_FILE: Final = pa.schema(
    [
        pa.field("uuid", pa.binary(16)),
        # xxh3-64 of the event's JSON as sent, and of (UTC day, event, distinct_id).
        pa.field("content_hash", pa.uint64()),
        pa.field("key_hash", pa.uint64()),
        pa.field("verdict", pa.dictionary(pa.int8(), pa.string())),
        # PostHog's own words, where it said any.
        pa.field("detail", pa.string()),
    ]
)

LEDGER: Final = pa.schema(
    [
        column("number", pa.int64(), "The batch, counted from 1 over all runs of the day"),
        column("answered_at", TIMESTAMP, "When PostHog answered, UTC"),
        column("protocol", pa.string(), "v1 or batch (see the README); query: a look took acknowledgements back"),
        column("request_id", pa.string(), "Our id of the last request, which PostHog's answer repeats"),
        column("requests", pa.int64(), "Requests it took, repeated ones included"),
        column("events", pa.int64(), "Events in the batch"),
        column("acknowledged", pa.int64(), "Events PostHog took"),
        column("dropped", pa.int64(), "Events PostHog refused for good, with a reason"),
        column("owed", pa.int64(), "Events without a verdict; a later batch carries them again"),
        column("raw_bytes", pa.int64(), "Bytes of the body before compression"),
        column("sent_bytes", pa.int64(), "Bytes that went over the network"),
        column("first_timestamp", TIMESTAMP, "Oldest event in the batch, UTC"),
        column("last_timestamp", TIMESTAMP, "Newest event in the batch, UTC"),
        column("mapping", pa.string(), "Version of the mapping that made the events"),
    ]
)

#: Verdicts as the small integers that `Entries` holds.
CODES: Final = {verdict: code for code, verdict in enumerate(Verdict)}
_VERDICTS: Final = tuple(Verdict)


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """The ledger's row of one batch; instants are ISO 8601 with zone, or None."""

    answered_at: str
    protocol: str
    request_id: str
    requests: int
    events: int
    acknowledged: int
    dropped: int
    owed: int
    raw_bytes: int
    sent_bytes: int
    first_timestamp: str | None
    last_timestamp: str | None
    #: The version of the mapping that made the events (`mapping.version`).
    mapping: str | None = None


@dataclass(frozen=True, slots=True)
class Entries:
    """Events and what is known of each: parallel arrays, sorted by uuid where they come from `Ledger.load`."""

    uuids: np.ndarray
    hashes: np.ndarray
    keys: np.ndarray
    codes: np.ndarray
    details: list[str | None]

    def __len__(self) -> int:
        return len(self.uuids)

    @property
    def acknowledged(self) -> np.ndarray:
        """Which entries PostHog acknowledged (boolean mask)."""
        return (self.codes == CODES[Verdict.OK]) | (self.codes == CODES[Verdict.WARNING])

    @property
    def dropped(self) -> np.ndarray:
        return self.codes == CODES[Verdict.DROP]

    def find(self, uuids: np.ndarray) -> np.ndarray:
        """Return each uuid's index in these (sorted) entries, -1 where there is none."""
        if not len(self.uuids) or not len(uuids):
            return np.full(len(uuids), -1)
        where = np.minimum(np.searchsorted(self.uuids, uuids), len(self.uuids) - 1)
        return np.where(self.uuids[where] == uuids, where, -1)

    def drop_reasons(self) -> dict[str, int]:
        """Return how many events PostHog dropped, by its reason."""
        reasons: dict[str, int] = {}
        for index in np.flatnonzero(self.dropped):
            reason = self.details[index] or "no reason given"
            reasons[reason] = reasons.get(reason, 0) + 1
        return reasons


class Ledger:
    """The ledger of one partition. One process at a time may write (hold the partition's lock)."""

    def __init__(self, store: Store, day: str) -> None:
        self._store = store
        self._folder = f"imported_batches/{day}"
        names = store.names(f"{self._folder}/batches")
        self._files = [name for name in names if name.endswith(".parquet")]
        self._next = _number(self._files[-1]) + 1 if self._files else 1
        self._writer = uuid.uuid4().hex[:8]

    @property
    def location(self) -> str:
        return str(self._store.path(f"{self._folder}/ledger.parquet"))

    @property
    def batches(self) -> int:
        """How many answered batches are on record."""
        return len(self._files)

    def append(self, entries: Entries, facts: BatchFacts) -> None:
        """Record one answered batch; when this returns it survives a crash."""
        table = pa.Table.from_arrays(
            [
                pa.array(_fixed(entries.uuids), pa.binary(16)),
                pa.array(entries.hashes),
                pa.array(entries.keys),
                pa.DictionaryArray.from_arrays(entries.codes, [v.value for v in _VERDICTS]),
                pa.array(entries.details, pa.string()),
            ],
            schema=BATCH_FILE.with_metadata({"posthog_assets": orjson.dumps(asdict(facts))}),
        )
        sink = io.BytesIO()
        # Hashes and uuids do not compress.
        pq.write_table(table, sink, compression="none", use_dictionary=["verdict", "detail"], write_statistics=False)
        name = f"{self._next:08d}-{self._writer}.parquet"
        self._store.write_bytes(f"{self._folder}/batches/{name}", sink.getvalue())
        self._files.append(name)
        self._next += 1

    def load(self) -> Entries:
        """Return the newest entry of every uuid, sorted by uuid (about 60 bytes of memory an event)."""
        parts = [self._read(name) for name in self._files]
        if not parts:
            none = np.empty(0, dtype=np.uint64)
            return Entries(np.empty(0, dtype="S16"), none, none, np.empty(0, dtype=np.int8), [])
        uuids = np.concatenate([part.uuids for part in parts])
        # Stable, so the last of equal uuids is the newest.
        order = np.argsort(uuids, kind="stable")
        ordered = uuids[order]
        newest = order[np.append(ordered[1:] != ordered[:-1], True)] if len(order) else order
        details: list[str | None] = [detail for part in parts for detail in part.details]
        return Entries(
            uuids[newest],
            np.concatenate([part.hashes for part in parts])[newest],
            np.concatenate([part.keys for part in parts])[newest],
            np.concatenate([part.codes for part in parts])[newest],
            [details[index] for index in newest.tolist()],
        )

    def _read(self, name: str) -> Entries:
        table = pq.read_table(pa.BufferReader(self._store.read_bytes(f"{self._folder}/batches/{name}")))
        names = table["verdict"].combine_chunks().cast(pa.string())
        codes = np.zeros(len(table), dtype=np.int8)
        for verdict, code in CODES.items():
            codes[np.asarray(names.to_numpy(zero_copy_only=False)) == verdict.value] = code
        raw = b"".join(table["uuid"].to_pylist())
        return Entries(
            np.frombuffer(raw, dtype="S16"),
            table["content_hash"].to_numpy(),
            table["key_hash"].to_numpy(),
            codes,
            table["detail"].to_pylist(),
        )

    def facts(self) -> list[dict[str, object]]:
        """Return one row per batch, oldest first, in the `LEDGER` columns."""
        rows = []
        for name in self._files:
            content = self._store.read_bytes(f"{self._folder}/batches/{name}")
            metadata = pq.read_schema(pa.BufferReader(content)).metadata or {}
            row = orjson.loads(metadata[b"posthog_assets"])
            for instant in ("answered_at", "first_timestamp", "last_timestamp"):
                row[instant] = datetime.fromisoformat(row[instant]) if row[instant] else None
            rows.append({"number": _number(name)} | row)
        return rows

    def summarize(self) -> None:
        """Write `ledger.parquet` anew from the batch files."""
        table = pa.Table.from_pylist(self.facts(), schema=LEDGER)
        with self._store.replace(f"{self._folder}/ledger.parquet") as path:
            pq.write_table(table, path)


def _number(name: str) -> int:
    return int(name[:8])


def _fixed(uuids: np.ndarray) -> list[bytes]:
    # numpy's S16 drops trailing zero bytes when read back as Python bytes.
    raw = uuids.tobytes()
    return [raw[i : i + 16] for i in range(0, len(raw), 16)]
