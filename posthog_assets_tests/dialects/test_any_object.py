"""Whatever a record holds, it is one row: nothing a vendor writes may stop a day."""

from __future__ import annotations

import copy
import io
import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.core.records import RecordChunk
from posthog_assets.core.schemas import STAGED_EVENTS, STAGED_VERSIONS
from posthog_assets.dialects import load_dialect
from posthog_assets.sources.formats import Format, Framing, read_records
from posthog_assets_tests.dialects import (
    test_amplitude,
    test_columns,
    test_ga4,
    test_heap,
    test_matomo,
    test_mixpanel,
    test_pendo,
    test_posthog,
    test_segment,
    test_snowplow,
    test_umami,
)
from posthog_assets_tests.dialects.staging import stage
from posthog_assets_tests.examples import examples, some

EXAMPLES: dict[str, dict[str, Any]] = {
    "amplitude": test_amplitude.WEB | {"group_properties": {"company": {"acme": {"seats": 5}}}},
    "columns": test_columns.GOOD | {"device": "d-1", "team": "acme", "name": "buy", "deep": {"a": 1}},
    "ga4": test_ga4.ROW,
    "heap": test_heap.PAGEVIEW,
    "matomo": test_matomo.record(),
    "mixpanel": test_mixpanel.WEB,
    "pendo": test_pendo.CLICK,
    "posthog": test_posthog.RECORD | {"offset": 5, "now": "2024-03-01T10:00:05Z", "$set": {"plan": "pro"}},
    "rudderstack": test_segment.TRACK,
    "segment": test_segment.TRACK,
    "snowplow": test_snowplow.PAGE_VIEW,
    "umami": test_umami.VIEW | {"event_data": {"plan": "pro"}},
}

#: What a dialect needs or may be told, beside its type.
SETTINGS: dict[str, dict[str, Any]] = {
    "columns": test_columns.BASE
    | {"anonymous_id": {"column": "device"}, "groups": {"company": {"column": "team"}}, "event": {"column": "name"}},
}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), texts,
    st.sampled_from(["", "{", '{"a":', '"{}"', "[1]", "0.0.0.0", "iglu:a/b/jsonschema/1-0-0", "1e400", "9" * 400]),
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)


def nesting(levels: int) -> Any:
    deep: Any = 1
    for _ in range(levels):
        deep = [deep]
    return deep


def paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all members inside *value*."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = []
    for key, below in members:
        here = (*before, key)
        found += [here, *paths(below, here)]
    return found


