"""PostHog's own events, as its batch exports, its query API and its SDKs write them."""

from __future__ import annotations

import io
import itertools
import json
import random
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.core.records import RecordChunk
from posthog_assets.dialects import load_dialect
from posthog_assets.mapping import EventMapper, map_day
from posthog_assets.mapping.settings import Mapping
from posthog_assets.sources.formats import detect, read_records
from posthog_assets_tests.examples import examples
from posthog_assets_tests.mapping.test_mapping import map_rows

ID = "018f6c9a-7d1e-7000-8000-1234567890ab"

RECORD: dict[str, Any] = {
    "uuid": ID, "event": "$pageview", "distinct_id": "ann", "timestamp": "2024-03-01T10:00:00.123456Z",
    "properties": {"$current_url": "https://a.example/ü", "n": 1.5, "$groups": {"company": "acme"}, "$group_0": "acme"},
}  # fmt: skip

#: The columns of PostHog's batch export to S3 as Parquet.
EXPORT = pa.schema(
    [
        pa.field("uuid", pa.string()), pa.field("distinct_id", pa.string()),
        pa.field("timestamp", pa.timestamp("us", "UTC")), pa.field("created_at", pa.timestamp("us", "UTC")),
        pa.field("event", pa.string()), pa.field("properties", pa.string()), pa.field("person_id", pa.string()),
        pa.field("person_properties", pa.string()), pa.field("elements_chain", pa.string()),
        pa.field("_inserted_at", pa.timestamp("us", "UTC")),
    ]
)  # fmt: skip


def staged(*records: Any, **options: Any) -> pa.RecordBatch:
    copies = [json.loads(json.dumps(record)) if isinstance(record, dict) else record for record in records]
    return load_dialect({"type": "posthog"} | options).stage(RecordChunk(range(1, len(copies) + 1), copies), "part")


def rows(*records: Any, **options: Any) -> list[dict[str, Any]]:
    return staged(*records, **options).to_pylist()


def mapped(*records: Any, **mapping: Any) -> list[dict[str, Any]]:
    """Return events with their properties as dict, without the markers of the import."""
    mapper = EventMapper(
        Mapping.model_validate(mapping), "copy", load_dialect({"type": "posthog"}), day=date(2024, 3, 1),
        fetched_at=datetime(2024, 3, 3, tzinfo=UTC),
    )  # fmt: skip
    events = mapper.map(staged(*records)).to_pylist()
    for event in events:
        event["properties"] = json.loads(event["properties"])
    return events


MARKERS = {
    "$geoip_disable": True, "historical_migration": True, "$import_job_id": "copy", "analytics_source": "posthog",
    "$import_day": "2024-03-01", "$import_source_id": ID,
}  # fmt: skip


def test_an_event_stays_what_it_is() -> None:
    (event,) = mapped(RECORD)
    assert (event["uuid"], event["event"], event["distinct_id"]) == (ID, "$pageview", "ann")
    assert event["timestamp"] == datetime(2024, 3, 1, 10, 0, 0, 123456, UTC)
    # `$group_0` is the number that the old project gave the type.
    assert event["properties"] == MARKERS | {
        "$current_url": "https://a.example/ü", "n": 1.5, "$groups": {"company": "acme"},
    }  # fmt: skip


@pytest.mark.parametrize("codec", ["none", "zstd", "snappy", "gzip", "brotli"])
def test_a_batch_export_is_read_from_parquet(codec: str) -> None:
    record = RECORD | {
        "timestamp": datetime(2024, 3, 1, 10, 0, 0, 123456, UTC), "properties": json.dumps(RECORD["properties"]),
        "person_id": ID, "person_properties": '{"plan": "pro"}', "elements_chain": 'a:href="/"',
    }  # fmt: skip
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([record], schema=EXPORT), sink, compression=codec)
    sink.seek(0)
    # That is what PostHog calls them: compressed inside.
    name = "events.parquet.zst" if codec == "zstd" else "events.parquet"
    (chunk,) = read_records(sink, detect(name), name)
    (event,) = load_dialect({"type": "posthog"}).stage(chunk, name).to_pylist()
    assert (event["source_id"], event["user_id"], event["timestamp"]) == (ID, "ann", record["timestamp"])
    assert json.loads(event["properties"]) == {
        "$current_url": "https://a.example/ü", "n": 1.5, "$groups": {"company": "acme"},
        "$elements_chain": 'a:href="/"',
    }  # fmt: skip
    assert event["set"] is event["set_once"] is event["anonymous_id"] is None


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("set", {"$set": {"plan": "pro", "age": 5}, "$set_once": {"first": 1}}),
        ("set_once", {"$set_once": {"plan": "pro", "age": 5, "first": 1}}),
        ("none", {}),
    ],
)
def test_person_properties_follow_the_policy_wherever_they_stand(policy: str, expected: dict[str, Any]) -> None:
    record = RECORD | {
        "properties": {"$set": {"plan": "basic", "age": 5}, "$set_once": {"first": 1}}, "$set": {"plan": "pro"},
    }  # fmt: skip
    (event,) = mapped(record, person_properties=policy)
    assert event["properties"] == MARKERS | expected


