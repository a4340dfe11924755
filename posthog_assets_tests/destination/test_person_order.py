"""Ids that PostHog merges have one number, all others their own; groups have one for all of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.destination.person_order import Persons, of_day
from posthog_assets_tests.examples import examples
from posthog_assets_tests.records.posthog_events import batch_of, posthog_event

IDS = ["ann", "bob", "cid", "dev-1", "dev-2", "dev-3", "7", "ü"]


def numbers(persons: Persons, ids: list[str], event: str = "edit") -> list[int]:
    rows = [posthog_event(n, event=event, distinct_id=distinct_id) for n, distinct_id in enumerate(ids)]
    found: list[int] = persons.of(batch_of(rows)).tolist()
    return found


def day(*batches: list[dict[str, object]]) -> tuple[Persons, list[object]]:
    asked: list[object] = []

    def opened(columns: list[str] | None, names: Iterable[str] | None = None) -> Iterator[pa.RecordBatch]:
        asked.append((columns, None if names is None else set(names)))
        for rows in batches:
            batch = batch_of(rows)
            yield batch if columns is None else batch.select(columns)

    return of_day(opened), asked


def linked(links: Iterable[tuple[str, str]]) -> Persons:
    """Return the persons of a day on which each of *links* was identified."""
    rows = [
        posthog_event(
            n, event="$identify", distinct_id=one, properties=orjson.dumps({"$anon_distinct_id": other}).decode()
        )
        for n, (one, other) in enumerate(links)
    ]
    return day(rows[:2], rows[2:])[0]


@settings(max_examples=examples(100))
@given(st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(IDS)), max_size=6))
def test_ids_have_one_number_exactly_if_links_lead_from_one_to_the_other(links: list[tuple[str, str]]) -> None:
    groups = {name: {name} for name in IDS}
    for one, other in links:
        merged = groups[one] | groups[other]
        for name in merged:
            groups[name] = merged
    found = numbers(linked(links), IDS)
    for (one, first), (other, second) in itertools.combinations(zip(IDS, found, strict=True), 2):
        assert (first == second) is (other in groups[one])
    # Whatever the order of the links, so that a day cut into shares twice is cut in the same way.
    assert numbers(linked(reversed(links)), IDS) == found


@pytest.mark.parametrize(
    ("event", "properties"),
    [
        ("$identify", '{"$anon_distinct_id":"dev-1"}'),
        ("$create_alias", '{"alias":"dev-1"}'),
        ("$merge_dangerously", '{"alias":"dev-1"}'),
    ],
)
def test_the_events_by_which_posthog_merges_persons_link_their_ids(event: str, properties: str) -> None:
    link = posthog_event(1, event=event, distinct_id="ann", properties=properties)
    persons, _ = day([posthog_event(0)], [link])
    ann, device, bob = numbers(persons, ["ann", "dev-1", "bob"])
    assert ann == device != bob


@pytest.mark.parametrize(
    "changes",
    [
        {"event": "edit", "properties": '{"$anon_distinct_id":"dev-1","alias":"dev-1"}'},
        {"event": "$identify", "properties": '{"alias":"dev-1"}'},
        {"event": "$identify", "properties": '{"$anon_distinct_id":null}'},
        {"event": "$identify", "properties": '{"$anon_distinct_id":""}'},
        {"event": "$create_alias", "properties": "{}"},
        # What is not sent merges nobody.
        {"event": "$identify", "properties": '{"$anon_distinct_id":"dev-1"}', "reject_reason": "too old"},
    ],
)
def test_nothing_else_links_ids(changes: dict[str, str]) -> None:
    persons, _ = day([posthog_event(1, distinct_id="ann", **changes)])
    assert len(set(numbers(persons, ["ann", "dev-1"]))) == 2


def test_an_id_that_is_a_number_links_as_its_text() -> None:
    persons, _ = day([posthog_event(1, event="$identify", distinct_id="ann", properties='{"$anon_distinct_id":17}')])
    assert len(set(numbers(persons, ["ann", "17"]))) == 1


def test_links_of_several_batches_are_of_one_day_and_only_their_columns_are_read() -> None:
    persons, asked = day(
        [posthog_event(1, event="$identify", distinct_id="ann", properties='{"$anon_distinct_id":"dev-1"}')],
        [],
        [posthog_event(2, event="$identify", distinct_id="ann", properties='{"$anon_distinct_id":"dev-2"}')],
    )
    assert len(set(numbers(persons, ["dev-1", "dev-2", "ann"]))) == 1
    assert asked == [
        (["event", "distinct_id", "properties", "reject_reason"], {"$identify", "$create_alias", "$merge_dangerously"})
    ]


def test_all_calls_about_groups_are_in_one_order_whoever_made_them() -> None:
    persons = linked([("ann", "dev-1")])
    assert len(set(numbers(persons, ["ann", "bob", "$company_acme"], "$groupidentify"))) == 1
    assert numbers(persons, ["ann"], "$groupidentify") != numbers(persons, ["ann"])


def test_a_batch_without_rows_has_no_persons() -> None:
    assert numbers(linked([("a", "b")]), []) == []
