"""The records in an answer of an API, a few at a time."""

from __future__ import annotations

import json

import pytest

from posthog_assets.sources.formats.framing import Format, Framing
from posthog_assets.sources.formats.selected import read_selected

ANSWER = json.dumps({"data": [{"n": number} for number in range(30)]}).encode()


@pytest.mark.parametrize(("length", "most"), [(10, 20), (1_000_000, 8), (3_000_000, 2), (9_000_000, 1)])
def test_a_chunk_has_fewer_records_the_more_is_added_to_each(length: int, most: int) -> None:
    framing = Framing(Format.JSON, select="data", add=json.dumps({"note": "x" * length}))
    chunks = list(read_selected(iter([ANSWER]), framing, "part", rows=20))
    assert max(len(chunk.records) for chunk in chunks) == most
    records = [record for chunk in chunks for record in chunk.records if isinstance(record, dict)]
    assert [record["n"] for record in records] == [*range(30)]
    assert {len(record["note"]) for record in records} == {length}
    assert [position for chunk in chunks for position in chunk.positions] == [*range(1, 31)]