def test_deleting_person_properties_is_left_out_unless_it_is_asked_for() -> None:
    record = RECORD | {"properties": {"$unset": ["plan"]}}
    assert rows(record)[0]["properties"] == "{}"
    assert rows(record, keep_unset=True)[0]["properties"] == '{"$unset":["plan"]}'


@pytest.mark.parametrize(
    ("name", "properties"),
    [
        ("$identify", {"$anon_distinct_id": "device-1"}),
        ("$create_alias", {"alias": "device-1"}),
        ("$groupidentify", {"$group_type": "company", "$group_key": "acme", "$group_set": {"size": 5}}),
        ("$set", {}),
    ],
)
def test_events_about_people_and_groups_pass_under_their_own_names(name: str, properties: dict[str, Any]) -> None:
    (event,) = mapped(RECORD | {"event": name, "properties": properties | {"$set": {"plan": "pro"}}})
    assert (event["uuid"], event["event"], event["distinct_id"]) == (ID, name, "ann")
    assert event["properties"] == MARKERS | properties | {"$set_once": {"plan": "pro"}}


def test_the_markers_of_an_earlier_import_are_replaced() -> None:
    old = {
        "$import_job_id": "old", "$import_day": "2020-01-01", "$import_source_id": "7", "analytics_source": "amplitude",
        "historical_migration": True, "$geoip_disable": False,
    }  # fmt: skip
    (event,) = mapped(RECORD | {"properties": old})
    assert event["properties"] == MARKERS


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2024-03-01 10:00:00.000001", datetime(2024, 3, 1, 10, 0, 0, 1, UTC)),
        ("2024-03-01 10:00:00 UTC", datetime(2024, 3, 1, 10, tzinfo=UTC)),
        ("2024-03-01T12:00:00.5+02:00", datetime(2024, 3, 1, 10, 0, 0, 500_000, UTC)),
        (1709287200, datetime(2024, 3, 1, 10, tzinfo=UTC)),
        (1709287200123, datetime(2024, 3, 1, 10, 0, 0, 123_000, UTC)),
    ],
)
def test_times_read_in_every_form_posthog_writes(time: Any, expected: datetime) -> None:
    assert rows(RECORD | {"timestamp": time})[0]["timestamp"] == expected


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ({"distinct_id": 7}, "7"),
        ({"distinct_id": None, "$distinct_id": "bob"}, "bob"),
        ({"distinct_id": "", "properties": {"distinct_id": "eve"}}, "eve"),
    ],
)
def test_the_id_of_a_person_is_looked_for_where_sdks_put_it(ids: dict[str, Any], expected: str) -> None:
    assert rows(RECORD | ids)[0]["user_id"] == expected


def test_half_an_emoji_in_the_text_of_properties_does_not_reject_the_event() -> None:
    (row,) = rows(RECORD | {"properties": r'{"bio": "hi \ud83d"}'})
    assert json.loads(row["properties"]) == {"bio": "hi \ufffd"}


