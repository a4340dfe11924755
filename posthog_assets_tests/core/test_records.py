"""Chunks of records: given once, and free as soon as they were."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from posthog_assets.core.json_records import Unparsed
from posthog_assets.core.records import RecordChunk, Unreadable


class Record(dict[str, Any]):
    """A record that can be watched."""


def test_a_record_is_gone_as_soon_as_the_next_one_is_asked_for() -> None:
    watched: list[weakref.ref[Record]] = []
    records: list[dict[str, Any] | Unreadable] = []
    for number in range(3):
        record = Record(n=number)
        watched.append(weakref.ref(record))
        records.append(record)
    del record
    seen = []
    for record_or_not in RecordChunk([1, 2, 3], records).used_up():
        assert isinstance(record_or_not, Record)
        seen.append(record_or_not["n"])
        gc.collect()
        alive = [reference() is not None for reference in watched]
        assert alive == [number >= len(seen) - 1 for number in range(3)]
    assert seen == [0, 1, 2]
    del record_or_not
    assert [isinstance(record, Unreadable) for record in records] == [True] * 3


def test_records_that_are_made_when_asked_for_can_be_asked_for_again() -> None:
    chunk = RecordChunk([1, 2], Unparsed([b'{"a":1}', b"["]))
    first = list(chunk.used_up())
    assert first[0] == {"a": 1}
    assert isinstance(first[1], Unreadable)
    assert list(chunk.used_up()) == first


def test_remarks_are_counted_and_chunks_share_none() -> None:
    one, other = RecordChunk([], []), RecordChunk([], [])
    for sentence in ("a", "b", "a"):
        one.remark(sentence)
    assert (one.remarks, other.remarks) == ({"a": 2, "b": 1}, {})
    assert list(other.used_up()) == []
