"""Every record and event of a day that did not reach PostHog, with its reason and the place of the raw record.

Belongs here: collecting them from what the steps have stored. Does not belong here: deciding anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.arrow_columns import pack
from posthog_assets.core.partitions import Partition, key_of
from posthog_assets.core.schemas import REJECTED
from posthog_assets.destination.entries import CODES, NO_REASON, Known
from posthog_assets.destination.ledger import Ledger
from posthog_assets.destination.verdicts import Verdict
from posthog_assets.storage.layout import events_path, rejected_path, staged_path
from posthog_assets.storage.parquet import groups_where, read_batches
from posthog_assets.storage.store import Store


def was_staged(store: Store, day: Partition) -> bool:
    """Return whether *day* was staged, or delivered since its staged rows were pruned."""
    return any(store.exists(path) for path in (staged_path(day), rejected_path(day)))


def rejections(
    store: Store, day: Partition, ledger: Ledger | None = None, events: IO[bytes] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield batches of the `REJECTED` schema, in the order of the steps; what is not stored yet yields nothing.

    *ledger* and *events* are the day's, where the caller has them open.
    """
    key = key_of(day)
    if not (store.exists(staged_path(key)) and store.exists(events_path(key))):
        yield from _noted(store, key)
    yield from _of_staging(store, staged_path(key))
    if events is not None:
        yield from _of_events(events, ledger or Ledger(store, key))
    elif store.exists(events_path(key)):
        with store.peek(events_path(key)) as file:
            yield from _of_events(file, ledger or Ledger(store, key))


def _noted(store: Store, key: str) -> Iterator[pa.RecordBatch]:
    """Yield what the last delivery found rejected of steps whose files were pruned since."""
    path = rejected_path(key)
    if not store.exists(path):
        return
    gone = [] if store.exists(staged_path(key)) else ["staged_events"]
    gone += [] if store.exists(events_path(key)) else ["posthog_events", "imported_batches"]
    with store.open(path) as file:
        for batch in read_batches(file):
            if (some := batch.filter(pc.is_in(batch["asset"], pa.array(gone, pa.string())))).num_rows:
                yield some


def _of_staging(store: Store, path: str) -> Iterator[pa.RecordBatch]:
    if not store.exists(path):
        return
    columns = ["reject_reason", "event", "user_id", "anonymous_id", "timestamp", "source_id", "raw_part", "raw_line"]
    # Most parts of a day have no rejected row: little of the file is read.
    with store.peek(path) as file:
        for batch in read_batches(file, columns, groups=groups_where(file, "reject_reason", _has_any)):
            bad = batch.filter(pc.is_valid(batch["reject_reason"]))
            if bad.num_rows:
                distinct_id = pc.coalesce(bad["user_id"], bad["anonymous_id"])
                bad = bad.append_column("distinct_id", distinct_id)
                yield _rows(bad, "staged_events", bad["reject_reason"])


def _of_events(file: IO[bytes], ledger: Ledger) -> Iterator[pa.RecordBatch]:
    # Most days have no drops; then the ledger, which grows with the day, is not read.
    known = ledger.load() if ledger.may_hold_drops() else None
    columns = [name for name in REJECTED.names if name not in ("asset", "reason")] + ["reject_reason"]
    groups = groups_where(file, "reject_reason", _has_any) if known is None else None
    for batch in read_batches(file, columns, groups=groups):
        bad = batch.filter(pc.is_valid(batch["reject_reason"]))
        if bad.num_rows:
            yield _rows(bad, "posthog_events", bad["reject_reason"])
        if known is not None and len(known):
            yield from _dropped(batch.filter(pc.is_null(batch["reject_reason"])), known)


def _has_any(reasons: pa.ChunkedArray) -> bool:
    return reasons.null_count != len(reasons)


def _dropped(batch: pa.RecordBatch, known: Known) -> Iterator[pa.RecordBatch]:
    where = known.find(pack(batch["uuid"]))
    hit = (where >= 0) & (known.codes[np.maximum(where, 0)] == CODES[Verdict.DROP])
    if hit.any():
        reasons = [known.detail(index) or NO_REASON for index in where[hit].tolist()]
        yield _rows(batch.filter(pa.array(hit)), "imported_batches", pa.array(reasons, pa.string()))


def _rows(batch: pa.RecordBatch, asset: str, reasons: pa.Array) -> pa.RecordBatch:
    count = batch.num_rows
    fixed = {"asset": pa.array([asset] * count, pa.string()), "reason": reasons}
    return pa.RecordBatch.from_arrays(
        [
            fixed[field.name]
            if field.name in fixed
            else batch[field.name]
            if field.name in batch.schema.names
            else pa.nulls(count, field.type)
            for field in REJECTED
        ],
        schema=REJECTED,
    )
