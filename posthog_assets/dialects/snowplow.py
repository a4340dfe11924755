"""Snowplow: atomic events, as Enrich writes them (TSV), as JSON (the analytics SDKs' or a warehouse's), or Parquet.

Belongs here: https://docs.snowplow.io/docs/fundamentals/canonical-event. Does not belong here: the order of the columns
in TSV without a header (`sources.formats.csv_layouts`).
"""

from __future__ import annotations

import functools
import re
from typing import Any, Final

from posthog_assets.core.errors import shorten
from posthog_assets.core.rejection import Rejected
from posthog_assets.dialects.base import SessionField
from posthog_assets.dialects.reading import Reading
from posthog_assets.dialects.record import Record, nested, number, own_name
from posthog_assets.dialects.vendor import Vendor

#: Whole numbers that TSV writes as text; also latitude, longitude and the value of structured events.
_NUMBERS: Final = (
    "$viewport_width", "$viewport_height", "$screen_width", "$screen_height", "$geoip_latitude", "$geoip_longitude",
    "se_value", "domain_sessionidx", "tr_total", "tr_tax", "tr_shipping", "ti_price", "ti_quantity", "tr_total_base",
    "tr_tax_base", "tr_shipping_base", "ti_price_base",
)  # fmt: skip

#: iglu:com.acme/link_click/jsonschema/1-0-1 · contexts_com_acme_link_click_1_0_1
_SCHEMA: Final = re.compile(r"iglu:([^/]+)/([^/]+)/jsonschema/[\d-]+")
_COLUMN: Final = re.compile(r"(?:contexts|unstruct_event)_(.+?)(?:_\d+)+")
_WORD_BEGINS: Final = re.compile(r"(?<=[^A-Z_])(?=[A-Z])")

#: Vendors whose names say nothing to a reader of the events.
_KNOWN: Final = re.compile(r"^(?:com_snowplowanalytics_(?:snowplow|mobile)|org_w3|org_ietf|nl_basjes)_")


