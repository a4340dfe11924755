"""The machinery of vendors' dialects, with a small vendor of the tests' own."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from posthog_assets.core.records import RecordChunk, Unreadable
from posthog_assets.core.rejection import Rejected
from posthog_assets.dialects.base import content_id
from posthog_assets.dialects.reading import Reading
from posthog_assets.dialects.record import Record
from posthog_assets.dialects.vendor import Vendor


class Acme(Vendor):
    """Everything a table can say."""

    type: str = "acme"
    event = "name"
    source_id = ("id",)
    user_id = ("user.id", "uid")
    anonymous_id = ("device",)
    timestamp = ("at", "received_at")
    names = {"Page": "$pageview"}
    left_out = {"session": "PostHog makes sessions itself"}
    properties = {"page.url": "$current_url", "page.title": "title", "ip": "$ip"}
    spread = ("properties",)
    renames = {"Path": "$pathname"}
    dropped = frozenset({"internal"})
    person_set = {"user.plan": "plan"}
    person_set_once = {"user.source": "$initial_utm_source"}
    nothing = frozenset({"", "EMPTY"})

    def read(self, record: Record) -> Reading:
        if record.get("name") == "fraud":
            raise Rejected("fraud: never imported")
        reading = super().read(record)
        reading.groups = {"company": record["company"]} if "company" in record else {}
        return reading


RECORD: dict[str, Any] = {
    "id": 7, "name": "Page", "user": {"id": "ann", "plan": "pro", "source": "EMPTY"}, "device": "d-1",
    "at": "2024-03-01T10:00:00Z", "page": {"url": "https://a.example/", "title": ""}, "ip": "1.2.3.4",
    "properties": {"Path": "/", "internal": 1, "n": 5}, "company": "5",
}  # fmt: skip


def stage(*records: Any, **options: Any) -> list[dict[str, Any]]:
    copies = [json.loads(json.dumps(record)) if isinstance(record, dict) else record for record in records]
    return Acme(**options).stage(RecordChunk(range(1, len(records) + 1), copies), "part").to_pylist()


def test_tables_say_what_a_record_becomes() -> None:
    (row,) = stage(RECORD)
    assert row == {
        "source_id": "7",
        "kind": "event",
        "event": "$pageview",
        "user_id": "ann",
        "anonymous_id": "d-1",
        "timestamp": datetime(2024, 3, 1, 10, tzinfo=UTC),
        "properties": '{"$ip":"1.2.3.4","$current_url":"https://a.example/","n":5,"$pathname":"/"}',
        "set": '{"plan":"pro"}',
        "set_once": None,
        "groups": '{"company":"5"}',
        "group_set": None,
        "raw_part": "part",
        "raw_line": 1,
        "reject_reason": None,
    }


def test_the_first_field_with_a_value_counts() -> None:
    (row,) = stage(RECORD | {"user": {}, "uid": "bob", "at": "", "received_at": "2024-03-02T00:00:00Z"})
    assert (row["user_id"], row["timestamp"]) == ("bob", datetime(2024, 3, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Unreadable("line is no JSON"), "line is no JSON"),
        (RECORD | {"name": "session"}, "left out, PostHog makes sessions itself: session"),
        (RECORD | {"name": " "}, "event name is empty"),
        (RECORD | {"name": 5}, "event name is no text: 5"),
        (RECORD | {"name": "fraud"}, "fraud: never imported"),
        (RECORD | {"at": "yesterday"}, "timestamp cannot be read: 'yesterday'"),
        (RECORD | {"at": None}, "timestamp is empty"),
        (RECORD | {"user": {"id": True}, "device": 1.5}, "user id is neither text nor a whole number: True"),
        ({"name": "x", "at": "2024-03-01T10:00:00Z"}, "record has no id of a user or device: user.id, uid, device"),
        (RECORD | {"properties": [1]}, "properties are no object: [1]"),
    ],
)
def test_a_record_that_cannot_be_read_is_a_row_with_its_reason_and_nothing_else(record: Any, reason: str) -> None:
    good, row, after = stage(RECORD, record, RECORD)
    assert row["reject_reason"] == reason
    assert {name for name, value in row.items() if value is not None} == {"raw_part", "raw_line", "reject_reason"}
    assert good["reject_reason"] is None
    assert (after["raw_line"], after["event"]) == (3, "$pageview")


def test_properties_can_name_the_groups_of_an_event() -> None:
    groups = {"project": {"column": "project.id"}, "company": {"column": "firm"}, "team": {"column": "team"}}
    record = RECORD | {"properties": {"project": {"id": 12.0}, "firm": "acme", "team": " "}}
    (row,) = stage(record, groups=groups)
    # The import file wins over what the vendor says.
    assert json.loads(row["groups"]) == {"company": "acme", "project": "12"}
    assert json.loads(row["properties"])["firm"] == "acme"
    (row,) = stage(RECORD, groups=groups)
    assert json.loads(row["groups"]) == {"company": "5"}
    (row,) = stage(RECORD | {"properties": {"team": {"id": 1}}}, groups=groups)
    assert row["reject_reason"] == "key of group team is neither text nor a whole number: {'id': 1}"


def test_a_call_of_a_group_is_of_that_group_alone() -> None:
    class Calling(Acme):
        def read(self, record: Record) -> Reading:
            reading = super().read(record)
            reading.kind = "group"
            return reading

    dialect = Calling(groups={"team": {"column": "n"}})
    (row,) = dialect.stage(RecordChunk([1], [json.loads(json.dumps(RECORD))]), "part").to_pylist()
    assert json.loads(row["groups"]) == {"company": "5"}


def test_an_event_the_dialect_leaves_out_can_be_kept() -> None:
    (row,) = stage(RECORD | {"name": "session"}, keep=["session"])
    assert (row["event"], row["reject_reason"]) == ("session", None)


def test_a_person_property_is_set_or_set_once_and_not_both() -> None:
    class Both(Acme):
        person_set_once = {"user.source": "$initial_utm_source", "user.plan": "plan"}

    record = json.loads(json.dumps(RECORD | {"user": {"id": "ann", "plan": "pro"}}))
    (row,) = Both().stage(RecordChunk([1], [record]), "part").to_pylist()
    assert (row["set"], row["set_once"]) == (None, '{"plan":"pro"}')


def test_a_record_without_an_id_gets_one_of_its_content() -> None:
    record = {key: value for key, value in RECORD.items() if key != "id"}
    turned = dict(reversed(record.items()))
    first, same, other, blank = stage(record, turned, record | {"ip": "5.6.7.8"}, record | {"id": " "})
    assert blank["source_id"].startswith("content:")
    assert first["source_id"].startswith("content:")
    assert first["source_id"] == same["source_id"] != other["source_id"]


def test_a_dialect_that_makes_ids_and_makes_none_rejects_the_record() -> None:
    class Making(Acme):
        makes_ids = True

    (row,) = Making().stage(RecordChunk([1], [json.loads(json.dumps(RECORD | {"id": " "}))]), "part").to_pylist()
    assert row["reject_reason"] == "record has no id of its own"


def test_the_times_of_rejected_records_are_not_read_and_the_others_keep_theirs() -> None:
    asked: list[list[Any]] = []

    class Noting(Acme):
        def instants(self, values: list[Any]) -> tuple[pa.Array, dict[int, str]]:
            asked.append(values)
            return super().instants(values)

    def at(text: str, **more: Any) -> Record:
        return RECORD | {"at": text} | more

    records: list[Any] = [
        Unreadable("cut off"), at("2024-03-01T10:00:00Z"), at("2024-03-01T11:00:00Z", name="session"), at("noon"),
        at("2024-03-01T12:00:00Z"),
    ]  # fmt: skip
    rows = Noting().stage(RecordChunk(range(1, 6), records), "part").to_pylist()
    assert asked == [["2024-03-01T10:00:00Z", "noon", "2024-03-01T12:00:00Z"]]
    assert [row["timestamp"] and row["timestamp"].hour for row in rows] == [None, 10, None, None, 12]
    assert [row["reject_reason"] and row["reject_reason"].split(":")[0] for row in rows] == [
        "cut off", None, "left out, PostHog makes sessions itself", "timestamp cannot be read", None,
    ]  # fmt: skip
    (row,) = Noting().stage(RecordChunk([1], [Unreadable("cut off")]), "part").to_pylist()
    assert (row["timestamp"], row["reject_reason"], len(asked)) == (None, "cut off", 1)


def test_values_orjson_does_not_know_are_written_as_text() -> None:
    row = Acme().stage(
        RecordChunk([1], [RECORD | {"properties": {"day": {1: datetime(2024, 3, 1, tzinfo=UTC)}}}]), "part"
    )
    assert json.loads(row.to_pylist()[0]["properties"])["day"] == {"1": "2024-03-01T00:00:00+00:00"}


@pytest.mark.parametrize(
    ("number", "as_text", "as_number"),
    [
        (2**53, 2**53, 2**53),
        (2**53 + 1, "9007199254740993", 9007199254740993),
        (-(2**53) - 1, "-9007199254740993", -9007199254740993),
        (2**64 - 1, "18446744073709551615", 18446744073709551615),
        (2**64, "18446744073709551616", "18446744073709551616"),
        (10**40, "1" + "0" * 40, "1" + "0" * 40),
    ],
)
def test_a_whole_number_that_javascript_rounds_is_text_unless_it_is_wanted_as_a_number(
    number: int, as_text: Any, as_number: Any
) -> None:
    # Without JSON: the records' numbers are as a format reads them.
    for option, expected in (("text", as_text), ("number", as_number)):
        record = RECORD | {"properties": {"n": number, "deep": [{"n": number}]}, "user": {"id": "ann", "plan": number}}
        (row,) = Acme(big_numbers=option).stage(RecordChunk([1], [record]), "part").to_pylist()
        assert json.loads(row["properties"])["n"] == expected
        assert json.loads(row["properties"])["deep"] == [{"n": expected}]
        assert json.loads(row["set"]) == {"plan": expected}


def test_ids_of_any_length_keep_their_digits() -> None:
    record = RECORD | {"id": 10**30 + 1, "user": {"id": 2**64 + 1}, "device": 2**70}
    (row,) = Acme().stage(RecordChunk([1], [record]), "part").to_pylist()
    assert (row["source_id"], row["user_id"]) == ("1000000000000000000000000000001", "18446744073709551617")
    assert row["anonymous_id"] == "1180591620717411303424"


def test_the_id_made_of_content_is_what_it_was_when_large_numbers_were_rounded() -> None:
    assert content_id({"n": 2**64}) == content_id({"n": 1.8446744073709552e19})
    assert content_id({"n": 2**64 - 1}) != content_id({"n": 1.8446744073709552e19})


class Flat(Vendor):
    """A vendor whose records are flat."""

    type: str = "flat"
    names = {"Page": "$pageview"}
    renames = {"Path": "$pathname"}
    dropped = frozenset({"internal"})
    nothing = frozenset({"", "EMPTY"})


def test_members_of_a_flat_record_become_properties_where_they_have_a_value() -> None:
    into: Record = {"n": 1}
    Flat().take({"Path": "/", "internal": 1, "n": 0, "a": None, "b": "EMPTY", "c": "", "d": [], "e": False}, into)
    assert into == {"n": 0, "$pathname": "/", "d": [], "e": False}


def test_an_event_that_is_kept_keeps_its_own_name() -> None:
    assert Flat().named("Page") == "$pageview"
    assert Flat(keep=["Page"]).named("Page") == "Page"
