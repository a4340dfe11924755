"""Batches hold every event once, in order, and no more than they may."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.destination.batches import BatchCutter
from posthog_assets.destination.encoder import EncodedEvents, encode
from posthog_assets.destination.settings import Protocol
from posthog_assets_tests.destination.test_encoder import CREATED, joined
from posthog_assets_tests.examples import examples
from posthog_assets_tests.records.posthog_events import batch_of, posthog_event

#: Bytes around the events of a body.
ENVELOPE = len('{"created_at":"2024-03-02T12:30:00+00:00","historical_migration":true,"batch":[]}')


def events_of(lengths: list[int], first: int = 0) -> EncodedEvents:
    return encode(
        batch_of([posthog_event(first + n, properties=f'{{"t":"{"x" * length}"}}') for n, length in enumerate(lengths)])
    )


def cut(parts: list[list[int]], most_events: int, most_bytes: int) -> list[EncodedEvents]:
    cutter, first = BatchCutter(most_events, most_bytes), 0
    batches: list[EncodedEvents] = []
    for part in parts:
        batches += cutter.add(events_of(part, first))
        first += len(part)
    return batches + list(cutter.end())


@settings(max_examples=examples(60))
@given(
    st.lists(st.lists(st.integers(0, 900), min_size=1, max_size=6), min_size=1, max_size=5),
    st.integers(1, 6),
    st.integers(600, 3_000),
)
def test_every_event_is_in_one_batch_in_order_and_no_batch_is_too_large(
    parts: list[list[int]], most_events: int, most_bytes: int
) -> None:
    batches = cut(parts, most_events, most_bytes)
    sent = [uuid for batch in batches for uuid in batch.text_uuids.to_pylist()]
    assert sent == [posthog_event(n)["uuid"] for n in range(sum(map(len, parts)))]
    for batch in batches:
        assert 1 <= len(batch) <= most_events
        size = len(joined(batch.body(Protocol.V1, "phc_x", CREATED))) - ENVELOPE
        assert size <= most_bytes or len(batch) == 1


def test_a_batch_of_exactly_the_most_events_is_full_and_one_event_more_begins_another() -> None:
    cutter = BatchCutter(3, 1 << 20)
    assert [len(batch) for batch in cutter.add(events_of([1, 1]))] == []
    assert [len(batch) for batch in cutter.add(events_of([1], 2))] == [3]
    assert list(cutter.end()) == []
    assert [len(batch) for batch in cut([[1] * 7], 3, 1 << 20)] == [3, 3, 1]


def test_small_parts_fill_a_batch_as_one_large_part_does() -> None:
    together = [len(batch) for batch in cut([[100] * 20], 50, 2_000)]
    assert [len(batch) for batch in cut([[100]] * 20, 50, 2_000)] == together
    # A seventh event would fit without what v1 writes beside each.
    assert together == [6, 6, 6, 2]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_event_larger_than_a_batch_leaves_alone(place: int) -> None:
    lengths = [10, 10]
    lengths.insert(place, 5_000)
    batches = cut([lengths], 100, 2_000)
    assert [len(batch) for batch in batches if int(batch.sizes.max()) > 2_000] == [1]
    assert sum(map(len, batches)) == 3


def test_without_events_there_is_no_batch() -> None:
    assert list(BatchCutter(10, 1_000).end()) == []
