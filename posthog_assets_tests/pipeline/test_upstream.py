"""What of a day's stored events is read where only some of them matter."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from posthog_assets.core.schemas import POSTHOG_EVENTS
from posthog_assets.destination.person_order import of_day
from posthog_assets.pipeline.day_state.rejected import rejections
from posthog_assets.pipeline.upstream import stored_events
from posthog_assets.storage.layout import events_path
from posthog_assets.storage.parquet import ParquetSink
from posthog_assets.storage.store import Store
from posthog_assets_tests.destination.test_delivery import event

DAY = date(2013, 1, 1)

#: Row groups of a day.
GROUPS: list[list[dict[str, Any]]] = [
    [event(0, distinct_id="anon"), event(1, distinct_id="other")],
    [
        event(2, distinct_id="user"),
        event(3, event="$identify", distinct_id="user", properties='{"$anon_distinct_id":"anon"}'),
    ],
    [event(4, distinct_id="user"), event(5, reject_reason="too large: 2 MB")],
    [event(6, event="$create_alias", distinct_id="b", properties='{"alias":"other"}')],
]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(ParquetSink, "_GROUP_BYTES", 1)
    store = Store(str(tmp_path), "shop")
    with store.atomic_write(events_path(DAY)) as path, ParquetSink(path, POSTHOG_EVENTS) as sink:
        for rows in GROUPS:
            sink.write(pa.RecordBatch.from_pylist(rows, schema=POSTHOG_EVENTS))
    return store


def uuids(*groups: int) -> list[str]:
    return [row["uuid"] for group in groups for row in GROUPS[group]]


def test_only_parts_with_the_wanted_events_are_read(store: Store) -> None:
    def found(names: list[str] | None) -> list[str]:
        return [uuid for batch in stored_events(store, DAY, ["uuid"], names) for uuid in batch["uuid"].to_pylist()]

    assert found(None) == uuids(0, 1, 2, 3)
    assert found(["$identify"]) == uuids(1)
    assert found(["$create_alias", "$identify"]) == uuids(1, 3)
    assert found(["no such event"]) == []
    assert found([]) == []


def test_links_are_found_wherever_in_the_day_they_are(store: Store) -> None:
    asked: list[int] = []

    def events(columns: list[str] | None, names: Any = None) -> Any:
        for batch in stored_events(store, DAY, columns, names):
            asked.append(batch.num_rows)
            yield batch

    persons = of_day(events)
    assert sum(asked) == 3
    rows = [row for group in GROUPS for row in group]
    numbers = persons.of(pa.RecordBatch.from_pylist(rows, schema=POSTHOG_EVENTS)).tolist()
    anon, other, user, identify, again, _, alias = numbers
    assert anon == user == identify == again
    assert other == alias != anon


def test_rejected_rows_are_found_wherever_in_the_day_they_are(store: Store) -> None:
    rows = [row for batch in rejections(store, DAY) for row in batch.to_pylist()]
    assert [(row["asset"], row["uuid"], row["reason"]) for row in rows] == [
        ("posthog_events", GROUPS[2][1]["uuid"], "too large: 2 MB")
    ]
