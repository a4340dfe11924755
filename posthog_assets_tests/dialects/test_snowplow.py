"""Snowplow's atomic events, with fields as its canonical event model names them."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from posthog_assets.sources.formats import detect, read_records
from posthog_assets.sources.formats.csv_layouts import LAYOUTS
from posthog_assets_tests.dialects.staging import reason, stage, stage_one

SNOWPLOW = {"type": "snowplow"}

PAGE_VIEW: dict[str, Any] = {
    "app_id": "shop", "platform": "web", "event": "page_view", "event_name": "page_view",
    "event_id": "e5034df0-a404-47b4-a463-76df99934fea", "event_vendor": "com.snowplowanalytics.snowplow",
    "event_format": "jsonschema", "event_version": "1-0-0", "event_fingerprint": "f", "v_tracker": "js-3.5",
    "v_collector": "ssc", "v_etl": "enrich", "user_id": "ann", "domain_userid": "d-1", "network_userid": "n-1",
    "user_fingerprint": "9", "domain_sessionid": "s-1", "domain_sessionidx": 3, "user_ipaddress": "198.51.100.7",
    "derived_tstamp": "2024-03-01 10:00:00.250", "collector_tstamp": "2024-03-01 10:00:02.000",
    "dvce_created_tstamp": "2024-03-01 09:00:00.000", "etl_tstamp": "2024-03-01 10:00:05.000",
    "geo_country": "DE", "geo_region": "BE", "geo_region_name": "Berlin", "geo_city": "Berlin",
    "geo_zipcode": "10115", "geo_latitude": 52.5, "geo_longitude": 13.4, "geo_timezone": "Europe/Berlin",
    "page_url": "https://shop.example/cart?step=1", "page_title": "Cart", "page_urlscheme": "https",
    "page_urlhost": "shop.example", "page_urlpath": "/cart", "page_urlquery": "step=1", "page_urlport": 443,
    "page_referrer": "https://search.example/", "refr_urlhost": "search.example", "refr_medium": "search",
    "mkt_medium": "email", "mkt_source": "newsletter", "mkt_campaign": "spring", "mkt_term": "shoes",
    "mkt_content": "top", "useragent": "Mozilla", "br_name": "Chrome", "br_version": "122", "br_lang": "de",
    "br_viewwidth": 1200, "br_viewheight": 700, "br_cookies": True, "os_name": "Mac OS X", "os_family": "Mac",
    "os_timezone": "Europe/Berlin", "dvce_type": "Computer", "dvce_screenwidth": 1920, "dvce_screenheight": 1080,
    "doc_charset": "UTF-8", "se_action": None, "txn_id": "",
    "contexts_com_snowplowanalytics_snowplow_web_page_1": [{"id": "p-1"}],
    "contexts_com_acme_item_1_0_2": [{"sku": "a", "price": 5}, {"sku": "b"}],
}  # fmt: skip

WEB_PAGE = "iglu:com.snowplowanalytics.snowplow/web_page/jsonschema/1-0-0"


def test_a_page_view_becomes_a_pageview_with_the_fields_as_posthog_names_them() -> None:
    row = stage_one(SNOWPLOW, PAGE_VIEW)
    assert (row["event"], row["source_id"]) == ("$pageview", "e5034df0-a404-47b4-a463-76df99934fea")
    assert (row["user_id"], row["anonymous_id"]) == ("ann", "d-1")
    assert row["timestamp"] == datetime(2024, 3, 1, 10, 0, 0, 250_000, tzinfo=UTC)
    assert row["properties"] == {
        "app_id": "shop", "platform": "web", "$lib": "js-3.5", "domain_sessionid": "s-1", "domain_sessionidx": 3,
        "$ip": "198.51.100.7", "$geoip_country_code": "DE", "$geoip_subdivision_1_code": "BE",
        "$geoip_subdivision_1_name": "Berlin", "$geoip_city_name": "Berlin", "$geoip_postal_code": "10115",
        "$geoip_latitude": 52.5, "$geoip_longitude": 13.4, "$geoip_time_zone": "Europe/Berlin",
        "$current_url": "https://shop.example/cart?step=1", "title": "Cart", "$host": "shop.example",
        "$pathname": "/cart", "$referrer": "https://search.example/", "$referring_domain": "search.example",
        "refr_medium": "search", "utm_medium": "email", "utm_source": "newsletter", "utm_campaign": "spring",
        "utm_term": "shoes", "utm_content": "top", "$raw_user_agent": "Mozilla", "$browser": "Chrome",
        "$browser_version": "122", "$browser_language": "de", "$viewport_width": 1200, "$viewport_height": 700,
        "$os": "Mac OS X", "$timezone": "Europe/Berlin", "$device_type": "Computer", "$screen_width": 1920,
        "$screen_height": 1080, "web_page_id": "p-1",
        "com_acme_item": [{"sku": "a", "price": 5}, {"sku": "b"}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "user", "anonymous"),
    [({"domain_userid": None}, "ann", "n-1"), ({"user_id": ""}, None, "d-1")],
)
def test_the_anonymous_id_is_the_domains_else_the_networks(
    changes: dict[str, Any], user: str | None, anonymous: str
) -> None:
    row = stage_one(SNOWPLOW, PAGE_VIEW | changes)
    assert (row["user_id"], row["anonymous_id"]) == (user, anonymous)


def test_the_collectors_time_stands_in_for_the_derived_one() -> None:
    row = stage_one(SNOWPLOW, PAGE_VIEW | {"derived_tstamp": None})
    assert row["timestamp"] == datetime(2024, 3, 1, 10, 0, 2, tzinfo=UTC)


def test_page_pings_are_left_out_and_counted_unless_kept() -> None:
    ping = PAGE_VIEW | {"event": "page_ping"}
    assert reason(SNOWPLOW, ping) == (
        "left out, a sign of life every few seconds, which PostHog has no use for: page_ping"
    )
    assert stage_one(SNOWPLOW | {"keep": ["page_ping"]}, ping)["event"] == "page_ping"


def test_a_structured_event_is_named_by_its_action() -> None:
    row = stage_one(
        SNOWPLOW, PAGE_VIEW | {"event": "struct", "se_category": "shop", "se_action": "buy", "se_value": 12.5}
    )
    assert (row["event"], row["properties"]["se_category"], row["properties"]["se_value"]) == ("buy", "shop", 12.5)


@pytest.mark.parametrize("action", ["page_ping", "page_view"])
def test_the_action_of_a_structured_event_is_never_taken_for_a_type(action: str) -> None:
    assert stage_one(SNOWPLOW, PAGE_VIEW | {"event": "struct", "se_action": action})["event"] == action


def self_describing(schema: str, data: Any) -> dict[str, Any]:
    return {"schema": schema, "data": data}


LINK_CLICK = self_describing(
    "iglu:com.snowplowanalytics.snowplow/link_click/jsonschema/1-0-1", {"targetUrl": "https://a.example/"}
)
ENVELOPE = "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0"


@pytest.mark.parametrize(
    "changes",
    [
        {"unstruct_event": json.dumps(self_describing(ENVELOPE, LINK_CLICK))},
        {"unstruct_event": self_describing(ENVELOPE, LINK_CLICK)},
        {"unstruct_event": LINK_CLICK},
        {"event_name": "link_click", "unstruct_event_com_snowplowanalytics_snowplow_link_click_1": LINK_CLICK["data"]},
        {"unstruct_event_com_snowplowanalytics_snowplow_link_click_1_0_1": json.dumps(LINK_CLICK["data"])},
    ],
)
def test_an_unstructured_event_is_named_by_its_schema_and_its_data_are_properties(changes: dict[str, Any]) -> None:
    row = stage_one(SNOWPLOW, PAGE_VIEW | {"event": "unstruct", "event_name": None} | changes)
    assert (row["event"], row["properties"]["targetUrl"]) == ("link_click", "https://a.example/")
    assert not [name for name in row["properties"] if name.startswith("unstruct")]


VITALS = "unstruct_event_com_snowplowanalytics_snowplow_web_vitals_1_0_0"


@pytest.mark.parametrize("data", [{"lcp": 1.5}, [{"lcp": 1.5}], [[{"lcp": 1.5}]], '[{"lcp":1.5}]', '{"lcp":1.5}'])
@pytest.mark.parametrize("kind", ["unstruct", "", None])
def test_a_column_of_the_events_own_data_may_be_a_list_of_one(data: Any, kind: str | None) -> None:
    row = stage_one(SNOWPLOW, PAGE_VIEW | {"event": kind, "event_name": "web_vitals", VITALS: data})
    assert (row["event"], row["properties"]["lcp"]) == ("web_vitals", 1.5)
    assert VITALS not in row["properties"]


def test_events_that_differ_in_their_own_data_alone_are_two() -> None:
    base = PAGE_VIEW | {"event": "unstruct", "event_name": "w"}
    rows = stage(SNOWPLOW, *(base | {"unstruct_event_com_acme_w_1_0_0": [{"v": value}]} for value in (1, 2)))
    assert [row["properties"]["v"] for row in rows] == [1, 2]


@pytest.mark.parametrize("data", [[{"v": 1}, {"v": 2}], [1, 2], "some text", 5, True])
def test_own_data_that_are_no_object_are_kept_whole_under_their_name(data: Any) -> None:
    row = stage_one(SNOWPLOW, PAGE_VIEW | {"event": "unstruct", "event_name": "w", "unstruct_event_com_acme_w_1": data})
    assert (row["event"], row["properties"]["com_acme_w"]) == ("w", data)


def test_of_two_columns_of_own_data_the_second_is_kept_whole() -> None:
    columns = {"unstruct_event_com_acme_a_1": [{"v": 1}], "unstruct_event_com_acme_b_1": [{"v": 2}]}
    row = stage_one(SNOWPLOW, PAGE_VIEW | {"event": "unstruct", "event_name": None} | columns)
    assert (row["event"], row["properties"]["v"], row["properties"]["com_acme_b"]) == ("com_acme_a", 1, {"v": 2})


@pytest.mark.parametrize("data", [[1, 2], 5, "text"])
def test_a_self_describing_event_whose_data_are_no_object_keeps_them(data: Any) -> None:
    described = self_describing("iglu:com.acme/w/jsonschema/1-0-0", data)
    row = stage_one(SNOWPLOW, PAGE_VIEW | {"event": "unstruct", "event_name": None, "unstruct_event": described})
    assert (row["event"], row["properties"]["w"]) == ("w", data)


@pytest.mark.parametrize("contexts", [[[{"id": "p-1"}]], [{"id": "p-1"}], {"id": "p-1"}, '[[{"id":"p-1"}]]'])
def test_a_context_in_a_list_of_lists_is_that_context(contexts: Any) -> None:
    row = stage_one(SNOWPLOW, PAGE_VIEW | {"contexts_com_acme_page_1_0_0": contexts})
    assert row["properties"]["com_acme_page_id"] == "p-1"


def test_contexts_in_json_text_become_the_same_properties_as_those_in_columns() -> None:
    items = [self_describing("iglu:com.acme/item/jsonschema/1-0-2", data) for data in ({"sku": "a"}, {"sku": "b"})]
    contexts = self_describing(
        "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0",
        [self_describing(WEB_PAGE, {"id": "p-1", "none": None}), *items],
    )
    ua = {"data": [self_describing("iglu:nl.basjes/yauaa_context/jsonschema/1-0-4", {"agentName": "Chrome"})]}
    record = {key: value for key, value in PAGE_VIEW.items() if not key.startswith("contexts")}
    row = stage_one(SNOWPLOW, record | {"contexts": json.dumps(contexts), "derived_contexts": ua})
    properties = row["properties"]
    assert (properties["web_page_id"], properties["yauaa_context_agentName"]) == ("p-1", "Chrome")
    assert properties["com_acme_item"] == [{"sku": "a"}, {"sku": "b"}]
    assert "web_page_none" not in properties
    assert not {"contexts", "derived_contexts"} & properties.keys()


def test_numbers_of_tsv_become_numbers() -> None:
    text = {key: "" if value is None else str(value) for key, value in PAGE_VIEW.items() if key[:8] != "contexts"}
    (row,) = stage(SNOWPLOW, text | {"br_viewheight": "tall"}, untyped=True)
    properties = row["properties"]
    assert (properties["$viewport_width"], properties["$geoip_latitude"], properties["domain_sessionidx"]) == (
        1200,
        52.5,
        3,
    )
    assert (properties["$viewport_height"], properties["$browser_version"]) == ("tall", "122")


def enriched(**changes: Any) -> str:
    """Return a line as Enrich writes it: 131 values, none quoted, without a header."""
    record = {key: value for key, value in PAGE_VIEW.items() if not key.startswith("contexts")} | changes
    boolean = {True: "1", False: "0"}
    text = {
        key: boolean[value] if type(value) is bool else json.dumps(value) if type(value) is dict else str(value or "")
        for key, value in record.items()
    }
    layout = LAYOUTS["snowplow"]
    return layout.delimiter.join(text.pop(name, "") for name in layout.columns) + "\n"


CONTEXTS = self_describing(
    "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0",
    [
        self_describing(WEB_PAGE, {"id": "p-1"}),
        self_describing("iglu:com.acme/item/jsonschema/1-0-2", {"sku": "a", "price": 5}),
        self_describing("iglu:com.acme/item/jsonschema/1-0-2", {"sku": "b"}),
    ],
)
DERIVED = self_describing(
    "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-1",
    [self_describing("iglu:com.snowplowanalytics.snowplow/ua_parser_context/jsonschema/1-0-0", {"osFamily": "Mac"})],
)


def staged_lines(*lines: str) -> list[dict[str, Any]]:
    layout = LAYOUTS["snowplow"]
    framing = detect("part-00000.txt", delimiter=layout.delimiter, quote=layout.quote, columns=layout.columns)
    (chunk,) = read_records(io.BytesIO("".join(lines).encode()), framing, "part-00000.txt")
    return stage(SNOWPLOW, *chunk.records, untyped=chunk.untyped)


def test_a_line_of_enrich_says_what_the_loaded_row_of_the_event_says() -> None:
    (row,) = staged_lines(enriched(contexts=CONTEXTS, derived_contexts=DERIVED, page_title='The "best" cart'))
    loaded = stage_one(SNOWPLOW, PAGE_VIEW | {"page_title": 'The "best" cart'})
    assert row["properties"].pop("ua_parser_context_osFamily") == "Mac"
    assert row == loaded


def test_what_a_line_holds_as_json_becomes_properties_and_numbers_become_numbers() -> None:
    click = self_describing(ENVELOPE, LINK_CLICK)
    link, transaction = staged_lines(
        enriched(event="unstruct", event_name="link_click", unstruct_event=click),
        enriched(event="transaction", event_name="transaction", tr_total="12.5", tr_total_base="11", tr_tax_base="0.5"),
    )
    assert (link["event"], link["properties"]["targetUrl"]) == ("link_click", "https://a.example/")
    assert [transaction["properties"][name] for name in ("tr_total", "tr_total_base", "tr_tax_base")] == [12.5, 11, 0.5]


def test_a_line_of_another_number_of_fields_is_rejected_and_the_others_are_not() -> None:
    line = enriched()
    reasons = [
        row["reject_reason"] for row in staged_lines(line, line[:-1] + "\tmore\n", line.replace("\t", "", 1), line)
    ]
    assert reasons == [
        None,
        "wrong number of fields: 132 where source.csv.columns has 131",
        "wrong number of fields: 130 where source.csv.columns has 131",
        None,
    ]


@pytest.mark.parametrize(
    ("schema", "column"),
    [
        ("iglu:org.w3/PerformanceTiming/jsonschema/1-0-0", "contexts_org_w3_performance_timing_1"),
        ("iglu:org.schema/WebPage/jsonschema/1-0-0", "contexts_org_schema_web_page_1"),
        ("iglu:com.Acme-Shop/cart_Item/jsonschema/2-0-0", "contexts_com_acme_shop_cart_item_2"),
    ],
)
def test_a_context_in_json_text_has_the_name_of_its_column(schema: str, column: str) -> None:
    record = {key: value for key, value in PAGE_VIEW.items() if not key.startswith("contexts")}
    contexts = self_describing(
        "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0", [self_describing(schema, {"a": 1})]
    )
    assert stage_one(SNOWPLOW, record | {"contexts": contexts}) == stage_one(SNOWPLOW, record | {column: [{"a": 1}]})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"event": "unstruct", "unstruct_event": '{"schema":'}, "unstruct_event is no self-describing JSON"),
        ({"contexts": "{broken"}, "contexts are no self-describing JSON"),
        ({"event": "unstruct", "unstruct_event": {"schema": "x", "data": {}}, "event_name": None},
         "schema is none of Iglu's: x"),
        ({"event": "unstruct", "event_name": None}, "event name is empty"),
        ({"event": "struct"}, "event name is empty"),
        ({"user_id": None, "domain_userid": None, "network_userid": None},
         "record has no id of a user or device: user_id, domain_userid, network_userid"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_rejected_with_its_reason(changes: dict[str, Any], words: str) -> None:
    assert reason(SNOWPLOW, PAGE_VIEW | changes) == words


def test_a_context_with_a_foreign_schema_is_kept_and_its_event_too() -> None:
    page, foreign = self_describing(WEB_PAGE, {"id": "p-1"}), self_describing("https://acme.example/a.json", {"n": 1})
    record = {key: value for key, value in PAGE_VIEW.items() if not key.startswith("contexts")}
    row = stage_one(SNOWPLOW, record | {"contexts": {"data": [page, foreign]}})
    assert row["reject_reason"] is None
    assert {key: value for key, value in row["properties"].items() if key.startswith(("web_page", "contexts"))} == {
        "web_page_id": "p-1", "contexts_schema": "https://acme.example/a.json", "contexts_data": {"n": 1},
    }  # fmt: skip
    row = stage_one(SNOWPLOW, record | {"contexts": {"data": [foreign, {"n": 2}, 3, page]}})
    assert (row["properties"]["contexts"], row["properties"]["web_page_id"]) == ([foreign, {"n": 2}, 3], "p-1")


def test_columns_in_capitals_as_snowflake_has_them_are_read() -> None:
    capitals = {key.upper(): value for key, value in PAGE_VIEW.items()}
    assert stage_one(SNOWPLOW, capitals) == stage_one(SNOWPLOW, PAGE_VIEW)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (
            {"schema": "iglu:com.snowplowanalytics.snowplow.badrows/schema_violations/jsonschema/2-0-0", "data": {}},
            "iglu:com.snowplowanalytics.snowplow.badrows/schema_violations/jsonschema/2-0-0",
        ),
        ({"line": "CwBk", "errors": [], "failure_tstamp": "2019-03-01T10:00:00Z"}, "of its format before 2020"),
    ],
)
def test_bad_rows_of_snowplows_pipeline_are_called_such(record: dict[str, Any], words: str) -> None:
    assert reason(SNOWPLOW, record) == f"record is a bad row of Snowplow's pipeline, no event: {words}"
