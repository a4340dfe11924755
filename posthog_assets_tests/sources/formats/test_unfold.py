"""Records that hold a list of what are really the records."""

from __future__ import annotations

import io
import json
import zipfile

import fastavro
import pytest

from posthog_assets.core.records import Unreadable
from posthog_assets.sources.formats import Compression, Format, Framing, count_records, read_records

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