def test_an_event_without_a_uuid_gets_one_of_its_content() -> None:
    text, parsed = (
        {key: value for key, value in RECORD.items() if key != "uuid"} | {"properties": properties}
        for properties in (json.dumps(RECORD["properties"]), RECORD["properties"])
    )
    first, second = rows(text, parsed)
    assert first["source_id"].startswith("content:")
    assert first["source_id"] == second["source_id"]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (
            {"api_key": "phc_a", "batch": [RECORD]},
            "record is a whole request: write one event of its batch on each line",
        ),
        (RECORD | {"properties": '{"a":'}, "properties are no JSON: "),
        (RECORD | {"properties": "[1]"}, "properties are no object: [1]"),
        (RECORD | {"$set": "plan"}, "$set is no object: plan"),
        (RECORD | {"event": "$snapshot"}, "left out, a session recording is no event: $snapshot"),
        (RECORD | {"timestamp": None}, "timestamp is empty"),
        (
            RECORD | {"offset": 10**17, "now": "2024-03-01T10:00:00Z"},
            "record is not what posthog writes: OverflowError",
        ),
        (
            RECORD | {"offset": 1, "now": "0001-01-01T00:00:00+23:59"},
            "record is not what posthog writes: OverflowError: date value out of range",
        ),
        (RECORD | {"distinct_id": None}, "record has no id of a user or device: distinct_id"),
    ],
)
def test_what_cannot_be_an_event_says_why(record: dict[str, Any], reason: str) -> None:
    good, row = rows(RECORD, record)
    assert good["reject_reason"] is None
    assert row["reject_reason"].startswith(reason)


def test_events_of_posthogs_sdks_read_as_its_capture_service_took_them(real_data: Callable[[str], Path]) -> None:
    lines = real_data("posthog-recorded-requests.jsonl").read_text().splitlines()
    taken = [event for line in lines if line and not line.startswith("#") for event in json.loads(line)["output"]]
    records = [json.loads(event["data"]) | {"uuid": event["uuid"], "now": event["now"]} for event in taken]
    read = rows(*records)
    assert len(read) == 88
    assert {row["reject_reason"] for row in read} == {None}
    for row, record, event in zip(read, records, taken, strict=True):
        assert (row["source_id"], row["user_id"], row["event"]) == (
            event["uuid"],
            event["distinct_id"],
            record["event"],
        )
        ago = timedelta(milliseconds=record.get("offset", 0))
        stated = record["now"] if "offset" in record else record["timestamp"]
        assert row["timestamp"] == datetime.fromisoformat(stated) - ago
        given = record["properties"]
        assert json.loads(row["properties"]) == {
            key: value for key, value in given.items() if key not in ("$set", "$set_once")
        }
        assert json.loads(row["set"] or "{}") == given.get("$set", {}) | record.get("$set", {})


#: An SDK that tries again sends the event with another `sent_at`, and PostHog corrects its time by another skew.
FIRST = RECORD | {"properties": {"try": 1}, "created_at": "2024-03-01T10:00:02Z"}
AGAIN = FIRST | {
    "timestamp": "2024-03-01T10:00:00.120Z", "properties": {"try": 2}, "created_at": "2024-03-01T10:00:09Z",
}  # fmt: skip
REPLACED = "replaced by a newer version of the same event"


def day_of(*records: dict[str, Any], chunk: int = 3, **mapping: Any) -> tuple[dict[str, Any], dict[str, int]]:
    """Map records as a day; return what is sent, uuid -> what it was tried as, and how many are not, by reason."""
    found = [row | {"raw_line": number} for number, row in enumerate(rows(*records))]
    dialect = load_dialect({"type": "posthog"})
    with tempfile.TemporaryDirectory() as folder:
        events, report = map_rows(found, Path(folder), dialect=dialect, chunk=chunk, **mapping)
    assert report.rows == len(records)
    sent = [event for event in events if not event["reject_reason"]]
    assert len({event["uuid"] for event in sent}) == len(sent)
    return {event["uuid"]: json.loads(event["properties"])["try"] for event in sent}, report.reject_reasons


@pytest.mark.parametrize("steps", [[], [{"step": "drop", "names": ["nothing"]}]], ids=["no steps", "steps"])
def test_of_versions_that_posthog_has_not_merged_yet_the_newest_is_the_event(steps: list[dict[str, Any]]) -> None:
    older = FIRST | {
        "timestamp": "2024-03-01T23:59:59Z",
        "properties": {"try": 0},
        "created_at": "2024-03-01T09:00:00Z",
    }
    for records in itertools.permutations([older, FIRST, AGAIN]):
        assert day_of(*records, chunk=2, steps=steps) == ({ID: 2}, {REPLACED: 2})


