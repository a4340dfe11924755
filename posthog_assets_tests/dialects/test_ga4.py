"""GA4's export, with a row as its published schema describes it, in JSON and in Parquet."""

from __future__ import annotations

import copy
import io
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import time_machine

from posthog_assets.core.errors import NoExport
from posthog_assets.dialects import load_dialect
from posthog_assets.pipeline.export import export_day
from posthog_assets.sources.formats import Format, Framing, read_records
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.dialects.staging import reason, stage, stage_one

GA4 = {"type": "ga4"}


def param(key: str, **value: Any) -> dict[str, Any]:
    return {"key": key, "value": value}


#: As `bq extract` writes it: whole numbers are text, members without a value are absent.
ROW: dict[str, Any] = {
    "event_date": "20240301",
    "event_timestamp": "1709287200123456",
    "event_name": "page_view",
    "event_params": [
        param("page_location", string_value="https://shop.example/shoes?color=red"),
        param("page_title", string_value="Shoes"),
        param("page_referrer", string_value="https://search.example/"),
        param("ga_session_id", int_value="1709287100"),
        param("scroll", double_value=0.5),
        param("medium", string_value="(none)"),
        param("nothing"),
    ],
    "event_bundle_sequence_id": "7",
    "batch_event_index": "1",
    "user_id": "ann",
    "user_pseudo_id": "1234.5678",
    "user_first_touch_timestamp": "1709200000000000",
    "user_properties": [
        param("plan", string_value="pro", set_timestamp_micros="1709287200000000"),
        param("age", int_value="7"),
        param("city", string_value="(not set)"),
    ],
    "user_ltv": {"revenue": 9.5, "currency": "EUR"},
    "device": {
        "category": "desktop", "operating_system": "Macintosh", "operating_system_version": "14", "language": "de",
        "mobile_brand_name": "Apple", "mobile_model_name": "(not set)",
        "web_info": {"browser": "Chrome", "browser_version": "122.0", "hostname": "shop.example"},
    },
    "geo": {"city": "Berlin", "region": "Berlin", "country": "Germany", "continent": "Europe", "metro": "(not set)"},
    "app_info": {"id": "com.example.shop", "version": "2.1"},
    "traffic_source": {"name": "spring", "medium": "email", "source": "newsletter"},
    "collected_traffic_source": {
        "manual_source": "search", "manual_medium": "cpc", "manual_campaign_name": "summer", "manual_content": "a",
        "manual_term": "shoes", "gclid": "g-1",
    },
    "ecommerce": {"transaction_id": "(not set)", "purchase_revenue": 12.5, "total_item_quantity": None},
    "stream_id": "55",
    "platform": "WEB",
    "items": [
        {"item_id": "i-1", "item_brand": "(not set)", "price": 5.0, "item_params": [param("size", int_value="42")]}
    ],
}  # fmt: skip


def test_a_row_becomes_a_pageview_with_its_parameters_as_properties() -> None:
    row = stage_one(GA4, ROW)
    assert (row["event"], row["user_id"], row["anonymous_id"]) == ("$pageview", "ann", "1234.5678")
    assert row["timestamp"] == datetime(2024, 3, 1, 10, 0, 0, 123_456, tzinfo=UTC)
    assert row["properties"] == {
        "$current_url": "https://shop.example/shoes?color=red", "$pathname": "/shoes", "$host": "shop.example",
        "title": "Shoes", "$referrer": "https://search.example/", "ga_session_id": 1709287100, "scroll": 0.5,
        "$device_type": "Desktop", "$os": "Macintosh", "$os_version": "14", "$browser_language": "de",
        "$device_manufacturer": "Apple", "$browser": "Chrome", "$browser_version": "122.0",
        "$geoip_city_name": "Berlin", "$geoip_subdivision_1_name": "Berlin", "$geoip_country_name": "Germany",
        "$geoip_continent_name": "Europe", "$app_namespace": "com.example.shop", "$app_version": "2.1",
        "utm_source": "search", "utm_medium": "cpc", "utm_campaign": "summer", "utm_content": "a",
        "utm_term": "shoes", "gclid": "g-1", "purchase_revenue": 12.5, "stream_id": "55", "platform": "WEB",
        "items": [{"item_id": "i-1", "price": 5.0, "size": 42}],
    }  # fmt: skip


