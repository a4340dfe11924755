"""Whatever a record holds, it is one row: nothing a vendor writes may stop a day."""

from __future__ import annotations

import copy
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.dialects import load_dialect
from posthog_assets.formats import Format, Framing, read_records
from posthog_assets.formats.records import RecordChunk
from posthog_assets.schemas import STAGED_EVENTS, STAGED_VERSIONS
from posthog_assets_tests.dialects import test_ga4, test_heap, test_matomo, test_pendo, test_segment, test_snowplow
from posthog_assets_tests.dialects.staging import stage

EXAMPLES: dict[str, dict[str, Any]] = {
    "ga4": test_ga4.ROW,
    "heap": test_heap.PAGEVIEW,
    "matomo": test_matomo.record(),
    "pendo": test_pendo.CLICK,
    "rudderstack": test_segment.TRACK,
    "segment": test_segment.TRACK,
    "snowplow": test_snowplow.PAGE_VIEW,
}

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), texts,
    st.sampled_from(["", "{", '{"a":', '"{}"', "[1]", "0.0.0.0", "iglu:a/b/jsonschema/1-0-0", "1e400", "9" * 400]),
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)


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
    dialect = load_dialect({"type": name})
    batch = dialect.stage(RecordChunk(range(1, len(records) + 1), copy.deepcopy(records)), "part")
    assert batch.schema == (STAGED_VERSIONS if name == "posthog" else STAGED_EVENTS)
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
@settings(max_examples=60, deadline=None)
def test_any_object_is_a_row(name: str, records: list[dict[str, Any]]) -> None:
    is_row_for_row(name, records)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
@given(st.data())
@settings(max_examples=250, deadline=None)
def test_any_value_anywhere_in_a_record_makes_it_at_worst_a_rejected_row(name: str, data: st.DataObject) -> None:
    example = EXAMPLES[name]
    path = data.draw(st.sampled_from(paths(example)))
    is_row_for_row(name, [example, changed(example, path, data.draw(values)), example])


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_what_json_cannot_write_rejects_its_row_alone(name: str) -> None:
    deep = nesting(300)
    example = EXAMPLES[name]
    place = {"segment": "properties", "rudderstack": "properties", "ga4": "user_properties", "matomo": "actionDetails"}
    within = place.get(name)
    odd = example | ({within: {**_as_object(example[within]), "deep": deep}} if within else {"deep": deep})
    batch = load_dialect({"type": name}).stage(RecordChunk([1, 2, 3], copy.deepcopy([example, odd, example])), "part")
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
    assert stage({"type": name}, *chunk.records) == stage({"type": name}, EXAMPLES[name])


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


def nesting(levels: int) -> Any:
    deep: Any = 1
    for _ in range(levels):
        deep = [deep]
    return deep
