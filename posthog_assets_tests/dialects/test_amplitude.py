"""What an Amplitude record becomes, field by field."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.core.records import RecordChunk
from posthog_assets.dialects.amplitude import Amplitude
from posthog_assets.mapping import EventMapper, Mapping
from posthog_assets_tests.dialects.staging import stage_one
from posthog_assets_tests.examples import examples

AMPLITUDE = {"type": "amplitude"}

WEB: dict[str, Any] = {
    "uuid": "11D4B1E0-D7C0-11EE-8000-0A58A9FEAC02", "$insert_id": "5f0adeff", "$insert_key": None, "$schema": 12,
    "amplitude_id": 12345678901, "app": 123456, "event_type": "[Amplitude] Page Viewed", "event_id": 7,
    "event_time": "2024-03-01 10:20:30.123456", "client_event_time": "2024-03-01 10:20:29.000000",
    "client_upload_time": "2024-03-01 10:20:31.000000", "server_received_time": "2024-03-01 10:20:32.000000",
    "server_upload_time": "2024-03-01 10:20:33.000000", "processed_time": "2024-03-01 10:20:35.000000",
    "user_id": "ann", "device_id": "d-1", "session_id": 1709288400000, "platform": "Web", "os_name": "Chrome",
    "os_version": "122", "device_type": "Mac", "device_family": "Mac", "device_model": None, "language": "German",
    "library": "amplitude-ts/2.5.0", "ip_address": "10.1.2.3", "city": "Köln", "region": "NRW", "country": "Germany",
    "location_lat": 50.9, "location_lng": 6.9, "dma": "", "paying": True, "version_name": None, "adid": None,
    "user_creation_time": "2023-01-02 03:04:05.000000", "data": {"path": "/2/httpapi", "first_event": True},
    "event_properties": {
        "[Amplitude] Page URL": "https://shop.example/a", "[Amplitude] Page Location": "https://shop.example/a?b=1",
        "[Amplitude] Page Domain": "shop.example", "[Amplitude] Page Path": "/a", "[Amplitude] Viewport Height": 700,
        "[Amplitude] Viewport Width": 1200, "referrer": "https://s.example/", "referring_domain": "s.example",
        "price": 5, "nothing": None,
    },
    "user_properties": {
        "plan": "pro", "initial_referrer": "EMPTY", "initial_utm_source": "mail", "initial_country": "DE", "gone": None,
    },
    "groups": {"company": ["acme", "globex"], "team": ["red"], "none": []},
    "group_properties": {"company": {"acme": {"seats": 5}, "globex": {}}, "team": {}},
}  # fmt: skip


def stage(*records: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    return staged(*records, **options).to_pylist()


def staged(*records: dict[str, Any], **options: Any) -> pa.RecordBatch:
    copies = [json.loads(json.dumps(record)) for record in records]
    return Amplitude(**options).stage(RecordChunk(range(1, len(records) + 1), copies), "part")


def posthog(*records: dict[str, Any], **mapping: Any) -> list[dict[str, Any]]:
    fetched = datetime(2024, 3, 5, tzinfo=UTC)
    wish = Mapping.model_validate(mapping)
    mapper = EventMapper(wish, "shop", Amplitude(), day=date(2024, 3, 1), fetched_at=fetched)
    rows = mapper.map(staged(*records)).to_pylist()
    return [row | {"properties": json.loads(row["properties"])} for row in rows]


def properties(**changes: Any) -> dict[str, Any]:
    (row,) = stage(WEB | changes)
    assert row["reject_reason"] is None
    return json.loads(row["properties"])


def test_a_record_of_the_web() -> None:
    (row,) = stage(WEB)
    told = json.loads(row.pop("properties"))
    assert {name: json.loads(row.pop(name)) for name in ("set", "set_once", "groups", "group_set")} == {
        "set": {
            "$geoip_city_name": "Köln", "$geoip_subdivision_1_name": "NRW", "$geoip_country_name": "Germany",
            "plan": "pro",
        },
        "set_once": {
            "$amplitude_user_creation_time": "2023-01-02 03:04:05.000000", "$initial_utm_source": "mail",
            "initial_country": "DE",
        },
        "groups": {"company": "acme", "team": "red"},
        "group_set": {"company": {"acme": {"seats": 5}}},
    }  # fmt: skip
    assert row == {
        "source_id": "11D4B1E0-D7C0-11EE-8000-0A58A9FEAC02",
        "kind": "event",
        "event": "$pageview",
        "user_id": "ann",
        "anonymous_id": "d-1",
        "timestamp": datetime(2024, 3, 1, 10, 20, 30, 123456, tzinfo=UTC),
        "raw_part": "part",
        "raw_line": 1,
        "reject_reason": None,
    }
    assert told == WEB["event_properties"] | {
        "$amplitude_user_id": "ann", "$amplitude_device_id": "d-1", "$device_id": "d-1", "$amplitude_id": 12345678901,
        "$amplitude_event_id": 7, "$amplitude_session_id": 1709288400000, "$amplitude_first_event": True,
        "$current_url": "https://shop.example/a", "$host": "shop.example", "$pathname": "/a", "$viewport_height": 700,
        "$viewport_width": 1200, "$referrer": "https://s.example/", "$referring_domain": "s.example",
        "$ip": "10.1.2.3", "$geoip_city_name": "Köln", "$geoip_subdivision_1_name": "NRW",
        "$geoip_country_name": "Germany", "$geoip_latitude": 50.9, "$geoip_longitude": 6.9,
        "$amplitude_language": "German", "$amplitude_library": "amplitude-ts/2.5.0", "$amplitude_paying": True,
        "$amplitude_platform": "Web", "$amplitude_device_type": "Mac", "$amplitude_device_family": "Mac",
        "$browser": "Chrome", "$browser_version": 122, "$os": "Mac OS X", "$device_type": "Desktop",
        "$amplitude_groups": WEB["groups"],
    }  # fmt: skip


def test_it_is_one_event_with_amplitudes_own_uuid_in_posthog() -> None:
    (row,) = posthog(WEB)
    assert (row["uuid"], row["event"], row["distinct_id"]) == (
        "11d4b1e0-d7c0-11ee-8000-0a58a9feac02",
        "$pageview",
        "ann",
    )
    assert row["properties"]["$groups"] == {"company": "acme", "team": "red"}
    assert row["properties"]["$set_once"]["plan"] == "pro"
    assert "$session_id" not in row["properties"]
    assert posthog(WEB, person_properties="set")[0]["properties"]["$set"]["plan"] == "pro"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("Web", "Firefox", "123.0", "Windows", "Windows"),
         {"$browser": "Firefox", "$browser_version": "123.0", "$os": "Windows", "$device_type": "Desktop"}),
        (("Web", "Mobile Safari", "17", "Apple iPhone", "Apple iPhone"),
         {"$browser": "Mobile Safari", "$browser_version": 17, "$os": "iOS", "$device_type": "Mobile"}),
        (("Web", "Chrome Mobile", "120", "Samsung Galaxy S9", "Android"),
         {"$browser": "Chrome Mobile", "$browser_version": 120, "$os": "Android", "$device_type": "Mobile"}),
        (("iOS", "ios", "17.4", "Apple iPad", "Apple iPad"),
         {"$os": "iOS", "$os_version": "17.4", "$device_type": "Tablet"}),
        (("Android", "android", "14", "Google Pixel 8", "Google Phone"),
         {"$os": "Android", "$os_version": "14", "$device_type": "Mobile"}),
        (("iOS", None, None, None, None), {"$os": "iOS", "$device_type": "Mobile"}),
        ((None, "Safari", "16", "Mac", None),
         {"$browser": "Safari", "$browser_version": 16, "$os": "Mac OS X", "$device_type": "Desktop"}),
        (("Roku", "Roku OS", "11", None, None), {"$os": "Roku OS", "$os_version": "11"}),
        ((None, None, None, None, None), {}),
    ],
)  # fmt: skip
def test_what_os_name_means_depends_on_the_platform(fields: tuple[Any, ...], expected: dict[str, Any]) -> None:
    names = ("platform", "os_name", "os_version", "device_type", "device_family")
    told = properties(**dict(zip(names, fields, strict=True)))
    known = ("$browser", "$browser_version", "$os", "$os_version", "$device_type")
    assert {name: told[name] for name in known if name in told} == expected


def test_a_phone_says_its_model_and_its_app() -> None:
    told = properties(
        platform="iOS", os_name="ios", device_model="iPhone15,2", device_manufacturer="Apple", version_name="7.1",
        device_carrier="Telekom", device_brand="Apple",
    )  # fmt: skip
    assert (told["$device_model"], told["$device_manufacturer"], told["$app_version"], told["$network_carrier"]) == (
        "iPhone15,2", "Apple", "7.1", "Telekom",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "event", "kind"),
    [
        ("[Amplitude] Element Clicked", "$autocapture", "click"),
        ("[Amplitude] Element Changed", "$autocapture", "change"),
        ("buy", "buy", None),
    ],
)
def test_events_have_posthogs_names_where_it_has_some(sent: str, event: str, kind: str | None) -> None:
    (row,) = stage(WEB | {"event_type": sent})
    assert (row["event"], json.loads(row["properties"]).get("$event_type")) == (event, kind)


def test_a_session_end_is_left_out_as_its_start_is() -> None:
    (row,) = stage(WEB | {"event_type": "session_end"})
    assert row["reject_reason"] == "left out, Amplitude's mark of a session, no event of the user: session_end"


def test_a_session_start_is_counted_and_left_out_unless_it_is_kept() -> None:
    session = WEB | {"event_type": "session_start"}
    (row,) = stage(session)
    assert row["reject_reason"] == "left out, Amplitude's mark of a session, no event of the user: session_start"
    (row,) = stage(session, keep=["session_start"])
    assert row["event"] == "session_start"


@pytest.mark.parametrize(
    ("changes", "moment"),
    [
        ({}, "10:20:30.123456"),
        ({"event_time": None}, "10:20:29.000000"),
        ({"event_time": "", "client_event_time": None}, "10:20:32.000000"),
        ({"event_time": None, "client_event_time": None, "server_received_time": None}, "10:20:33.000000"),
        ({"event_time": "2024-03-01 10:20:30"}, "10:20:30.000000"),
    ],
)
def test_the_first_clock_that_says_something_counts(changes: dict[str, Any], moment: str) -> None:
    (row,) = stage(WEB | changes)
    assert row["timestamp"] == datetime.fromisoformat(f"2024-03-01T{moment}+00:00")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (dict.fromkeys(Amplitude.timestamp, "soon"), "timestamp cannot be read: 'soon'"),
        (dict.fromkeys(Amplitude.timestamp), "timestamp is empty"),
        ({"user_id": None, "device_id": ""}, "record has no id of a user or device: user_id, device_id"),
        ({"event_type": None}, "event name is empty"),
        ({"uuid": ["a"]}, "uuid is neither text nor a whole number: ['a']"),
        ({"event_properties": "x"}, "properties are no object: x"),
        ({"user_properties": [1]}, "user_properties are no object: [1]"),
        ({"groups": [1]}, "groups are no object: [1]"),
        ({"group_properties": 1}, "group_properties are no object: 1"),
        ({"os_name": {"a": 1}}, "record is not what amplitude writes: TypeError: unhashable type: 'dict'"),
    ],
)
def test_a_record_that_is_none_is_rejected_and_nothing_is_made_up(changes: dict[str, Any], reason: str) -> None:
    (row,) = stage(WEB | changes)
    assert row["reject_reason"] == reason


def test_without_a_uuid_device_and_insert_id_or_the_content_stand_for_the_record() -> None:
    by_insert_id = {name: value for name, value in WEB.items() if name != "uuid"}
    by_content = by_insert_id | {"$insert_id": None}
    assert stage(by_insert_id | {"$insert_id": " "})[0]["source_id"].startswith("content:")
    first, again, second = posthog(by_insert_id, by_insert_id | {"event_id": 8}, by_content)
    namespace = uuid.uuid5(uuid.UUID("6f1d8c9e-4f0b-5c8a-9f6e-2f6f3b1a7d42"), "shop")
    assert first["uuid"] == again["uuid"] == str(uuid.uuid5(namespace, '["d-1","5f0adeff"]'))
    assert second["source_id"].startswith("content:")
    assert [row["uuid"] for row in posthog(by_content)] == [second["uuid"]]
    assert [row["uuid"] for row in posthog(WEB | {"uuid": " "})] == [first["uuid"]]


def test_a_session_or_group_that_is_none_leaves_no_trace() -> None:
    told = properties(session_id=-1, groups={"company": "acme", "team": [7]}, group_properties={})
    assert not {"$amplitude_session_id", "$amplitude_groups", "$amplitude_group_properties"} & told.keys()
    (row,) = stage(WEB | {"groups": {"company": "acme", "team": [7]}})
    assert properties(group_properties={"company": [5], "team": None})["$amplitude_group_properties"] == {
        "company": [5]
    }
    assert json.loads(row["groups"]) == {"company": "acme", "team": "7"}


def test_identify_and_group_identify_are_posthogs_calls() -> None:
    identify, group = posthog(
        WEB | {"event_type": "$identify"},
        WEB | {"event_type": "$groupidentify", "user_id": None, "groups": {"company": ["acme"]}},
    )
    assert (identify["event"], identify["properties"]["$anon_distinct_id"]) == ("$identify", "d-1")
    assert identify["properties"]["$set_once"]["plan"] == "pro"
    assert (group["event"], group["distinct_id"]) == ("$groupidentify", "d-1")
    assert [group["properties"][name] for name in ("$group_type", "$group_key", "$group_set")] == [
        "company", "acme", {"seats": 5},
    ]  # fmt: skip
    # A group's call says nothing of a person; what the record does say is kept.
    assert group["properties"]["$amplitude_user_properties"]["plan"] == "pro"
    assert not {"$set", "$set_once"} & group["properties"].keys()


@pytest.mark.parametrize(
    ("groups", "told", "call", "derived"),
    [
        ({"c": ["a", "b"]}, {"c": {"a": {"p": 1}, "b": {"p": 2}}}, ("c", "a", {"p": 1}), {"c": {"b": {"p": 2}}}),
        ({"c": ["a", "b"]}, {"c": {"b": {"p": 2}}}, ("c", "a", {}), {"c": {"b": {"p": 2}}}),
        (
            {"c": "a", "d": "x"},
            {"c": {"a": {"p": 1}}, "d": {"x": {"q": 2}}},
            ("c", "a", {"p": 1}),
            {"d": {"x": {"q": 2}}},
        ),
        ({"c": "a", "d": "x"}, {"d": {"x": {"q": 2}}}, ("c", "a", {}), {"d": {"x": {"q": 2}}}),
        ({"c": "a"}, {"d": {"x": {"q": 2}}}, ("c", "a", {}), {"d": {"x": {"q": 2}}}),
        ({"c": "a"}, {}, ("c", "a", {}), None),
        ({}, {"d": {"x": {"q": 2}, "y": {"q": 3}}}, ("d", "x", {"q": 2}), {"d": {"y": {"q": 3}}}),
    ],
)
def test_a_group_call_is_the_first_groups_and_what_it_tells_of_others_is_derived(
    groups: Any, told: Any, call: tuple[str, str, Any], derived: Any
) -> None:
    record = WEB | {"event_type": "$groupidentify", "groups": groups, "group_properties": told}
    (row,) = stage(record)
    assert json.loads(row["group_set"] or "null") == derived
    (event,) = posthog(record)
    assert event["reject_reason"] is None
    assert tuple(event["properties"][name] for name in ("$group_type", "$group_key", "$group_set")) == call
    if len(groups) > 1:
        assert event["properties"]["$amplitude_groups"] == groups


def test_a_group_call_without_a_group_is_rejected() -> None:
    (event,) = posthog(WEB | {"event_type": "$groupidentify", "groups": {}, "group_properties": {}})
    assert event["reject_reason"] == "group call does not name one group"


def test_a_merge_of_two_amplitude_ids_is_kept_as_a_property() -> None:
    assert properties(data={"merged_amplitude_id": 99})["$amplitude_merged_amplitude_id"] == 99


def test_two_stagings_give_the_same_bytes() -> None:
    assert staged(WEB, WEB | {"os_version": 122}).equals(staged(WEB, WEB | {"os_version": 122}))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5) | st.sampled_from(["EMPTY", "Web", " ", "$identify", "2024-03-01 10:00:00"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5) | st.just("initial_x"), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(sorted(WEB)), ANYTHING, max_size=4), min_size=1, max_size=4))
def test_whatever_a_field_holds_the_record_is_an_event_or_a_rejected_row(changes: list[dict[str, Any]]) -> None:
    rows = stage(*[WEB | change for change in changes])
    assert len(rows) == len(changes)
    mapped = posthog(*[WEB | c for c, row in zip(changes, rows, strict=True) if row["reject_reason"] is None])
    for row in mapped:
        assert uuid.UUID(row["uuid"])


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Windows", {"$os": "Windows", "$os_version": "122"}),
        ("Windows 10", {"$os": "Windows", "$os_version": "122"}),
        ("Mac OS X", {"$os": "Mac OS X", "$os_version": "122"}),
        ("Ubuntu", {"$os": "Linux", "$os_version": "122"}),
        ("Chrome OS", {"$os": "Chrome OS", "$os_version": "122"}),
        ("Android Browser", {"$browser": "Android Browser", "$browser_version": 122, "$os": "Mac OS X"}),
        ("Chromium", {"$browser": "Chromium", "$browser_version": 122, "$os": "Mac OS X"}),
    ],
)
def test_a_system_in_the_browsers_place_is_the_system(name: str, found: dict[str, Any]) -> None:
    properties = stage_one(AMPLITUDE, WEB | {"os_name": name})["properties"]
    names = ("$os", "$os_version", "$browser", "$browser_version")
    assert {name: properties[name] for name in names if name in properties} == found


@pytest.mark.parametrize(("version", "text"), [("86", "86"), ("14.5", "14.5"), (86, "86"), (14.5, "14.5")])
def test_versions_are_text_in_edition_2(version: Any, text: str) -> None:
    properties = stage_one(AMPLITUDE | {"edition": 2}, WEB | {"os_version": version})["properties"]
    assert properties["$browser_version"] == text


def test_revenue_beside_the_properties_is_imported_and_that_among_them_wins() -> None:
    record = WEB | {"revenue": 9.5, "price": 4.75, "quantity": 2, "productId": "p-1", "revenueType": "sale"}
    record["event_properties"] = WEB["event_properties"] | {"price": 5}
    properties = stage_one(AMPLITUDE, record)["properties"]
    assert [properties[name] for name in ("revenue", "price", "quantity", "productId", "revenueType")] == [
        9.5, 5, 2, "p-1", "sale",
    ]  # fmt: skip
