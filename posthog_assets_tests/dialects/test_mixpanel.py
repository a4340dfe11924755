"""What Mixpanel's records become, field by field, as PostHog's own importer has it and where that one errs."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from posthog_assets.core.records import RecordChunk
from posthog_assets.core.rejection import Rejected
from posthog_assets.dialects.mixpanel import Mixpanel
from posthog_assets.mapping.uuids import uuids5

TIME = 1_709_287_200_123

WEB: dict[str, Any] = {
    "event": "$mp_web_page_view",
    "properties": {
        "time": TIME, "distinct_id": "ann", "$insert_id": "9bcdwarjbmlf3vsc", "$user_id": "ann",
        "$device_id": "18df-3f", "$browser": "Chrome", "$browser_version": 122, "$os": "Linux", "$city": "Köln",
        "$region": "North Rhine-Westphalia", "mp_country_code": "DE", "$current_url": "https://shop.example/p?a=1",
        "$referrer": "https://a.example/", "$initial_referrer": "$direct", "$initial_utm_source": "news",
        "current_domain": "shop.example", "current_url_path": "/p", "utm_source": "news", "plan": "pro",
        "$geo_source": "reverse_geocoding", "$mp_api_endpoint": "api-js.mixpanel.com", "$mp_api_timestamp_ms": TIME,
        "mp_processing_time_ms": TIME + 900, "$lib_version": "2.49.0",
    },
}  # fmt: skip


def stage(*records: Any, **options: Any) -> list[dict[str, Any]]:
    copies = [json.loads(json.dumps(record)) for record in records]
    return Mixpanel(**options).stage(RecordChunk(range(1, len(records) + 1), copies), "part").to_pylist()


def event(name: str = "Sign Up", /, **properties: Any) -> dict[str, Any]:
    """Return an event of ann; a property that is None is not there."""
    everything = {"time": TIME, "distinct_id": "ann", "$insert_id": "i-1"} | properties
    return {"event": name, "properties": {key: value for key, value in everything.items() if value is not None}}


def whose(**properties: Any) -> tuple[str | None, str | None, str | None]:
    (row,) = stage(event(**{name.replace("S_", "$"): value for name, value in properties.items()}))
    return row["kind"], row["user_id"], row["anonymous_id"]


def test_a_page_view_becomes_what_posthogs_own_importer_makes_of_it() -> None:
    (row,) = stage(WEB)
    assert json.loads(row.pop("properties")) == {
        "$browser": "Chrome", "$browser_version": 122, "$os": "Linux", "$current_url": "https://shop.example/p?a=1",
        "$referrer": "https://a.example/", "$initial_referrer": "$direct", "$initial_utm_source": "news",
        "utm_source": "news", "plan": "pro", "$lib_version": "2.49.0", "$geoip_city_name": "Köln",
        "$geoip_subdivision_1_name": "North Rhine-Westphalia", "$geoip_country_code": "DE",
        "$geoip_country_name": "Germany", "$mixpanel_user_id": "ann", "$mixpanel_device_id": "18df-3f",
        "$host": "shop.example", "$pathname": "/p",
    }  # fmt: skip
    # What that one also sets of browser, system and page PostHog takes from the event itself.
    assert json.loads(row.pop("set")) == {
        "$geoip_city_name": "Köln", "$geoip_subdivision_1_name": "North Rhine-Westphalia",
        "$geoip_country_code": "DE", "$geoip_country_name": "Germany",
    }  # fmt: skip
    assert json.loads(row.pop("set_once")) == {"$initial_referrer": "$direct", "$initial_utm_source": "news"}
    assert row == {
        "source_id": "9bcdwarjbmlf3vsc", "kind": "event", "event": "$pageview", "user_id": "ann",
        "anonymous_id": "$device:18df-3f", "timestamp": datetime(2024, 3, 1, 10, 0, 0, 123_000, tzinfo=UTC),
        "groups": None, "group_set": None, "raw_part": "part", "raw_line": 1, "reject_reason": None,
    }  # fmt: skip


def test_the_uuid_is_the_one_of_posthogs_own_importer() -> None:
    namespace = Mixpanel().uuid_namespace("any")
    assert namespace.bytes == b"posthog_mixpanel"
    assert uuids5(namespace, ["unique_insert_id_123"]).to_pylist() == [
        str(uuid.uuid5(uuid.UUID("706f7374-686f-675f-6d69-7870616e656c"), "unique_insert_id_123"))
    ]
    assert Mixpanel(namespace="apart").uuid_namespace("any") != namespace


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        # PostHog's importer reads these ids so.
        ({"distinct_id": "ann"}, ("event", "ann", None)),
        ({"distinct_id": None, "S_distinct_id_before_identity": "b"}, ("event", "b", None)),
        ({"distinct_id": "", "S_user_id": "ann", "S_device_id": "d"}, ("event", "ann", "$device:d")),
        ({"distinct_id": None, "S_device_id": "DEVICE-ABC"}, ("event", None, "DEVICE-ABC")),
        ({"distinct_id": "12345", "S_distinct_id_before_identity": "12345"}, ("event", "12345", None)),
        # The device's id, as its own events have it.
        ({"S_user_id": "ann", "S_device_id": "d"}, ("event", "ann", "$device:d")),
        ({"S_user_id": "ann", "S_device_id": "$device:d"}, ("event", "ann", "$device:d")),
        (
            {"S_user_id": "ann", "S_device_id": "d", "S_distinct_id_before_identity": "$device:d"},
            ("event", "ann", "$device:d"),
        ),
        ({"S_user_id": "ann", "S_device_id": "d", "S_distinct_id_before_identity": "d"}, ("event", "ann", "d")),
        (
            {"S_user_id": "ann", "S_device_id": "d", "S_distinct_id_before_identity": "bob"},
            ("event", "ann", "$device:d"),
        ),
        ({"S_user_id": "ann", "S_distinct_id_before_identity": "bob"}, ("event", "ann", "bob")),
        ({"distinct_id": 12345}, ("event", "12345", None)),
        ({"distinct_id": "$device:1f-2"}, ("event", None, "$device:1f-2")),
        # The id it stands under, and the other one that Mixpanel says is the same person.
        ({"distinct_id": "1A2B-3C4D", "S_distinct_id_before_identity": "ann"}, ("event", "ann", "1A2B-3C4D")),
        ({"distinct_id": "12345", "S_distinct_id_before_identity": "D-1"}, ("event", "12345", "D-1")),
        ({"distinct_id": "ann", "S_distinct_id_before_identity": "$device:1"}, ("event", "ann", "$device:1")),
        ({"distinct_id": "$device:1", "S_distinct_id_before_identity": "bob"}, ("event", "bob", "$device:1")),
        ({"distinct_id": "d", "S_device_id": "d", "S_user_id": "ann"}, ("anonymous", "ann", "d")),
        ({"distinct_id": "d", "S_device_id": "d", "S_distinct_id_before_identity": "ann"}, ("anonymous", "ann", "d")),
        (
            {"distinct_id": "18df-3f-1-2-3", "S_distinct_id_before_identity": "ann@shop.example"},
            ("anonymous", "ann@shop.example", "18df-3f-1-2-3"),
        ),
    ],
)  # fmt: skip
def test_whose_an_event_is(properties: dict[str, Any], expected: tuple[str, str | None, str | None]) -> None:
    assert whose(**properties) == expected


def test_devices_of_older_sdks_have_bare_ids_where_the_import_file_says_so() -> None:
    event_of_ann = event(**{"$user_id": "ann", "$device_id": "d"})
    identify = event("$identify", **{"$device_id": "d"})
    seen = event(**{"$user_id": "ann", "$device_id": "d", "$distinct_id_before_identity": "$device:d"})
    rows = stage(event_of_ann, identify, seen, device_ids="bare")
    assert [(row["user_id"], row["anonymous_id"]) for row in rows] == [("ann", "d"), ("ann", "d"), ("ann", "$device:d")]


def test_what_a_device_tracked_before_the_login_is_linked_to_its_user() -> None:
    # Simplified ID Merge.
    before = event(distinct_id="$device:abc", **{"$device_id": "abc"})
    after = event(**{"$user_id": "ann", "$device_id": "abc"})
    first, second = stage(before, after)
    assert (first["user_id"], first["anonymous_id"]) == (None, "$device:abc")
    assert (second["user_id"], second["anonymous_id"]) == ("ann", "$device:abc")


def test_an_event_can_stay_the_ids_it_was_tracked_with_however_often_it_is_exported() -> None:
    before = event(distinct_id="$device:1")
    after = event(**{"distinct_id": "ann", "$distinct_id_before_identity": "$device:1"})
    first, again = stage(before, after, identity="as_tracked")
    assert (first["kind"], first["user_id"], first["anonymous_id"]) == ("event", None, "$device:1")
    assert (again["kind"], again["user_id"], again["anonymous_id"]) == ("anonymous", "ann", "$device:1")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (event(distinct_id=None), "record has no id of a user or device: properties.distinct_id, properties."),
        (event(distinct_id=[1]), "distinct_id is neither text nor a whole number: [1]"),
        (event(**{"$insert_id": [1]}), "source id is neither text nor a whole number: [1]"),
        ({"event": "x"}, "properties are no object: None"),
        ({"event": "x", "properties": "[]"}, "properties are no object: []"),
        ({"error": "x"}, "properties are no object: None"),
        (event(""), "event name is empty"),
        ({"event": ["x"], "properties": {}}, "event name is no text: ['x']"),
        (event(time=None), "timestamp is empty"),
        (event(time="soon"), "timestamp cannot be read: 'soon'"),
        (event(time="9" * 5_000), "timestamp cannot be read: '9999"),
        (event("$mp_session_record"), "left out, it says that there is a replay, which Mixpanel does not export: "),
        (event("$merge", **{"$distinct_ids": ["a"]}), "$merge does not name two ids: ['a']"),
    ],
)
def test_what_cannot_be_an_event_says_why_and_leaves_the_others_alone(record: dict[str, Any], reason: str) -> None:
    row, good = stage(record, WEB)
    assert row["reject_reason"].startswith(reason)
    assert good["reject_reason"] is None


@pytest.mark.parametrize("insert_id", [None, "", "  "])
def test_a_record_without_an_insert_id_has_an_id_of_what_never_changes(insert_id: str | None) -> None:
    first = event(**{"$insert_id": insert_id, "distinct_id": "$device:1", "mp_processing_time_ms": 1})
    later = event(
        **{
            "$insert_id": insert_id, "distinct_id": "ann", "$distinct_id_before_identity": "$device:1",
            "mp_processing_time_ms": 2,
        }
    )  # fmt: skip
    other = event(**{"$insert_id": insert_id, "distinct_id": "$device:1", "n": 1})
    ids = [row["source_id"] for row in stage(first, later, other)]
    assert ids[0].startswith("content:")
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (1_709_287_200, "2024-03-01T10:00:00+00:00"),
        (1_709_287_200_123, "2024-03-01T10:00:00.123+00:00"),
        (1_709_287_200.5, "2024-03-01T10:00:00.500+00:00"),
        ("1709287200123", "2024-03-01T10:00:00.123+00:00"),
        ("2024-03-01 10:00:00.5", "2024-03-01T10:00:00.500+00:00"),
        (31_536_000_500, "1971-01-01T00:00:00.500+00:00"),
        ("31536000500", "1971-01-01T00:00:00.500+00:00"),
        ("1709287200.123", "2024-03-01T10:00:00.123+00:00"),
        ("1709287200123456789", "2024-03-01T10:00:00.123456+00:00"),
    ],
)
def test_times_keep_their_milliseconds(time: Any, expected: str) -> None:
    assert stage(event(time=time))[0]["timestamp"] == datetime.fromisoformat(expected)
    # Beside one of another kind.
    assert stage(event(time="2024-03-01T00:00:00Z"), event(time=time))[1]["timestamp"] == datetime.fromisoformat(
        expected
    )


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (1_625_140_800_250, "2021-07-01T19:00:00.250+00:00"),
        (1_638_360_000, "2021-12-01T20:00:00+00:00"),
        # Twice on that night's clocks, and never on that one's.
        (1_636_248_600, "2021-11-07T08:30:00+00:00"),
        (1_615_689_000, "2021-03-14T10:30:00+00:00"),
        ("2021-07-01T12:00:00Z", "2021-07-01T12:00:00+00:00"),
        # A number is what the clock showed, however it is written.
        ("1625140800.25", "2021-07-01T19:00:00.250+00:00"),
        ("1625140800250", "2021-07-01T19:00:00.250+00:00"),
        (1_625_140_800.25, "2021-07-01T19:00:00.250+00:00"),
    ],
)
def test_a_project_made_before_2023_exports_what_its_clocks_showed(time: Any, expected: str) -> None:
    first, row, bad = stage(event(), event(time=time), event(time="x"), timezone="America/Los_Angeles")
    assert row["timestamp"] == datetime.fromisoformat(expected)
    assert first["timestamp"] == datetime(2024, 3, 1, 18, 0, 0, 123_000, tzinfo=UTC)
    assert bad["reject_reason"] == "timestamp cannot be read: 'x'"


def test_a_time_zone_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="is no time zone; use a name such as Europe/Berlin or UTC"):
        Mixpanel(timezone="Mars")


@pytest.mark.parametrize(
    ("name", "properties", "expected"),
    [
        ("$identify", {"$identified_id": "ann", "$anon_id": "d", "distinct_id": "d"}, ("identify", "ann", "d")),
        (
            "$identify",
            {"$anon_distinct_id": "$device:1", "$user_id": "ann", "$device_id": "1"},
            ("identify", "ann", "$device:1"),
        ),
        (
            "$identify",
            {"distinct_id": "d", "$distinct_id_before_identity": "ann", "$device_id": "d"},
            ("identify", "ann", "d"),
        ),
        ("$identify", {"distinct_id": "ann", "$device_id": "d"}, ("identify", "ann", "$device:d")),
        ("$create_alias", {"distinct_id": "d", "alias": "ann"}, ("alias", "ann", "d")),
        ("$merge", {"$distinct_ids": ["ann", "bob"]}, ("alias", "ann", "bob")),
        ("$merge", {"$distinct_ids": ["$device:1", "ann"]}, ("alias", "ann", "$device:1")),
        ("$merge", {"$distinct_ids": ["d", 7], "$device_id": "d", "distinct_id": None}, ("alias", "7", "d")),
    ],
)
def test_calls_that_link_ids_are_calls(name: str, properties: dict[str, Any], expected: tuple[str, str, str]) -> None:
    (row,) = stage(event(name, **properties))
    assert (row["kind"], row["user_id"], row["anonymous_id"]) == expected
    assert "$anon_distinct_id" not in json.loads(row["properties"])


def test_a_property_that_is_a_group_key_in_mixpanel_can_be_one_in_posthog() -> None:
    # As set_group writes it.
    (row,) = stage(event(company_id=["acme", "globex"]), groups={"company": {"column": "company_id"}})
    assert json.loads(row["groups"]) == {"company": "acme"}
    assert json.loads(row["properties"])["company_id"] == ["acme", "globex"]


def test_a_json_pipelines_record_reads_like_the_raw_exports() -> None:
    record = {
        "event_name": "Sign Up", "distinct_id": "ann", "insert_id": "i-1", "device_id": "d", "user_id": "ann",
        "time": "2024-03-01 10:00:00.123 UTC", "properties": {"plan": "pro", "$browser": "Firefox"},
    }  # fmt: skip
    properties = {"$user_id": "ann", "$device_id": "d", "plan": "pro", "$browser": "Firefox"}
    raw, piped = stage(event(**properties), record)
    for row in (raw, piped):
        row["properties"] = json.loads(row["properties"])
        del row["raw_line"]
    assert raw == piped


def test_a_profile_is_a_distinct_id_and_person_properties() -> None:
    record = {
        "$distinct_id": "ann",
        "$properties": {
            "$email": "ann@shop.example", "$name": "Ann", "$first_name": "Ann", "$last_name": "Lee", "$phone": "+49",
            "$avatar": "https://a.example/ann.png", "$created": "2020-01-01T00:00:00", "$city": "Köln",
            "$region": "NRW", "$country_code": "DE", "$timezone": "Europe/Berlin", "plan": "pro", "gone": None,
            "$last_seen": "2024-03-01T10:00:00",
        },
    }  # fmt: skip
    assert Mixpanel().profile(record) == (
        "ann",
        {
            "email": "ann@shop.example", "name": "Ann", "first_name": "Ann", "last_name": "Lee", "phone": "+49",
            "avatar": "https://a.example/ann.png", "created_at": "2020-01-01T00:00:00", "$geoip_city_name": "Köln",
            "$geoip_subdivision_1_name": "NRW", "$geoip_country_code": "DE", "$geoip_country_name": "Germany",
            "$geoip_time_zone": "Europe/Berlin", "plan": "pro", "$last_seen": "2024-03-01T10:00:00",
        },
    )  # fmt: skip
    assert Mixpanel().profile({"distinct_id": 7, "properties": {"$name": "Bob"}}) == ("7", {"name": "Bob"})


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"$properties": {}}, "profile has no id"),
        ({"$distinct_id": "a", "$properties": 1}, "properties are no object: 1"),
    ],
)
def test_a_profile_of_nobody_is_rejected(record: dict[str, Any], reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        Mixpanel().profile(record)


@pytest.mark.parametrize("field", ["$user_id", "$device_id", "$distinct_id_before_identity"])
def test_an_id_that_is_none_counts_as_absent_beside_a_good_one(field: str) -> None:
    record = event(distinct_id="ann", **{field: [1]})
    (row,) = stage(record)
    assert (row["user_id"] or row["anonymous_id"], row["reject_reason"]) == ("ann", None)