class Snowplow(Vendor):
    """One event per record; columns that have a value become properties, contexts and the event's own data too."""

    type: str = "snowplow"
    source_id = ("event_id",)
    user_id = ("user_id",)
    anonymous_id = ("domain_userid", "network_userid")
    timestamp = ("derived_tstamp", "collector_tstamp", "dvce_created_tstamp")
    session = SessionField("domain_sessionid")
    marks = (("event_id", "collector_tstamp", "event_vendor"), ("event_id", "collector_tstamp", "v_tracker"),
             ("event_id", "collector_tstamp"), ("event_id", "derived_tstamp", "domain_userid"))  # fmt: skip
    names = {"page_view": "$pageview", "screen_view": "$screen"}
    left_out = {"page_ping": "a sign of life every few seconds, which PostHog has no use for"}
    renames = {
        "page_url": "$current_url", "page_urlhost": "$host", "page_urlpath": "$pathname", "page_title": "title",
        "page_referrer": "$referrer", "refr_urlhost": "$referring_domain", "mkt_source": "utm_source",
        "mkt_medium": "utm_medium", "mkt_campaign": "utm_campaign", "mkt_content": "utm_content",
        "mkt_term": "utm_term", "br_name": "$browser", "br_version": "$browser_version",
        "br_lang": "$browser_language", "br_viewwidth": "$viewport_width", "br_viewheight": "$viewport_height",
        "dvce_type": "$device_type", "dvce_screenwidth": "$screen_width", "dvce_screenheight": "$screen_height",
        "os_name": "$os", "os_timezone": "$timezone", "geo_city": "$geoip_city_name",
        "geo_region": "$geoip_subdivision_1_code", "geo_region_name": "$geoip_subdivision_1_name",
        "geo_country": "$geoip_country_code", "geo_zipcode": "$geoip_postal_code", "geo_latitude": "$geoip_latitude",
        "geo_longitude": "$geoip_longitude", "geo_timezone": "$geoip_time_zone",
        "user_ipaddress": "$ip", "useragent": "$raw_user_agent", "v_tracker": "$lib",
    }  # fmt: skip
    dropped = frozenset(
        {
            "event_id", "event", "event_name", "event_vendor", "event_format", "event_version",
            "event_fingerprint", "user_id", "domain_userid", "network_userid", "user_fingerprint", "txn_id",
            "name_tracker", "derived_tstamp", "collector_tstamp", "dvce_created_tstamp", "dvce_sent_tstamp",
            "etl_tstamp", "true_tstamp", "refr_dvce_tstamp", "refr_device_tstamp", "load_tstamp", "v_collector",
            "v_etl", "etl_tags", "page_urlscheme", "page_urlport", "page_urlquery", "page_urlfragment",
            "refr_urlscheme", "refr_urlport", "refr_urlpath", "refr_urlquery", "refr_urlfragment",
            "doc_charset", "doc_width", "doc_height", "br_cookies", "br_colordepth", "br_renderengine",
            "br_type", "br_family", "br_features_pdf", "br_features_flash", "br_features_java",
            "br_features_director", "br_features_quicktime", "br_features_realplayer",
            "br_features_windowsmedia", "br_features_gears", "br_features_silverlight", "os_family",
            "os_manufacturer", "dvce_ismobile", "pp_xoffset_min", "pp_xoffset_max", "pp_yoffset_min",
            "pp_yoffset_max",
        }
    )  # fmt: skip
    notes = (
        ("event struct", "named by se_action; se_category, se_label, se_property, se_value stay properties"),
        ("event unstruct, or empty", "named by event_name, else by its schema; its data become properties"),
        ("unstruct_event_…", "its one object, in a list or not; what is none, or of several columns the later ones, is "
         "kept whole under its name"),
        ("contexts, derived_contexts, contexts_…", "<context>_<field>, without Snowplow's own vendor names; a list "
         "where a context occurs more than once; lists in a list count as one"),
        ("contexts without a schema of Iglu's", "contexts_schema, contexts_data; a list, contexts, of several"),
        ("columns in capitals", "as if in small letters: Snowflake has them so"),
        ("bad rows", "rejected as such"),
        ("other columns", "properties, as they are"),
    )  # fmt: skip

    takes_others = True

    def read(self, record: Record) -> Reading:
        if "EVENT_ID" in record:
            # Snowflake's columns.
            record = {key.lower(): value for key, value in record.items()}
        _refuse_bad_row(record)
        kind, (name, data) = record.get("event"), _event(record)
        event = own_name(name) if kind == "struct" else self.named(name)
        reading = self.fields(record)
        reading.event = event
        flat: Record = {}
        contexts: dict[str, list[Any]] = {}
        for key, value in record.items():
            if value is None or value == "" or key.startswith("unstruct_event"):
                continue
            if not key.startswith(("contexts", "derived_contexts")):
                flat[key] = value
            elif key.startswith("contexts_"):
                value = nested(value)
                contexts.setdefault(_short(key), []).extend(_elements(value))
            else:
                for name, found in _entities(value, key):
                    contexts.setdefault(name, []).append(found)
        self.take(flat, reading.properties)
        for name, all_of_it in contexts.items():
            _add_context(name, all_of_it, reading.properties)
        reading.properties |= _said(data)
        for key in _NUMBERS:
            if key in reading.properties:
                reading.properties[key] = number(reading.properties[key])
        return reading


def _refuse_bad_row(record: Record) -> None:
    """Raise Rejected where a record tells of an event that Snowplow's own pipeline could not process."""
    if "event_id" in record:
        return
    schema = record.get("schema")
    if type(schema) is str and "badrows" in schema:
        raise Rejected(f"record is a bad row of Snowplow's pipeline, no event: {shorten(schema)}")
    if "line" in record and "errors" in record:
        raise Rejected("record is a bad row of Snowplow's pipeline, no event: of its format before 2020")


def _event(record: Record) -> tuple[Any, Record]:
    """Return an event's name and the data of its own schema."""
    kind = record.get("event")
    name, data = _own_data(record)
    if kind == "struct":
        return record.get("se_action"), data
    if kind == "unstruct" or not kind:
        return record.get("event_name") or name, data
    return kind, data


