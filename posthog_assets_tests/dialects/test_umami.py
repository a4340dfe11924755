"""Umami's events, with columns as its schemas name them."""

from __future__ import annotations

import csv
import json
import sqlite3
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from posthog_assets.dialects.recognition import recognize
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.pipeline.upstream import stored_events
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.dialects.staging import reason, stage_one

UMAMI = {"type": "umami"}

VIEW: dict[str, Any] = {
    "event_id": "8f2b7a52-4c3e-4a6f-9d64-0c1f7e5b2a11", "website_id": "b5c7c9a0-0001-4000-8000-000000000001",
    "session_id": "0a9c8b7d-1111-5222-8333-444455556666", "visit_id": "5e6f7a8b-9999-5aaa-8bbb-ccccddddeeee",
    "hostname": "shop.example", "browser": "edge-chromium", "os": "Windows 10", "device": "laptop",
    "screen": "1920x1080", "language": "de-DE", "country": "DE", "subdivision1": "DE-BE", "city": "Berlin",
    "url_path": "/cart", "url_query": "utm_source=mail&step=1", "referrer_path": "/find", "referrer_query": "q=shoes",
    "referrer_domain": "search.example", "page_title": "Cart", "event_type": 1, "event_name": "", "tag": "",
    "created_at": "2024-03-01 10:00:00",
}  # fmt: skip


def test_a_page_view_has_address_referrer_campaign_and_device_as_posthog_names_them() -> None:
    row = stage_one(UMAMI, dict(VIEW))
    assert (row["event"], row["source_id"], row["user_id"]) == ("$pageview", VIEW["event_id"], None)
    assert row["anonymous_id"] == VIEW["session_id"]
    assert row["timestamp"] == datetime(2024, 3, 1, 10, tzinfo=UTC)
    assert row["properties"] == {
        "umami_website_id": VIEW["website_id"], "umami_visit_id": VIEW["visit_id"], "$host": "shop.example",
        "$pathname": "/cart", "$current_url": "https://shop.example/cart?utm_source=mail&step=1",
        "utm_source": "mail", "$referrer": "https://search.example/find?q=shoes", "$referring_domain": "search.example",
        "title": "Cart", "$browser": "Microsoft Edge", "$os": "Windows", "$os_version": "10",
        "$device_type": "Desktop", "$screen_width": 1920, "$screen_height": 1080, "$browser_language": "de-DE",
        "$geoip_country_code": "DE", "$geoip_subdivision_1_code": "DE-BE", "$geoip_city_name": "Berlin",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"event_type": 2, "event_name": "bought"}, "bought"),
        ({"event_type": 3}, "link"),
        ({"event_type": 4, "event_name": "mail opened"}, "mail opened"),
        ({"event_type": 5, "lcp": 1200.5}, "$web_vitals"),
        ({"event_type": None, "event_name": "bought"}, "bought"),
        ({"event_type": None}, "$pageview"),
    ],
)
def test_the_kind_of_an_event_says_its_name(changes: dict[str, Any], name: str) -> None:
    assert stage_one(UMAMI, VIEW | changes)["event"] == name


def test_a_custom_event_without_a_name_and_an_unknown_kind_are_rejected() -> None:
    assert reason(UMAMI, VIEW | {"event_type": 2}) == "event name is empty"
    assert reason(UMAMI, VIEW | {"event_type": 9}) == "event_type is none of 1, 2, 3, 4, 5: 9"


@pytest.mark.parametrize(
    "data",
    [
        {"plan": "pro", "price": 9.5},
        '{"plan":"pro","price":9.5}',
        [
            {"data_key": "plan", "string_value": "pro", "number_value": None},
            {"data_key": "price", "string_value": None, "number_value": 9.5},
        ],
    ],
)
def test_event_data_becomes_properties_in_each_of_its_forms(data: Any) -> None:
    properties = stage_one(UMAMI, VIEW | {"event_data": data})["properties"]
    assert (properties["plan"], properties["price"]) == ("pro", 9.5)


