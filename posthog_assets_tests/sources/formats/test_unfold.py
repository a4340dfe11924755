"""Records that hold a list of what are really the records."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import fastavro
import pytest

from posthog_assets.core.records import RecordChunk, Unreadable
from posthog_assets.sources.formats import Compression, Format, Framing, count_records, read_records
from posthog_assets.sources.formats.unfold import first_unfolded, unfolded

LINES = b"\n".join(
    [
        b'{"visit":1,"actions":[{"n":1},{"n":2},{"n":3}]}',
        b'{"visit":2,"actions":[]}',
        b"not json",
        b'{"visit":3,"actions":"none"}',
        b'{"visit":4}',
        b'{"visit":5,"actions":[{"n":4},5]}',
    ]
)


def read(content: bytes, framing: Framing, rows: int = 500) -> list[tuple[int, object]]:
    chunks = list(read_records(io.BytesIO(content), framing, "part", rows))
    assert all(0 < len(chunk.records) <= rows for chunk in chunks)
    return [pair for chunk in chunks for pair in zip(chunk.positions, chunk.records, strict=True)]


@pytest.mark.parametrize("rows", [1, 2, 500])
def test_each_member_is_a_record_with_the_rest_of_its_holder_beside_it(rows: int) -> None:
    found = read(LINES, Framing(Format.JSONL, unfold="actions"), rows)
    assert [record for _, record in found if not isinstance(record, Unreadable)] == [
        {"visit": 1, "actions": {"n": 1}},
        {"visit": 1, "actions": {"n": 2}},
        {"visit": 1, "actions": {"n": 3}},
        {"visit": 2, "actions": []},
        {"visit": 3, "actions": "none"},
        {"visit": 4},
        {"visit": 5, "actions": {"n": 4}},
        {"visit": 5, "actions": 5},
    ]
    assert [position for position, _ in found] == [1, 1, 1, 2, 3, 4, 5, 6, 6]


@pytest.mark.parametrize("unfold", ["actions", "visit", "absent", None])
def test_counting_and_reading_agree(unfold: str | None) -> None:
    framing = Framing(Format.JSONL, unfold=unfold)
    assert count_records(io.BytesIO(LINES), framing, "part") == len(read(LINES, framing))


def test_records_of_avro_unfold_too() -> None:
    sink = io.BytesIO()
    actions = {"type": "array", "items": "long"}
    fields = [{"name": "visit", "type": "long"}, {"name": "actions", "type": ["null", actions]}]
    visits = [{"visit": 1, "actions": [1, 2]}, {"visit": 2, "actions": None}]
    fastavro.writer(sink, {"type": "record", "name": "visit", "fields": fields}, visits)
    framing = Framing(Format.AVRO, unfold="actions")
    assert read(sink.getvalue(), framing) == [
        (1, {"visit": 1, "actions": 1}),
        (1, {"visit": 1, "actions": 2}),
        (2, {"visit": 2, "actions": None}),
    ]
    assert count_records(io.BytesIO(sink.getvalue()), framing, "part") == 3


def test_members_of_a_zip_unfold_too_and_positions_count_on() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("a.json", "b.json"):
            archive.writestr(name, json.dumps([{"actions": [1, 2]}, {"actions": [3]}]))
    framing = Framing(None, Compression.ZIP, unfold="actions")
    found = read(packed.getvalue(), framing)
    assert found == [
        (1, {"actions": 1}),
        (1, {"actions": 2}),
        (2, {"actions": 3}),
        (3, {"actions": 1}),
        (3, {"actions": 2}),
        (4, {"actions": 3}),
    ]
    assert count_records(io.BytesIO(packed.getvalue()), framing, "part") == 6


@pytest.mark.parametrize(
    ("beside", "most"),
    [
        ({}, 500),
        ({"note": "x" * 100_000}, 83),
        ({"note": "x" * 3_000_000}, 2),
        ({"note": "x" * 9_000_000}, 1),
        ({"notes": [{"text": "x" * 1_000}] * 3_000}, 2),
        # Few bytes of text, and many fields: each record has an object of its own that holds them.
        ({f"f{number}": 1 for number in range(40_000)}, 1),
        # Not to be written as JSON, so that their size is not known.
        ({"depth": "["}, 1),
    ],
)
def test_a_chunk_has_fewer_members_the_more_they_repeat(beside: dict[str, Any], most: int) -> None:
    record = beside | {"items": [{"n": number} for number in range(120)]}
    if "depth" in beside:
        for _ in range(2_000):
            record["depth"] = [record["depth"]]
    chunks = list(unfolded([RecordChunk([7], [record])], "items", 500))
    sizes = [len(chunk.records) for chunk in chunks]
    assert (sum(sizes), max(sizes)) == (120, min(most, 120))
    assert [one["items"]["n"] for chunk in chunks for one in chunk.records if isinstance(one, dict)] == [*range(120)]
    assert {position for chunk in chunks for position in chunk.positions} == {7}


def test_a_list_of_one_repeats_nothing() -> None:
    records = [{"note": "x" * 3_000_000, "items": [number]} for number in range(20)]
    chunks = list(unfolded([RecordChunk(range(20), records)], "items", 500))
    assert [len(chunk.records) for chunk in chunks] == [20]


def test_remarks_of_a_chunk_that_becomes_several_are_counted_once() -> None:
    record = {"note": "x" * 5_000_000, "items": [1, 2, 3]}
    chunks = list(unfolded([RecordChunk([1], [record], remarks={"odd": 1})], "items", 500))
    assert [chunk.remarks for chunk in chunks] == [{"odd": 1}, {}, {}]


def test_a_sample_of_members_that_repeat_much_ends_early() -> None:
    record = {"note": "x" * 3_000_000, "items": [*range(1_000)]}
    few = first_unfolded(RecordChunk([1], [record]), "items")
    assert [one["items"] for one in few if isinstance(one, dict)] == [*range(16)]
    assert len(first_unfolded(RecordChunk([1], [{"items": [*range(9_000)]}]), "items")) == 8_000