def _own_data(record: Record) -> tuple[str | None, Record]:
    """Return the name and the data of the event's own schema; a column of data that is no object is a member of it.

    An event has one schema of its own, and so one column of that kind with a value. Of several the first is read.
    """
    name: str | None = None
    data: Record | None = None
    others: Record = {}
    for column in _own_columns(tuple(record)):
        found = _alone(nested(record[column]))
        if found is None or found == "":
            continue
        own = _short(column)
        if column == "unstruct_event":
            own, found = _self_described(found, record)
        if data is None and type(found) is dict:
            name, data = own, _said(found)
        elif found is not None:
            name = name or own
            others[_KNOWN.sub("", own, count=1)] = found
    return name, others | (data or {})


def _self_described(described: Any, record: Record) -> tuple[str, Any]:
    """Return the name and the data of a self-describing event, of its outer or its inner schema.

    Raises:
        Rejected: it is none and *record* says that it is an event of its own schema, or nothing names the event.
    """
    if type(described) is not dict:
        if record.get("event") == "unstruct":
            raise Rejected("unstruct_event is no self-describing JSON")
        return "unstruct_event", described
    if "unstruct_event" in str(described.get("schema")) and type(inner := _alone(described.get("data"))) is dict:
        described = inner
    if "schema" not in described:
        return "unstruct_event", described or None
    is_named = record.get("event_name") or record.get("event") not in ("unstruct", "", None)
    name = "unstruct_event" if is_named else _schema(described["schema"], full=False)
    return name, _alone(described.get("data"))


@functools.lru_cache(256)
def _own_columns(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return which columns hold the data of the event's own schema: records have some 130, mostly the same."""
    return tuple(column for column in columns if column.startswith("unstruct_event"))


def _alone(value: Any) -> Any:
    """Return the value that a list, or a list in a list, holds nothing beside."""
    while type(value) is list and len(value) == 1:
        value = value[0]
    return value


def _elements(value: Any) -> list[Any]:
    """Return the elements of a column of contexts, which warehouses may have put into one list more."""
    if type(value) is not list:
        return [value]
    return [element for one in value for element in (one if type(one) is list else [one])]


def _entities(text: Any, holder: str) -> list[tuple[str, Any]]:
    """Return (name, data) of self-describing contexts; one without a schema of Iglu's stays whole, as *holder*."""
    found = nested(text)
    entities = found.get("data") if type(found) is dict else found
    if type(entities) is not list:
        raise Rejected("contexts are no self-describing JSON")
    return [_entity(entity, holder) for entity in entities]


def _entity(entity: Any, holder: str) -> tuple[str, Any]:
    try:
        return _schema(entity["schema"]), entity.get("data")
    except (KeyError, TypeError, Rejected):
        return holder, entity


def _add_context(name: str, entities: list[Any], into: Record) -> None:
    """Add the fields of a context that occurs once, and the list of one that occurs more often."""
    said = [_said(entity) if type(entity) is dict else entity for entity in entities]
    if len(said) == 1 and type(said[0]) is dict:
        into |= {f"{name}_{field}": value for field, value in said[0].items()}
    else:
        into[name] = said


def _said(data: Record) -> Record:
    """Return what has a value: Parquet names every member of an object, whether it has one or not."""
    return {field: value for field, value in data.items() if value is not None}


@functools.lru_cache(4096)
def _schema(schema: Any, *, full: bool = True) -> str:
    found = _SCHEMA.match(str(schema))
    if not found:
        raise Rejected(f"schema is none of Iglu's: {shorten(schema)}")
    vendor, name = (part.replace(".", "_").replace("-", "_") for part in found.groups())
    # As Snowplow names the columns of loaded contexts: WebPage of org.schema is contexts_org_schema_web_page_1.
    snake = f"{vendor}_{_WORD_BEGINS.sub('_', name)}".lower()
    return _KNOWN.sub("", snake, count=1) if full else name


@functools.lru_cache(4096)
def _short(column: str) -> str:
    found = _COLUMN.fullmatch(column)
    return _KNOWN.sub("", found[1] if found else column, count=1)