def test_user_properties_are_set_and_the_first_touch_only_once() -> None:
    row = stage_one(GA4, ROW)
    assert row["set"] == {"plan": "pro", "age": 7, "user_ltv_revenue": 9.5, "user_ltv_currency": "EUR"}
    assert row["set_once"] == {
        "$initial_utm_source": "newsletter", "$initial_utm_medium": "email", "$initial_utm_campaign": "spring",
        "user_first_touch_timestamp": 1709200000000000,
    }  # fmt: skip


def test_direct_traffic_is_no_campaign() -> None:
    source = {"name": "(direct)", "medium": "(none)", "source": "(direct)"}
    once = stage_one(GA4, ROW | {"traffic_source": source})["set_once"]
    assert once == {"user_first_touch_timestamp": 1709200000000000}


@pytest.mark.parametrize(
    ("name", "becomes"),
    [("screen_view", "$screen"), ("user_engagement", "$autocapture"), ("purchase", "purchase")],
)
def test_names_are_posthogs_where_it_has_one(name: str, becomes: str) -> None:
    assert stage_one(GA4, ROW | {"event_name": name})["event"] == becomes


def test_events_posthog_makes_itself_are_left_out_and_counted_unless_kept() -> None:
    record = ROW | {"event_name": "session_start"}
    assert reason(GA4, record) == "left out, PostHog makes sessions itself: session_start"
    assert reason(GA4, ROW | {"event_name": "first_visit"}) == (
        "left out, PostHog knows a person's first event: first_visit"
    )
    assert stage_one(GA4 | {"keep": ["session_start"]}, record)["event"] == "session_start"


def test_a_renamed_event_can_be_kept_under_its_own_name() -> None:
    record = ROW | {"event_name": "user_engagement"}
    assert stage_one(GA4 | {"keep": ["user_engagement"]}, record)["event"] == "user_engagement"


@pytest.mark.parametrize(
    "change",
    [
        {"event_name": "scroll"}, {"user_pseudo_id": "9.9"}, {"event_timestamp": "1709287200123457"},
        {"event_bundle_sequence_id": "8"}, {"batch_page_id": "1"}, {"batch_ordering_id": "1"},
        {"batch_event_index": "2"}, {"event_params": [param("a", int_value="1")]},
    ],
)  # fmt: skip
def test_the_id_is_a_hash_over_what_tells_events_apart(change: dict[str, Any]) -> None:
    same, other = stage(GA4, ROW | {"user_id": None, "geo": {}}, ROW | change)
    assert same["source_id"] == stage_one(GA4, ROW)["source_id"] == "content:3d205960be64b5e88f120d0953ebe895"
    assert other["source_id"] != same["source_id"]


def in_parquet(row: dict[str, Any]) -> bytes:
    """Return the row as BigQuery's Parquet has it: typed, every member of a value there, most of them null."""
    row = copy.deepcopy(row)
    for name in ("event_timestamp", "event_bundle_sequence_id", "batch_event_index", "user_first_touch_timestamp"):
        row[name] = int(row[name])
    holders = [*row["event_params"], *row["user_properties"], *row["items"][0]["item_params"]]
    empty = {"string_value": None, "int_value": None, "float_value": None, "double_value": None}
    for holder in holders:
        value = empty | holder["value"]
        holder["value"] = value | {"int_value": int(value["int_value"])} if value["int_value"] else value
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row]), sink)
    return sink.getvalue()


def test_a_row_of_parquet_is_the_same_event_with_the_same_id() -> None:
    (chunk,) = read_records(io.BytesIO(in_parquet(ROW)), Framing(Format.PARQUET), "events.parquet")
    (row,) = stage(GA4, *chunk.records)
    assert row == stage_one(GA4, ROW)


def test_repeated_fields_may_come_as_maps_or_wrapped_in_lists() -> None:
    as_map = {item["key"]: item["value"] for item in ROW["event_params"]}
    wrapped = {"list": [{"element": item} for item in ROW["event_params"]]}
    plain, first, second = stage(GA4, ROW, ROW | {"event_params": as_map}, ROW | {"event_params": wrapped})
    assert first["properties"] == second["properties"] == plain["properties"]
    assert first["source_id"] == second["source_id"] == plain["source_id"]


def test_a_time_beyond_reason_is_rejected_alone() -> None:
    rows = stage(GA4, ROW, ROW | {"event_timestamp": "9" * 30}, ROW | {"event_timestamp": None}, ROW)
    assert [row["reject_reason"] is None for row in rows] == [True, False, False, True]
    assert rows[0]["timestamp"] == rows[3]["timestamp"] == datetime(2024, 3, 1, 10, 0, 0, 123_456, tzinfo=UTC)


def test_pairs_of_device_and_user_are_linked() -> None:
    assert load_dialect(GA4).links_identities


