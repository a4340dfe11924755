"""Events that are sent once more to find out whether PostHog takes anything: none may change a person."""

from __future__ import annotations

import numpy as np
import pytest

from posthog_assets.destination.encoder import EncodedEvents, encode
from posthog_assets.destination.probes import LaneProbe, Probes, without_overwrites
from posthog_assets_tests.records.posthog_events import batch_of, posthog_event, uuid_of


def encoded(numbers: list[int], persons: list[int] | None = None, properties: str = "{}") -> EncodedEvents:
    whose = None if persons is None else np.array(persons, dtype=np.uint64)
    return encode(batch_of([posthog_event(number, properties=properties) for number in numbers]), whose)


def tried(probes: Probes, batch: EncodedEvents, lane: LaneProbe, look: int) -> list[str]:
    found = list(probes.candidates(batch, lane, look))
    assert [len(event) for event in found] == [1] * len(found)
    return [str(event.text_uuids[0]) for event in found]


@pytest.mark.parametrize(
    ("changes", "harmless"),
    [
        ({"properties": '{"a":1}'}, True),
        ({"properties": '{"$set_once":{"a":1}}'}, True),
        ({"properties": '{"$set":{"a":1}}'}, False),
        ({"properties": '{"b":1,"$unset":["a"]}'}, False),
        ({"properties": '{"$group_set":{"a":1}}'}, False),
        ({"event": "$groupidentify"}, False),
        ({"event": "$set"}, False),
    ],
)
def test_an_event_that_writes_over_a_later_value_is_no_probe(changes: dict[str, str], harmless: bool) -> None:
    assert without_overwrites(encode(batch_of([posthog_event(1, **changes)]))).tolist() == [harmless]


def test_at_first_nothing_was_taken_and_single_events_of_several_persons_are_tried() -> None:
    probes, batch = Probes(), encoded(list(range(12)), [n % 4 for n in range(12)])
    assert not probes.ever
    first, second = (tried(probes, batch, LaneProbe(), look) for look in (0, 1))
    assert len(set(first)) == 3
    # Others than at the look before.
    assert not set(first) & set(second)
    # The first event of its person: it is sent again in its place, so no order changes.
    assert set(first) <= {uuid_of(number) for number in range(4)}
    # The same ones each time, so that a run that is repeated costs no more.
    assert tried(Probes(), batch, LaneProbe(), 0) == first


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("look", [0, 1, 7])
def test_a_small_batch_always_has_an_event_to_try(size: int, look: int) -> None:
    batch = encoded(list(range(size)), [0] * size)
    assert set(tried(Probes(), batch, LaneProbe(), look)) <= {uuid_of(number) for number in range(size)}
    assert tried(Probes(), batch, LaneProbe(), look)


def test_what_the_lane_had_taken_last_is_tried_first_and_later_alone() -> None:
    probes, lane, batch = Probes(), LaneProbe(), encoded([50, 51])
    probes.taken(encoded([1, 2, 3]), 10.0, lane)
    assert probes.ever
    assert tried(probes, batch, lane, 0) == [uuid_of(3), uuid_of(50), uuid_of(51)]
    assert tried(probes, batch, lane, 1) == [uuid_of(3)]


def test_a_lane_without_one_tries_a_harmless_event_of_another_lane() -> None:
    probes = Probes()
    probes.taken(encoded([1], properties='{"$set":{"a":1}}'), 10.0, LaneProbe())
    assert tried(probes, encoded([50]), LaneProbe(), 1) == [uuid_of(1)]
    probes.taken(encode(batch_of([posthog_event(2), posthog_event(3, properties='{"$set":{}}')])), 11.0, LaneProbe())
    assert tried(probes, encoded([50]), LaneProbe(), 1) == [uuid_of(2)]


def test_an_event_of_an_earlier_run_serves_too() -> None:
    probes = Probes(known=encoded([9]))
    assert probes.ever
    assert tried(probes, encoded([50]), LaneProbe(), 3) == [uuid_of(9)]


def test_looks_that_take_nothing_are_added_up_until_something_is_taken() -> None:
    probes = Probes()
    assert probes.none_taken(4) == (1, 4)
    assert probes.none_taken(3) == (2, 7)
    probes.taken(encoded([1]), 5.0, LaneProbe())
    assert probes.none_taken(2) == (1, 2)


def test_the_time_of_the_last_request_that_was_taken_never_goes_back() -> None:
    probes = Probes()
    assert probes.last_taken == float("-inf")
    probes.taken(encoded([1]), 5.0, LaneProbe())
    probes.taken(encoded([2]), 3.0, LaneProbe())
    assert probes.last_taken == 5.0
