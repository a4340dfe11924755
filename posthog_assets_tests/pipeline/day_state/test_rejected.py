"""Every record and event of a day that did not reach PostHog."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from posthog_assets.core.schemas import POSTHOG_EVENTS, REJECTED, STAGED_EVENTS
from posthog_assets.pipeline.day_state.rejected import rejections, was_staged
from posthog_assets.storage.layout import events_path, rejected_path, staged_path
from posthog_assets.storage.store import Store

DAY = date(2024, 3, 1)


def put(store: Store, path: str, schema: pa.Schema, *rows: dict[str, Any]) -> None:
    with store.atomic_write(path) as file:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), file)


def found(store: Store) -> list[tuple[str, str, str | None]]:
    rows = [row for batch in rejections(store, DAY) for row in batch.to_pylist()]
    return [(row["asset"], row["reason"], row["distinct_id"]) for row in rows]


def test_records_come_before_events_with_the_person_where_one_is_known(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "small")
    put(
        store,
        events_path(DAY),
        POSTHOG_EVENTS,
        {"distinct_id": "ann", "reject_reason": "too large"},
        {"distinct_id": "bob"},
    )
    put(
        store, staged_path(DAY), STAGED_EVENTS, {"anonymous_id": "dev", "reject_reason": "odd"}, {"user_id": "x"},
        {"user_id": "ann", "anonymous_id": "dev", "reject_reason": "odd"},
    )  # fmt: skip
    assert found(store) == [
        ("staged_events", "odd", "dev"), ("staged_events", "odd", "ann"), ("posthog_events", "too large", "ann"),
    ]  # fmt: skip


def test_of_a_step_whose_file_was_pruned_the_last_delivery_tells(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "small")
    noted = [
        {"asset": asset, "reason": f"by {asset}"} for asset in ("staged_events", "posthog_events", "imported_batches")
    ]
    put(store, rejected_path(DAY), REJECTED, *noted)
    assert [asset for asset, *_ in found(store)] == ["staged_events", "posthog_events", "imported_batches"]
    put(store, staged_path(DAY), STAGED_EVENTS, {"user_id": "ann", "reject_reason": "now"})
    assert [(asset, reason) for asset, reason, _ in found(store)] == [
        ("posthog_events", "by posthog_events"), ("imported_batches", "by imported_batches"), ("staged_events", "now"),
    ]  # fmt: skip


def test_a_day_was_staged_where_either_file_is_there(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "small")
    assert not was_staged(store, DAY)
    put(store, rejected_path(DAY), REJECTED)
    assert was_staged(store, DAY)
    assert found(store) == []
