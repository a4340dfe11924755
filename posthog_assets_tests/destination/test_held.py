"""Held events: what is owed leaves as it was sent, what waits keeps its order, and memory has a bound."""

from __future__ import annotations

import random
import time

import numpy as np
import orjson
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.core.schemas import POSTHOG_EVENTS
from posthog_assets.destination.client import Origin
from posthog_assets.destination.encoder import EncodedEvents, encode
from posthog_assets.destination.held import Held, Owed
from posthog_assets_tests.destination.test_delivery import event
from posthog_assets_tests.examples import examples

LARGE = 1 << 20


def some(*who_and_number: tuple[int, int], letters: int = 0) -> EncodedEvents:
    """Events with numbers, each of a person; with so many letters of text more."""
    rows = [event(n, properties=orjson.dumps({"n": n, "text": "x" * letters}).decode()) for _, n in who_and_number]
    people = np.array([who for who, _ in who_and_number], dtype=np.uint64)
    return encode(pa.RecordBatch.from_pylist(rows, schema=POSTHOG_EVENTS), people)


def owed(*who_and_number: tuple[int, int], after: float = 0.0, origin: Origin | None = None) -> Owed:
    now = time.monotonic()
    return Owed(some(*who_and_number), origin or Origin(), now + after, now, 1)


def numbers(events: EncodedEvents | Owed | None) -> list[int]:
    if events is None:
        return []
    events = events.events if isinstance(events, Owed) else events
    return [int(orjson.loads("{" + text + "}")["properties"]["n"]) for text in events.core.to_pylist()]


def test_the_order_of_each_person_is_kept() -> None:
    held = Held(3, LARGE)
    held.hold(owed((1, 10), (2, 20)))
    assert numbers(held.take_free(some((1, 11), (3, 30), (2, 21)))) == [30]
    assert numbers(held.take_due()) == [10, 20]
    # 10 was answered `retry` again: 21 is free, 11 is not.
    held.hold(owed((1, 10), after=60))
    assert numbers(held.take_free(some((1, 12), (4, 40), (2, 22)))) == [21, 40, 22]
    assert held.take_free() is None
    assert held.take_due() is None
    assert len(held) == 3


def test_owed_events_leave_whole_and_apart_from_those_of_other_requests_and_the_earliest_first() -> None:
    held, one, other = Held(10, LARGE), Origin(), Origin()
    held.hold(owed((1, 10), (2, 20), after=-1, origin=one))
    held.hold(owed((3, 30), after=-2, origin=other))
    first, second = held.take_due(), held.take_due()
    assert (numbers(first), numbers(second), held.take_due()) == ([30], [10, 20], None)
    assert first is not None
    assert second is not None
    assert (first.origin is other, second.origin is one) == (True, True)
    assert (len(held), held.owing, held.seconds_left()) == (0, False, 0.0)


def test_owed_events_stay_until_they_are_due() -> None:
    held = Held(10, LARGE)
    held.hold(owed((1, 10), after=60))
    assert held.take_due() is None
    assert 59 < held.seconds_left() <= 60


def test_a_batch_whose_persons_have_nothing_held_is_not_copied() -> None:
    held, batch = Held(10, LARGE), some((3, 30), (4, 40))
    held.hold(owed((1, 10), after=60))
    assert held.take_free(batch) is batch


def test_what_was_held_back_leaves_before_the_next_batch_in_one_request_with_it() -> None:
    held = Held(4, LARGE)
    held.hold(owed((1, 10), (2, 20)))
    assert held.take_free(some((1, 11), (2, 21))) is None
    held.take_due()
    # One more than a request holds.
    assert numbers(held.take_free(some((3, 30), (1, 12), (4, 40)))) == [11, 21, 30, 12]
    assert (held.crowded, len(held)) == (False, 1)
    assert numbers(held.take_free()) == [40]


def test_what_is_free_leaves_without_another_batch_where_it_fills_a_request() -> None:
    held = Held(2, LARGE)
    held.hold(owed((1, 10)))
    held.take_free(some((1, 11), (1, 12)))
    assert not held.crowded
    held.take_due()
    assert held.crowded


def test_no_request_has_more_bytes_than_it_may_have_unless_one_event_has() -> None:
    held = Held(10, 3_000)
    held.hold(owed((1, 10)))
    held.take_free(some((1, 11), (1, 12), (1, 13), letters=1_200))
    held.take_free(some((1, 14), letters=10_000))
    held.take_due()
    assert [numbers(held.take_free()) for _ in range(4)] == [[11, 12], [13], [14], []]


def test_it_is_full_at_four_batches_of_events_or_of_bytes() -> None:
    events, large = Held(2, LARGE), Held(100, 2_000)
    for held in (events, large):
        held.hold(owed((1, 10)))
    for number in range(11, 17):
        assert not events.full
        events.take_free(some((1, number)))
    events.take_free(some((1, 17)))
    assert events.full
    large.take_free(some((1, 11), letters=7_000))
    assert not large.full
    large.take_free(some((1, 12), letters=1_000))
    assert (large.full, large.crowded) == (True, True)


@settings(max_examples=examples(30), deadline=None)
@given(seed=st.integers(0, 10**6), people=st.integers(1, 12), limit=st.integers(1, 8))
def test_whatever_is_answered_every_event_is_settled_once_in_the_order_of_its_person(
    seed: int, people: int, limit: int
) -> None:
    chance, held = random.Random(seed), Held(limit, LARGE)
    whose = [chance.randrange(people) for _ in range(40)]
    left, settled = list(range(40)), list[int]()

    def answer(events: EncodedEvents, origin: Origin) -> None:
        assert len(events) <= limit
        sent = numbers(events)
        for number in sent:
            earlier = [n for n in range(number) if whose[n] == whose[number]]
            assert set(earlier) <= {*settled, *sent}
        # PostHog keeps the order within a request.
        again = {whose[number] for number in sent if chance.random() < 0.3}
        mask = np.array([whose[number] in again for number in sent])
        settled.extend(number for number, owes in zip(sent, mask, strict=True) if not owes)
        if mask.any():
            held.hold(Owed(events.take(mask), origin, time.monotonic(), 0.0, 1))

    while left or len(held):
        assert len(held) <= 5 * limit
        due = held.take_due() if chance.random() < 0.4 else None
        if due is not None:
            answer(due.events, due.origin)
            continue
        batch = None
        if left and not held.full:
            batch = some(*((whose[number], number) for number in left[:limit]))
            del left[:limit]
        if (free := held.take_free(batch)) is not None:
            answer(free, Origin())
    assert sorted(settled) == list(range(40))
    for who in range(people):
        mine = [number for number in settled if whose[number] == who]
        assert mine == sorted(mine)