def test_revenue_and_what_else_stands_beside_the_parameters_is_kept() -> None:
    beside: dict[str, Any] = {
        "event_value_in_usd": 13.2, "is_active_user": True, "event_dimensions": {"hostname": "m.shop.example"},
        "publisher": {"ad_revenue_in_usd": 0.02, "ad_format": "Banner", "ad_source_name": "AdMob", "ad_unit_id": "u-1"},
        "ecommerce": {"unique_items": "2", "total_item_quantity": "3", "refund_value_in_usd": 1.5},
        "collected_traffic_source": {"manual_campaign_id": "c-1", "manual_source_platform": "Shopping"},
        "device": {}, "event_params": [],
    }  # fmt: skip
    properties = stage_one(GA4, ROW | beside)["properties"]
    expected = {
        "event_value_in_usd": 13.2, "is_active_user": True, "$host": "m.shop.example", "ad_revenue_in_usd": 0.02,
        "ad_format": "Banner", "ad_source_name": "AdMob", "ad_unit_id": "u-1", "unique_items": 2,
        "total_item_quantity": 3, "refund_value_in_usd": 1.5, "utm_id": "c-1", "utm_source_platform": "Shopping",
    }  # fmt: skip
    assert {key: properties.get(key) for key in expected} == expected
    assert stage_one(GA4, ROW)["properties"]["$host"] == "shop.example"


@pytest.mark.parametrize(
    ("source", "hours"),
    [
        ({}, 72),
        ({"available_after_hours": 96}, 96),
        ({"available_after_hours": 0}, 0),
        ({"type": "sql", "url": "sqlite://", "query": "SELECT 1 WHERE :day_start < :day_end", "path": None}, 72),
    ],
)
def test_a_day_is_complete_when_google_changes_it_no_more(source: dict[str, Any], hours: int, tmp_path: Path) -> None:
    section = {"type": "files", "path": f"{tmp_path}/{{day}}.jsonl"} | source
    if section["type"] == "sql":
        del section["path"]
    imp = small_import(tmp_path, source=section, dialect=GA4)
    assert imp.source.available_at(date(2024, 3, 1)) == datetime(2024, 3, 2, tzinfo=UTC) + timedelta(hours=hours)
    assert small_import(tmp_path).source.available_at(date(2024, 3, 1)) == datetime(2024, 3, 2, tzinfo=UTC)


def test_a_day_that_may_change_still_is_not_exported(tmp_path: Path) -> None:
    day = date(2024, 3, 1)
    (tmp_path / "2024-03-01.jsonl").write_text(json.dumps(ROW))
    section = {"type": "files", "path": f"{tmp_path}/{{day}}.jsonl"}
    with time_machine.travel(datetime(2024, 3, 4, 23, 59, tzinfo=UTC), tick=False):
        with pytest.raises(NoExport, match="2024-03-01 is complete at 2024-03-05 00:00 UTC: materialize it then"):
            export_day(small_import(tmp_path, source=section, dialect=GA4), day)
        at_once = section | {"available_after_hours": 0}
        assert len(export_day(small_import(tmp_path, source=at_once, dialect=GA4), day).parts) == 1
    with time_machine.travel(datetime(2024, 3, 5, tzinfo=UTC), tick=False):
        assert len(export_day(small_import(tmp_path, source=section, dialect=GA4), day).parts) == 1


def test_value_and_currency_of_an_order_are_imported_and_those_of_the_parameters_win() -> None:
    row = ROW | {"ecommerce": {"value": 25.5, "currency": "EUR"}}
    properties = stage_one(GA4, row)["properties"]
    assert (properties["value"], properties["currency"]) == (25.5, "EUR")
    row["event_params"] = [*ROW["event_params"], param("currency", string_value="USD")]
    assert stage_one(GA4, row)["properties"]["currency"] == "USD"


def test_events_of_consent_mode_are_rejected_or_nobodys() -> None:
    row = {key: value for key, value in ROW.items() if key not in ("user_id", "user_pseudo_id")}
    assert (reason(GA4, row) or "").startswith("record has no id of a user or device")
    first, second = stage(GA4 | {"without_id": "personless"}, row, row | {"event_timestamp": "1709287200123457"})
    assert first["reject_reason"] is None
    assert first["properties"]["$process_person_profile"] is False
    assert first["user_id"] is None
    assert first["anonymous_id"] == first["source_id"] != second["anonymous_id"]
    assert "$process_person_profile" not in stage_one(GA4 | {"without_id": "personless"}, ROW)["properties"]
