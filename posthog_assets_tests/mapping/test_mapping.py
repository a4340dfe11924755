"""From staged rows to PostHog events: uuids, names, properties, PostHog's rules, order."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from posthog_assets.core.schemas import STAGED_EVENTS
from posthog_assets.dialects import Dialect, load_dialect
from posthog_assets.mapping import EventMapper, Floors, Mapping, MappingReport, Survey, map_day
from posthog_assets.mapping.uuids import uuids5, verbatim

DAY = date(2024, 3, 1)
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
DIALECT = load_dialect(
    {
        "type": "columns",
        "event": {"value": "e"},
        "user_id": {"column": "u"},
        "anonymous_id": {"column": "a"},
        "timestamp": {"column": "t"},
    }
)


def row(number: int = 1, **changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = dict.fromkeys(STAGED_EVENTS.names)
    base |= {
        "source_id": str(number), "kind": "event", "event": "edit", "user_id": "ann", "timestamp": NOON,
        "properties": '{"page":"Home"}', "raw_part": "p", "raw_line": number,
    }  # fmt: skip
    return base | changes


class Collected:
    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.to_pylist()


def map_rows(
    rows: list[dict[str, Any]],
    tmp_path: Path,
    *,
    ordered: bool = False,
    chunk: int = 3,
    dialect: Dialect = DIALECT,
    **mapping: Any,
) -> tuple[list[dict[str, Any]], MappingReport]:
    mapper = EventMapper(Mapping.model_validate(mapping), "wiki", dialect, day=DAY, fetched_at=NOON + timedelta(days=1))
    sinks: list[Collected] = []

    @contextmanager
    def open_sink() -> Iterator[Collected]:
        sinks.append(Collected())
        yield sinks[-1]

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(rows), chunk):
            yield pa.RecordBatch.from_pylist(rows[start : start + chunk], schema=dialect.staged_schema)

    times = [row["timestamp"].replace(tzinfo=None) for row in rows if not row["reject_reason"]]
    stamps = [np.array(times, "datetime64[us]").astype("i8")]
    survey = Survey(Floors(stamps), lambda columns: (batch.select(columns) for batch in batches()))
    found = []
    # Whether rows are put in order through files, or while they wait in memory, is the same.
    for known in (None, survey):
        spill = tmp_path / uuid.uuid4().hex
        spill.mkdir(parents=True)
        report = map_day(batches, mapper, open_sink, spill, ordered=ordered, survey=known)
        found.append((sinks[-1].rows, dataclasses.replace(report, seconds=0.0)))
    assert found[0] == found[1]
    return found[0]


def test_a_uuid_is_a_version_5_uuid_of_import_and_source_id(tmp_path: Path) -> None:
    (event,), _ = map_rows([row(7)], tmp_path)
    # Spelled out again on purpose: everything imported so far depends on these bytes.
    root = uuid.UUID(bytes=bytes.fromhex("6f1d8c9e4f0b5c8a9f6e2f6f3b1a7d42"))
    assert event["uuid"] == str(uuid.uuid5(uuid.uuid5(root, "wiki"), "7"))
    assert event["uuid"] == "c7ae2a86-310f-5f9b-bd89-4496960d0ab9"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_uuids_in_bulk_are_those_of_the_standard_library(names: list[str]) -> None:
    assert uuids5(uuid.NAMESPACE_DNS, names).to_pylist() == [str(uuid.uuid5(uuid.NAMESPACE_DNS, n)) for n in names]


def test_every_event_carries_its_markers(tmp_path: Path) -> None:
    (event,), _ = map_rows([row(7), ], tmp_path)  # fmt: skip
    assert event["properties"] == (
        '{"$geoip_disable":true,"historical_migration":true,"$import_job_id":"wiki","analytics_source":"columns",'
        '"$import_day":"2024-03-01","$import_source_id":"7","page":"Home"}'
    )


def test_only_a_whole_uuid_is_taken_over_as_it_stands() -> None:
    namespace = uuid.UUID("6f1d8c9e-4f0b-5c8a-9f6e-2f6f3b1a7d42")
    taken, *others = ["11D4B1E0-D7C0-11EE-8000-0A58A9FEAC02", "11d4b1e0-d7c0-11ee-8000-0a58a9feac02\n", "a", "ü"]
    found = verbatim(namespace, pa.array([*others, taken])).to_pylist()
    assert found == [*(str(uuid.uuid5(namespace, name)) for name in others), "11d4b1e0-d7c0-11ee-8000-0a58a9feac02"]
    assert verbatim(namespace, pa.array([taken])).to_pylist() == [taken.lower()]
