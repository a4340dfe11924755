"""Google Analytics 4: rows of its BigQuery export, as JSON lines, Parquet or Avro.

Belongs here: https://support.google.com/analytics/answer/7029846. Does not belong here: querying BigQuery.

A daily table `events_YYYYMMDD` changes for 72 hours after its day, and an event is known by its content: one that was
exported before it changed is another one afterwards. `events_intraday_…` holds the same events before: leave it out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal

import pyarrow as pa
from pydantic import Field

from posthog_assets.core.schemas import TIMESTAMP
from posthog_assets.core.timestamps import read_timestamps
from posthog_assets.dialects.base import SessionField, content_id
from posthog_assets.dialects.reading import Reading
from posthog_assets.dialects.record import Record
from posthog_assets.dialects.urls import add_place
from posthog_assets.dialects.vendor import Vendor

#: Where the value of a parameter stands; in JSON, BigQuery writes whole numbers as text.
_VALUES: Final = ("string_value", "int_value", "double_value", "float_value")

_COUNTS: Final = ("total_item_quantity", "unique_items")

#: In µs; whatever lies outside is looked at one by one.
_YEAR_2100: Final = 4_102_444_800_000_000

#: What tells one event from another, beside its parameters: no field alone does.
_IDENTITY: Final = (
    "event_name", "user_pseudo_id", "event_timestamp", "event_bundle_sequence_id", "batch_page_id",
    "batch_ordering_id", "batch_event_index",
)  # fmt: skip


class GA4(Vendor):
    """One event per record; parameters become properties, user properties the person's."""

    type: str = "ga4"
    # support.google.com/analytics/answer/7029846: late events are added to a daily table for so long.
    final_after_hours = 72
    event = "event_name"
    user_id = ("user_id",)
    anonymous_id = ("user_pseudo_id",)
    timestamp = ("event_timestamp",)
    makes_ids = True
    session = SessionField("ga_session_id", "s")
    marks = (
        ("event_name", "event_timestamp", "event_params", "user_pseudo_id"),
        ("event_name", "event_timestamp", "event_params"),
        ("event_name", "event_timestamp", "user_pseudo_id"),
    )
    # As PostHog's own guide has it: posthog.com/docs/migrate/google-analytics.
    names = {"page_view": "$pageview", "screen_view": "$screen", "user_engagement": "$autocapture"}
    left_out = {
        "session_start": "PostHog makes sessions itself",
        "first_visit": "PostHog knows a person's first event",
    }
    properties = {
        "platform": "platform", "stream_id": "stream_id", "event_value_in_usd": "event_value_in_usd",
        "is_active_user": "is_active_user", "event_dimensions.hostname": "$host", "device.category": "$device_type",
        "device.operating_system": "$os", "device.operating_system_version": "$os_version",
        "device.mobile_brand_name": "$device_manufacturer", "device.mobile_model_name": "$device_model",
        "device.language": "$browser_language", "device.browser": "$browser",
        "device.browser_version": "$browser_version", "device.web_info.browser": "$browser",
        "device.web_info.browser_version": "$browser_version", "device.web_info.hostname": "$host",
        "geo.city": "$geoip_city_name", "geo.region": "$geoip_subdivision_1_name",
        "geo.country": "$geoip_country_name", "geo.continent": "$geoip_continent_name",
        "geo.sub_continent": "geo_sub_continent", "geo.metro": "geo_metro",
        "app_info.id": "$app_namespace", "app_info.version": "$app_version",
        "app_info.install_source": "app_install_source", "app_info.firebase_app_id": "firebase_app_id",
        "collected_traffic_source.manual_source": "utm_source",
        "collected_traffic_source.manual_medium": "utm_medium",
        "collected_traffic_source.manual_campaign_name": "utm_campaign",
        "collected_traffic_source.manual_content": "utm_content", "collected_traffic_source.manual_term": "utm_term",
        "collected_traffic_source.manual_campaign_id": "utm_id",
        "collected_traffic_source.manual_source_platform": "utm_source_platform",
        "collected_traffic_source.manual_creative_format": "utm_creative_format",
        "collected_traffic_source.manual_marketing_tactic": "utm_marketing_tactic",
        "collected_traffic_source.srsltid": "srsltid",
        "collected_traffic_source.gclid": "gclid", "collected_traffic_source.dclid": "dclid",
        "ecommerce.transaction_id": "transaction_id", "ecommerce.purchase_revenue": "purchase_revenue",
        "ecommerce.purchase_revenue_in_usd": "purchase_revenue_in_usd", "ecommerce.refund_value": "refund_value",
        "ecommerce.shipping_value": "shipping_value", "ecommerce.tax_value": "tax_value",
        "ecommerce.total_item_quantity": "total_item_quantity", "ecommerce.unique_items": "unique_items",
        "ecommerce.value": "value", "ecommerce.currency": "currency",
        "ecommerce.refund_value_in_usd": "refund_value_in_usd",
        "ecommerce.shipping_value_in_usd": "shipping_value_in_usd", "ecommerce.tax_value_in_usd": "tax_value_in_usd",
        "publisher.ad_revenue_in_usd": "ad_revenue_in_usd", "publisher.ad_format": "ad_format",
        "publisher.ad_source_name": "ad_source_name", "publisher.ad_unit_id": "ad_unit_id",
    }  # fmt: skip
    renames = {
        "page_location": "$current_url", "page_referrer": "$referrer", "page_title": "title",
        "firebase_screen": "$screen_name", "firebase_previous_screen": "$previous_screen_name",
    }  # fmt: skip
    person_set = {"user_ltv.revenue": "user_ltv_revenue", "user_ltv.currency": "user_ltv_currency"}
    person_set_once = {
        "traffic_source.source": "$initial_utm_source", "traffic_source.medium": "$initial_utm_medium",
        "traffic_source.name": "$initial_utm_campaign", "user_first_touch_timestamp": "user_first_touch_timestamp",
    }  # fmt: skip
    objects = frozenset({"event_params", "user_properties", "items"})
    not_imported = {
        "event_date": "the day of event_timestamp in the property's time zone",
        "event_previous_timestamp": "the time of the event before; that event has it",
        "event_server_timestamp_offset": "how late the event came in",
        "event_bundle_sequence_id": "the order of the upload, a part of the id",
        "batch_event_index": "the order of the upload, a part of the id",
        "batch_page_id": "the order of the upload, a part of the id",
        "batch_ordering_id": "the order of the upload, a part of the id",
        "device.vendor_id": "an id of the device for advertising",
        "device.advertising_id": "an id of the device for advertising",
        "device.is_limited_ad_tracking": "a setting of the device for advertising",
        "device.time_zone_offset_seconds": "the clock of the device; event_timestamp is UTC",
        "device.mobile_marketing_name": "another name of the device's model",
        "device.mobile_os_hardware_model": "another name of the device's model",
        "privacy_info": "what the user consented to, which Google has applied",
        "session_traffic_source_last_click": "Google's attribution of the session, repeated on each event",
    }
    numbers = frozenset({"event_value_in_usd", "is_active_user"})
    nothing = frozenset({"", "(not set)", "(not provided)", "(direct)", "(none)"})
    notes = (
        ("event_params[]", "properties, by their keys, under the names above"),
        ("user_properties[]", "$set, by their keys"),
        ("items[]", "items, empty members left out"),
        ("page_location", "$host and $pathname too"),
        ("device.category desktop, mobile, tablet", "$device_type Desktop, Mobile, Tablet"),
        (f"{', '.join(_IDENTITY)}, event_params", "the id: a hash over them; events equal in all of them are all kept"),
    )

    without_id: Literal["reject", "personless"] = Field(
        "reject",
        description="What an event without user_id and user_pseudo_id, as of consent mode, becomes: rejected, or "
        "an event without a person, each under an id of its own",
    )

    def instants(self, values: list[Any]) -> tuple[pa.Array, dict[int, str]]:
        if set(map(type, values)) <= {int, str}:
            try:
                whole = [int(value) for value in values]
            except ValueError:
                whole = []
            if whole and min(whole) >= 0 and max(whole) < _YEAR_2100:
                return pa.array(whole, pa.int64()).cast(TIMESTAMP), {}
        return read_timestamps(values, "UTC", unit="us", window=self._window)

    def fields(self, record: Record) -> Reading:
        reading = super().fields(record)
        properties, parameters = reading.properties, self._flat(record.get("event_params"))
        identity = [_whole(record.get(name)) for name in _IDENTITY]
        reading.source_id = content_id([*identity, parameters])
        self.take(parameters, properties)
        add_place(properties.get("$current_url"), properties)
        if "$device_type" in properties:
            properties["$device_type"] = str(properties["$device_type"]).capitalize()
        if first := reading.set_once.get("user_first_touch_timestamp"):
            reading.set_once["user_first_touch_timestamp"] = _whole(first)
        for name in _COUNTS:
            if name in properties:
                properties[name] = _whole(properties[name])
        if items := self._items(record.get("items")):
            properties["items"] = items
        if self.without_id == "personless" and not (reading.user_id or reading.anonymous_id):
            # Consent mode sends such events: each is somebody else's, of whom PostHog is to know nothing.
            reading.anonymous_id = reading.source_id
            properties["$process_person_profile"] = False
        if found := record.get("user_properties"):
            reading.set |= self._said(self._flat(found))
        return reading

    def _flat(self, parameters: Any) -> Record:
        """Return repeated {key, value} records as one object, without those that have no value."""
        flat = {}
        for key, value in _pairs(parameters):
            if type(value) is dict:
                for name in _VALUES:
                    found = value.get(name)
                    if found is not None:
                        flat[key] = _whole(found) if name == "int_value" else found
                        break
            elif value is not None:
                flat[key] = value
        return flat

    def _items(self, items: Any) -> list[Record]:
        return [
            self._said({key: value for key, value in item.items() if key != "item_params"})
            | self._flat(item.get("item_params"))
            for item in _elements(items)
        ]

    def _said(self, members: Record) -> Record:
        nothing = self.nothing
        return {
            key: value
            for key, value in members.items()
            if value is not None and not (type(value) is str and value in nothing)
        }


def _pairs(parameters: Any) -> Iterable[tuple[str, Any]]:
    """Yield (key, value) of a list of {key, value}, or of a map."""
    if type(parameters) is dict and "list" not in parameters:
        return parameters.items()
    return [(item["key"], item.get("value")) for item in _elements(parameters)]


def _elements(repeated: Any) -> list[Any]:
    """Return the elements of a repeated field; some Parquet writers leave {list: [{element: …}]}."""
    if type(repeated) is dict:
        repeated = [item["element"] for item in repeated["list"]]
    return repeated or []


def _whole(value: Any) -> Any:
    if type(value) is str and value.removeprefix("-").isdecimal() and len(value) < 19:
        return int(value)
    return value
