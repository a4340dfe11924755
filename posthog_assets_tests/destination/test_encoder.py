"""Request bodies: valid JSON that says what the rows say, in exactly the bytes that are counted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.destination.encoder import EncodedEvents, Stamp, encode, format_timestamps, hashes_of
from posthog_assets.destination.settings import Protocol
from posthog_assets_tests.examples import examples
from posthog_assets_tests.records.posthog_events import batch_of, posthog_event

CREATED = datetime(2024, 3, 2, 12, 30, tzinfo=UTC)
KEY = 'phc_"quoted"'

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def times(first: datetime) -> st.SearchStrategy[datetime]:
    """Times from *first* to the end of the calendar, to the microsecond."""
    most = (datetime.max.replace(tzinfo=UTC) - first) // timedelta(microseconds=1)
    return st.integers(0, most).map(lambda micros: first + timedelta(microseconds=micros))


rows = st.lists(
    st.fixed_dictionaries(
        {
            "uuid": st.uuids().map(str),
            "event": texts,
            "distinct_id": texts,
            "timestamp": times(EPOCH),
            "properties": st.dictionaries(texts.map("p".__add__), values, max_size=3).map(
                lambda members: orjson.dumps(members).decode()
            ),
        }
    ),
    min_size=1,
    max_size=5,
)


def joined(pieces: list[Any]) -> bytes:
    return b"".join(bytes(piece) for piece in pieces)


def body(events: EncodedEvents, protocol: Protocol = Protocol.V1, *, historical: bool = True) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(joined(events.body(protocol, KEY, CREATED, historical=historical)))
    return said


def sent(properties: dict[str, Any], protocol: Protocol = Protocol.V1) -> dict[str, Any]:
    """Return what is sent of one event with these properties."""
    row = posthog_event(1, properties=orjson.dumps(properties).decode())
    event: dict[str, Any] = body(encode(batch_of([row])), protocol)["batch"][0]
    return event


@settings(max_examples=examples(30))
@given(rows)
def test_both_bodies_are_json_that_says_what_the_rows_say(given_rows: list[dict[str, Any]]) -> None:
    expected = [
        {
            "event": row["event"],
            "uuid": row["uuid"],
            "distinct_id": row["distinct_id"],
            "timestamp": row["timestamp"].strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0"),
            "properties": json.loads(row["properties"]),
        }
        for row in given_rows
    ]
    events = encode(batch_of(given_rows))
    assert body(events, Protocol.BATCH) == {"api_key": KEY, "historical_migration": True, "batch": expected}
    options = {"options": {"disable_skew_correction": True}}
    assert body(events) == {
        "created_at": "2024-03-02T12:30:00+00:00",
        "historical_migration": True,
        "batch": [options | event for event in expected],
    }


@settings(max_examples=examples(30))
@given(rows)
def test_sizes_are_the_bytes_between_the_braces_of_each_event(given_rows: list[dict[str, Any]]) -> None:
    events = encode(batch_of(given_rows))
    whole = len(joined(events.body(Protocol.BATCH, KEY, CREATED)))
    head = len(b'{"api_key":' + json.dumps(KEY).encode() + b',"historical_migration":true,"batch":[{')
    assert int(events.sizes.sum()) == whole - head - len("},{") * (len(given_rows) - 1) - len("}]}")


def test_the_bytes_of_one_event_are_these() -> None:
    """The ledger holds the hash of this text: another spelling would send all of history again."""
    row = posthog_event(
        1, uuid="0190aaaa-0000-7000-8000-000000000001", event="naïve\n", distinct_id="a", properties="{}"
    )
    events = encode(batch_of([row]))
    text = (
        '"event":"naïve\\n","uuid":"0190aaaa-0000-7000-8000-000000000001","distinct_id":"a",'
        '"timestamp":"2024-03-01T00:00:01.000000Z","properties":{}'
    )
    assert joined(events.body(Protocol.BATCH, "phc_x", CREATED, historical=False)).decode() == (
        '{"api_key":"phc_x","batch":[{' + text + "}]}"
    )
    assert events.hashes.tolist() == [xxhash.xxh3_64_intdigest(text[:-1].encode())]
    assert events.keys.tolist() == [xxhash.xxh3_64_intdigest('2024-03-01"naïve\\n""a"'.encode())]
    assert events.uuids.tobytes().hex() == "0190aaaa000070008000000000000001"


def test_a_stamp_ends_the_properties_and_is_in_no_hash() -> None:
    batch = batch_of([posthog_event(1), posthog_event(2, properties='{"a":"}"}')])
    plain, stamped = encode(batch), encode(batch, stamp=Stamp("$run", 'x"1'))
    assert [event["properties"] for event in body(stamped)["batch"]] == [
        {"n": 1, "$run": 'x"1'},
        {"a": "}", "$run": 'x"1'},
    ]
    assert stamped.hashes.tolist() == plain.hashes.tolist()
    assert stamped.keys.tolist() == plain.keys.tolist()
    assert (stamped.sizes - plain.sizes).tolist() == [len(',"$run":"x\\"1"')] * 2


@pytest.mark.parametrize(
    ("change", "content", "key"),
    [
        ({}, True, True),
        ({"properties": '{"n":2}'}, False, True),
        ({"timestamp": datetime(2024, 3, 1, 23, 59, 59, tzinfo=UTC)}, False, True),
        ({"timestamp": datetime(2024, 3, 2, tzinfo=UTC)}, False, False),
        ({"distinct_id": "user-10"}, False, False),
        ({"event": "edits"}, False, False),
        # The key has the uuid beside it, not in it.
        ({"uuid": "0190aaaa-0000-7000-8000-000000000001"}, False, True),
    ],
)
def test_the_key_is_of_the_utc_day_event_and_distinct_id_and_the_hash_of_everything(
    change: dict[str, Any], content: bool, key: bool
) -> None:
    events = encode(batch_of([posthog_event(1), posthog_event(1, **change)]))
    assert (bool(events.hashes[0] == events.hashes[1]), bool(events.keys[0] == events.keys[1])) == (content, key)


def test_v1_has_places_of_their_own_for_some_properties() -> None:
    event = sent(
        {
            "$session_id": "s",
            "$window_id": "w",
            "$process_person_profile": False,
            "$cookieless_mode": True,
            "$product_tour_id": "t",
            "kept": {"$session_id": "inner"},
        }
    )
    assert (event["session_id"], event["window_id"]) == ("s", "w")
    assert event["options"] == {
        "process_person_profile": False,
        "cookieless_mode": True,
        "product_tour_id": "t",
        "disable_skew_correction": True,
    }
    assert event["properties"] == {"kept": {"$session_id": "inner"}}


def test_batch_keeps_these_properties_where_they_are() -> None:
    properties = {"$session_id": "s", "$process_person_profile": False}
    assert sent(properties, Protocol.BATCH)["properties"] == properties


@pytest.mark.parametrize(
    ("properties", "kept", "options"),
    [
        # A session that is no text stays a property; an option of the wrong type would cost the event.
        ({"$session_id": 7}, {"$session_id": 7}, {}),
        ({"$process_person_profile": "no"}, {}, {}),
        ({"$product_tour_id": 5}, {}, {}),
        ({"$cookieless_mode": None}, {}, {}),
        ({"$process_person_profile": 0}, {}, {"process_person_profile": 0}),
        # Nothing but our own word decides of the clock: history must not move.
        ({"$ignore_sent_at": False}, {}, {}),
    ],
)
def test_what_v1_would_refuse_there_is_left_out(
    properties: dict[str, Any], kept: dict[str, Any], options: dict[str, Any]
) -> None:
    event = sent(properties)
    assert event["properties"] == kept
    assert event["options"] == options | {"disable_skew_correction": True}
    assert "session_id" not in event


def test_one_event_with_such_a_property_changes_no_other_event_of_the_body() -> None:
    special = posthog_event(2, properties='{"$session_id":"s"}')
    plain = body(encode(batch_of([posthog_event(1), posthog_event(3)])))["batch"]
    mixed = body(encode(batch_of([posthog_event(1), special, posthog_event(3)])))["batch"]
    assert [mixed[0], mixed[2]] == plain


def test_slices_takes_and_joins_keep_every_column_in_step() -> None:
    given_rows = [posthog_event(number) for number in range(6)]
    events = encode(batch_of(given_rows), persons=np.arange(6, dtype=np.uint64))
    mask = np.array([True, False, True, False, True, False])
    for part, numbers in (
        (events.slice(2, 5), [2, 3, 4]),
        (events.take(mask), [0, 2, 4]),
        (events.take(np.array([5, 1])), [5, 1]),
        (EncodedEvents.joined([events.slice(4, 6), events.slice(0, 1)]), [4, 5, 0]),
        (EncodedEvents.joined([events.take(mask), events.slice(0, 0)]).slice(1, 3), [2, 4]),
    ):
        alone = encode(batch_of([given_rows[number] for number in numbers]), np.array(numbers, dtype=np.uint64))
        assert body(part) == body(alone)
        assert part.text_uuids.to_pylist() == alone.text_uuids.to_pylist()
        for column in ("uuids", "hashes", "keys", "persons", "timestamps", "sizes"):
            assert getattr(part, column).tolist() == getattr(alone, column).tolist()


@settings(max_examples=examples(30))
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12), st.integers(1, 5))
def test_shares_keep_a_person_together_and_in_order(persons: list[int], shares: int) -> None:
    numbers = [number % 4 if number % 2 else number for number in persons]
    events = encode(batch_of([posthog_event(n) for n in range(len(numbers))]), np.array(numbers, dtype=np.uint64))
    parts = events.shared_out(shares)
    assert len(parts) == shares
    shared = [list(zip(part.persons.tolist(), part.text_uuids.to_pylist(), strict=True)) for part in parts]
    assert sorted(pair for part in shared for pair in part) == sorted(
        zip(numbers, events.text_uuids.to_pylist(), strict=True)
    )
    for person in set(numbers):
        mine = [uuid for number, uuid in zip(numbers, events.text_uuids.to_pylist(), strict=True) if number == person]
        holders = [[uuid for who, uuid in part if who == person] for part in shared]
        assert [holder for holder in holders if holder] == [mine]


@settings(max_examples=examples(30))
@given(st.lists(times(datetime.min.replace(tzinfo=UTC)), max_size=5))
def test_timestamps_are_written_as_python_writes_them(stamps: list[datetime]) -> None:
    micros = np.array([(stamp - EPOCH) // timedelta(microseconds=1) for stamp in stamps], dtype="int64")
    written = format_timestamps(micros).to_pylist()
    assert written == [stamp.isoformat(timespec="microseconds").replace("+00:00", "Z") for stamp in stamps]


def test_hashes_are_of_the_texts_of_a_slice_and_not_of_its_neighbours() -> None:
    column = pa.array(["before", "ab", "", "ü}", "after"]).slice(1, 3)
    assert hashes_of(column).tolist() == [xxhash.xxh3_64_intdigest(text.encode()) for text in ("ab", "", "ü}")]
    assert hashes_of(column.slice(2), 1).tolist() == [xxhash.xxh3_64_intdigest("ü".encode())]
    assert hashes_of(column.slice(0, 0)).tolist() == []