def test_session_data_is_the_persons_and_a_distinct_id_the_user() -> None:
    row = stage_one(UMAMI, VIEW | {"session_data": {"email": "ann@example.com"}, "distinct_id": "ann"})
    assert row["set"] == {"email": "ann@example.com"}
    assert (row["user_id"], row["anonymous_id"]) == ("ann", VIEW["session_id"])


def test_its_records_are_recognized() -> None:
    assert recognize([VIEW])[0].dialect == "umami"


def test_a_csv_export_is_imported_with_its_visits_as_sessions(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    rows = [VIEW, VIEW | {"event_id": "second", "created_at": "2024-03-01 10:05:00", "event_type": 2,
                          "event_name": "bought", "url_query": ""}]  # fmt: skip
    with (tmp_path / "exports/2024-03-01.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(VIEW))
        writer.writeheader()
        writer.writerows(rows)
    source = {"type": "files", "path": str(tmp_path / "exports/{day}.csv")}
    view, bought = imported(tmp_path, source)
    assert (view["event"], bought["event"]) == ("$pageview", "bought")
    sessions = [orjson.loads(event["properties"])["$session_id"] for event in (view, bought)]
    # The visit's first event, 2024-03-01 10:00 UTC, in the first 48 bits.
    assert sessions[0] == sessions[1]
    assert sessions[0].startswith("018df974-d500-7")


def test_its_tables_are_read_with_the_query_of_the_documentation(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "umami.db")
    events = {name: VIEW[name] for name in VIEW if name not in ("browser", "os", "device", "screen", "language",
              "country", "subdivision1", "city", "hostname")}  # fmt: skip
    session = {name: VIEW[name] for name in VIEW if name not in events} | {"session_id": VIEW["session_id"]}
    for table, row in (("website_event", events), ("session", session)):
        database.execute(f"CREATE TABLE {table} ({', '.join(row)})")
        database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", list(row.values()))
    database.execute("CREATE TABLE event_data (website_event_id, data_key, string_value, number_value, date_value)")
    database.execute("INSERT INTO event_data VALUES (?, 'plan', 'pro', NULL, NULL)", [VIEW["event_id"]])
    database.commit()
    query = """
        SELECT e.*, s.hostname, s.browser, s.os, s.device, s.screen, s.language, s.country, s.subdivision1, s.city,
          (SELECT json_group_object(d.data_key, coalesce(d.string_value, d.number_value, d.date_value))
           FROM event_data d WHERE d.website_event_id = e.event_id) AS event_data
        FROM website_event e JOIN session s ON s.session_id = e.session_id
        WHERE e.created_at >= :day_start AND e.created_at < :day_end
    """
    source = {"type": "sql", "url": f"sqlite:///{tmp_path}/umami.db", "query": query}
    (event,) = imported(tmp_path, source)
    properties = json.loads(event["properties"])
    assert (properties["plan"], properties["$browser"], properties["$host"]) == (
        "pro",
        "Microsoft Edge",
        "shop.example",
    )


def imported(folder: Path, source: dict[str, Any]) -> list[dict[str, Any]]:
    imp = small_import(folder, source=source, dialect=UMAMI, mapping={"sessions": "auto"})
    export_day(imp, date(2024, 3, 1))
    stage_day(imp, date(2024, 3, 1))
    transform_day(imp, date(2024, 3, 1))
    return [row for batch in stored_events(imp.store, date(2024, 3, 1)) for row in batch.to_pylist()]


def test_measurements_of_a_page_are_posthogs_web_vitals() -> None:
    measured = {"event_type": 5, "lcp": 1200.5, "inp": 40, "cls": 0.01, "fcp": None, "ttfb": 80}
    properties = stage_one(UMAMI, VIEW | measured)["properties"]
    found = {name: value for name, value in properties.items() if "vitals" in name or name == "ttfb"}
    assert found == {
        "$web_vitals_LCP_value": 1200.5, "$web_vitals_INP_value": 40, "$web_vitals_CLS_value": 0.01, "ttfb": 80,
    }  # fmt: skip