def test_when_posthog_stored_a_version_says_more_than_when_it_took_it_in() -> None:
    stored = FIRST | {"_inserted_at": "2024-03-01T11:00:00Z"}
    assert day_of(AGAIN | {"_inserted_at": "2024-03-01T10:59:00Z"}, stored) == ({ID: 1}, {REPLACED: 1})


def test_of_versions_that_nobody_dated_the_one_of_the_later_time_is_the_event() -> None:
    first, again = ({key: value for key, value in one.items() if key != "created_at"} for one in (FIRST, AGAIN))
    assert day_of(first, again) == day_of(again, first) == ({ID: 1}, {REPLACED: 1})
    # And where that is the same, one of them, whatever the order.
    again["timestamp"] = first["timestamp"]
    assert day_of(first, again) == day_of(again, first)


@settings(max_examples=examples(60))
@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from("ab"), st.sampled_from([1, 23, 25])), max_size=12),
    st.randoms(use_true_random=False),
    st.integers(1, 5),
)
def test_of_any_versions_each_event_is_sent_once_as_its_newest(
    drawn: list[tuple[int, str, int]], chance: random.Random, chunk: int
) -> None:
    midnight = datetime(2024, 3, 1, tzinfo=UTC)
    records = [
        {
            "uuid": f"{ID[:-1]}{number}", "event": event, "distinct_id": "ann", "properties": {"try": order},
            "timestamp": (midnight + timedelta(hours=hour)).isoformat(),
            "created_at": (midnight + timedelta(seconds=order)).isoformat(),
        }
        for order, (number, event, hour) in enumerate(drawn)
    ]  # fmt: skip
    newest = {(number, event, hour // 24): order for order, (number, event, hour) in enumerate(drawn)}
    delivered = chance.sample(records, len(records))
    sent, reasons = day_of(*delivered, chunk=chunk)
    assert sorted(sent.values()) == sorted(newest.values())
    assert sum(reasons.values()) == len(records) - len(newest)
    assert (sent, reasons) == day_of(*records)
    assert {name for name in sent if name[:-1] == ID[:-1]} == {record["uuid"] for record in records}


def test_a_version_that_comes_twice_is_one_event_and_a_repetition() -> None:
    assert day_of(AGAIN, FIRST, AGAIN) == ({ID: 2}, {REPLACED: 1, "repeats an earlier record": 1})


@pytest.mark.parametrize(
    "change",
    [
        {"event": "$pageleave", "timestamp": "2024-03-01T10:00:01Z"},
        {"distinct_id": "bob", "timestamp": "2024-03-01T10:00:01Z"},
        {"timestamp": "2024-03-02T00:00:00Z"},
    ],
)
def test_events_of_one_uuid_that_posthog_keeps_apart_stay_apart(change: dict[str, str]) -> None:
    other, other_again = FIRST | {"properties": {"try": 3}} | change, AGAIN | {"properties": {"try": 4}} | change
    expected = day_of(FIRST, AGAIN, other, other_again)
    sent, reasons = expected
    assert (sent[ID], sorted(sent.values()), reasons) == (2, [2, 4], {REPLACED: 2})
    for records in itertools.permutations([FIRST, AGAIN, other, other_again]):
        assert day_of(*records) == expected


def test_events_that_only_the_mapping_makes_alike_are_no_versions() -> None:
    sent, reasons = day_of(FIRST, AGAIN | {"event": "other"}, events={"other": "$pageview"})
    assert (sorted(sent.values()), reasons) == ([1, 2], {})


def test_a_day_that_was_staged_by_an_older_version_goes_by_the_time_of_the_events() -> None:
    staged_before = staged(FIRST, AGAIN).drop_columns(["stored_at"])
    mapper = EventMapper(
        Mapping.model_validate({}), "copy", load_dialect({"type": "posthog"}), day=date(2024, 3, 1),
        fetched_at=datetime(2024, 3, 3, tzinfo=UTC),
    )  # fmt: skip
    written: list[pa.RecordBatch] = []
    with tempfile.TemporaryDirectory() as folder:
        sink = nullcontext(SimpleNamespace(write=written.append))
        map_day(lambda: [staged_before], mapper, lambda: sink, Path(folder), ordered=False)
    events = written[-1].to_pylist()
    assert [json.loads(event["properties"])["try"] for event in events if not event["reject_reason"]] == [1]