def changed(record: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    made = copy.deepcopy(record)
    holder: Any = made
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return made


def is_row_for_row(name: str, records: list[dict[str, Any]]) -> None:
    is_staged_row_for_row(dialect(name), copy.deepcopy(records))


def dialect(name: str) -> dict[str, Any]:
    return {"type": name} | SETTINGS.get(name, {})


def is_staged_row_for_row(settings: dict[str, Any], records: list[dict[str, Any]]) -> None:
    batch = load_dialect(settings).stage(RecordChunk(range(1, len(records) + 1), records), "part")
    assert batch.schema == (STAGED_VERSIONS if settings["type"] == "posthog" else STAGED_EVENTS)
    batch.validate(full=True)
    rows = batch.to_pylist()
    assert [row["raw_line"] for row in rows] == list(range(1, len(records) + 1))
    for row in rows:
        if row["reject_reason"] is None:
            assert (
                row["event"]
                and row["source_id"]
                and row["timestamp"]
                and isinstance(json.loads(row["properties"]), dict)
            )
            assert row["user_id"] or row["anonymous_id"] or row["kind"] == "group"
        else:
            assert row["event"] is row["properties"] is row["source_id"] is None


@pytest.mark.parametrize("name", sorted(EXAMPLES))
@given(st.lists(st.dictionaries(texts, values, max_size=6), max_size=4))
@settings(max_examples=examples(60), deadline=None)
def test_any_object_is_a_row(name: str, records: list[dict[str, Any]]) -> None:
    is_row_for_row(name, records)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
@given(st.data())
@settings(max_examples=examples(150), deadline=None)
def test_any_value_anywhere_in_a_record_makes_it_at_worst_a_rejected_row(name: str, data: st.DataObject) -> None:
    example = EXAMPLES[name]
    path = data.draw(st.sampled_from(paths(example)))
    is_row_for_row(name, [example, changed(example, path, data.draw(values)), example])


ZONES = (None, UTC, timezone(timedelta(hours=23)), timezone(-timedelta(hours=23)))

ODD: tuple[Any, ...] = (
    2**63, -(2**63), 10**400, 10**5_000, 1e308, -1e308, float("nan"), float("inf"), "9" * 5_000, "9" * 400 + ".5",
    "1" * 400 + "." + "5" * 5_000, " ", "\x00", "9999-12-31T23:59:59-08:00", "9999-12-31T23:59:59.9",
    "0001-01-01T00:00:00+23:59", "0000-01-01 00:00:00", "2024-02-30T00:00:00Z", 253_402_300_799, -62_135_596_800,
    10**17, 2**53, 2**40, -(2**40),
    *(bound.replace(tzinfo=zone) for bound in (datetime.min, datetime.max) for zone in ZONES),  # noqa: DTZ901
    datetime(2024, 3, 1, tzinfo=UTC), date.min, date.max,
    Decimal("1E+400"), b"\xff", True, [], [[]], ["a", "b"], {}, {"$set": 1}, (1,), {1: 2},
    nesting(300), nesting(900), nesting(1_500),
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "more"),
    [(name, {}) for name in sorted(EXAMPLES)]
    + [("mixpanel", {"timezone": zone}) for zone in ("America/Los_Angeles", "Asia/Tokyo")]
    + [
        ("columns", {"timestamp": {"column": "at", "timezone": zone}}) for zone in ("America/Los_Angeles", "Asia/Tokyo")
    ],
)
def test_no_odd_value_in_any_field_stops_a_day(name: str, more: dict[str, Any]) -> None:
    settings, example = dialect(name) | more, EXAMPLES[name]
    for turn, path in enumerate(paths(example)):
        beside = [changed(example, path, value) for value in ODD]
        # Alone, and beside others: what is alike in all records is read another way.
        for value in some(some(ODD, turn), turn // 3):
            is_staged_row_for_row(settings, [changed(example, path, value)])
        is_staged_row_for_row(settings, [copy.deepcopy(example), *beside, copy.deepcopy(example)])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_no_odd_time_stops_a_day_where_the_unit_is_given(unit: str) -> None:
    settings = dialect("columns") | {"timestamp": {"column": "at", "timezone": "Asia/Tokyo", "unit": unit}}
    for value in ODD:
        is_staged_row_for_row(settings, [EXAMPLES["columns"] | {"at": value}])


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_what_json_cannot_write_rejects_its_row_alone(name: str) -> None:
    deep = nesting(300)
    example = EXAMPLES[name]
    place = {
        "ga4": "user_properties",
        "matomo": "actionDetails",
        "amplitude": "event_properties",
        "umami": "event_data",
    }
    within = place.get(name, "properties" if "properties" in example else None)
    odd = example | ({within: {**_as_object(example[within]), "deep": deep}} if within else {"deep": deep})
    records = [copy.deepcopy(record) for record in (example, odd, example)]
    batch = load_dialect(dialect(name)).stage(RecordChunk([1, 2, 3], records), "part")
    first, second, third = batch["reject_reason"].to_pylist()
    assert first is third is None
    assert "Recursion limit reached" in second


def _as_object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_record_in_parquet_is_the_same_row_as_in_json_lines(name: str) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([EXAMPLES[name]]), sink)
    (chunk,) = read_records(sink, Framing(Format.PARQUET), "part.parquet")
    assert stage(dialect(name), *chunk.records) == stage(dialect(name), EXAMPLES[name])


def test_snowplows_tsv_with_a_header_keeps_json_text_whole() -> None:
    context = {"schema": "iglu:x/contexts/jsonschema/1-0-0", "data": [
        {"schema": "iglu:com.acme/item/jsonschema/1-0-0", "data": {"name": 'a "quoted" one', "n": 1}}
    ]}  # fmt: skip
    flat = {key: value for key, value in test_snowplow.PAGE_VIEW.items() if not key.startswith("contexts")}
    record = flat | {"contexts": json.dumps(context)}
    lines = ["\t".join(record), "\t".join("" if value is None else str(value) for value in record.values())]
    (chunk,) = read_records(io.BytesIO("\n".join(lines).encode()), Framing(Format.CSV, delimiter="\t"), "events.tsv")
    (row,) = stage({"type": "snowplow"}, *chunk.records, untyped=chunk.untyped)
    expected = stage({"type": "snowplow"}, record)[0]
    assert row["properties"] == expected["properties"]
    assert row["properties"]["com_acme_item_name"] == 'a "quoted" one'
    assert row["timestamp"] == expected["timestamp"]


@pytest.mark.parametrize("more", [{}, {"source_id": {"column": "id"}}, {"person_properties": ["deep"]}])
def test_the_users_own_columns_reject_what_json_cannot_write_too(more: dict[str, Any]) -> None:
    columns = {"type": "columns", "event": {"value": "x"}, "user_id": {"column": "u"}, "timestamp": {"column": "t"}}
    record = {"id": 1, "u": "ann", "t": "2024-03-01T10:00:00Z", "deep": [1]}
    first, second, third = stage(columns | more, record, record | {"deep": nesting(300)}, record)
    assert first["reject_reason"] is third["reject_reason"] is None
    assert second["reject_reason"] == "record cannot be written as JSON: Recursion limit reached"
