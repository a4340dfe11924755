"""Matomo: the actions of the visits that `Live.getLastVisitsDetails` returns as JSON.

Belongs here: https://developer.matomo.org/api-reference/reporting-api#Live. Does not belong here: calling the API.

A record is one action with its visit around it. The API gives visits with a list of actions: `unfold: actionDetails`
in the source makes a record of each action when the file is read, so that a row is still one record.
"""

from __future__ import annotations

import functools
from typing import Any, Final

from posthog_assets.core.json_text import numbered
from posthog_assets.core.rejection import Rejected
from posthog_assets.dialects.base import SessionField, content_id
from posthog_assets.dialects.reading import Reading
from posthog_assets.dialects.record import Record, number, own_name
from posthog_assets.dialects.urls import add_place
from posthog_assets.dialects.vendor import Vendor

_ACTION: Final = "actionDetails"

_DEVICES: Final = {"Smartphone": "Mobile", "Phablet": "Mobile", "Feature phone": "Mobile"}

#: Text in Matomo's answer.
_NUMBERS: Final = ("$geoip_latitude", "$geoip_longitude")


class Matomo(Vendor):
    """One action per record, below `actionDetails`, beside the fields of its visit."""

    type: str = "matomo"
    event = "actionDetails.type"
    user_id = ("userId",)
    anonymous_id = ("visitorId",)
    timestamp = ("actionDetails.timestamp",)
    makes_ids = True
    session = SessionField("matomo_visit_id")
    unfolds = _ACTION
    marks = (("idVisit", "actionDetails", "visitorId"), ("idVisit", "actionDetails"))
    names = {"action": "$pageview", "search": "site search"}
    left_out = {"goal": "a goal repeats the action that reached it"}
    properties = {
        "idSite": "matomo_site_id", "idVisit": "matomo_visit_id", "siteName": "site_name",
        "visitorType": "visitor_type", "browserName": "$browser", "browserVersion": "$browser_version",
        "operatingSystemName": "$os", "operatingSystemVersion": "$os_version", "deviceType": "$device_type",
        "deviceBrand": "$device_manufacturer", "deviceModel": "$device_model", "languageCode": "$browser_language",
        "visitIp": "$ip", "city": "$geoip_city_name", "region": "$geoip_subdivision_1_name",
        "regionCode": "$geoip_subdivision_1_code", "country": "$geoip_country_name",
        "countryCode": "$geoip_country_code", "continent": "$geoip_continent_name",
        "latitude": "$geoip_latitude", "longitude": "$geoip_longitude", "referrerUrl": "$referrer",
        "referrerType": "referrer_type", "referrerName": "referrer_name", "referrerKeyword": "referrer_keyword",
        "campaignName": "utm_campaign", "campaignSource": "utm_source", "campaignMedium": "utm_medium",
        "campaignKeyword": "utm_term", "campaignContent": "utm_content",
    }  # fmt: skip
    renames = {
        "url": "$current_url", "pageTitle": "title", "siteSearchKeyword": "search_keyword",
        "siteSearchCategory": "search_category", "siteSearchCount": "search_count",
    }  # fmt: skip
    dropped = frozenset(
        {
            "type", "timestamp", "pageId", "pageIdAction", "idpageview", "serverTimePretty", "timeSpentPretty", "title",
            "subtitle", "icon", "iconSVG", "pageLoadTime", "generationTime", "bandwidth_pretty",
        }
    )  # fmt: skip
    objects = frozenset({_ACTION})
    not_imported = {
        field: why
        for why, fields in {
            "the days and times of the visit; an event has its own": (
                "serverDate", "serverTimestamp", "serverTimePretty", "serverDatePretty", "serverDatePrettyFirstAction",
                "serverTimePrettyFirstAction", "firstActionTimestamp", "lastActionTimestamp", "lastActionDateTime",
                "visitServerHour", "visitLocalTime", "visitLocalHour",
            ),
            "counts over the visit and those before it, which PostHog makes of the events": (
                "goalConversions", "visitConverted", "visitCount", "visitEcommerceStatus", "visitDuration",
                "daysSinceFirstVisit", "secondsSinceFirstVisit", "daysSinceLastVisit", "secondsSinceLastVisit",
                "daysSinceLastEcommerceOrder", "secondsSinceLastEcommerceOrder", "searches", "actions", "interactions",
                "events", "totalEcommerceRevenue", "totalEcommerceConversions", "totalEcommerceItems",
                "totalAbandonedCarts", "totalAbandonedCartsRevenue", "totalAbandonedCartsItems", "visitDurationPretty",
            ),
            "another form of a field that is imported, or made for display": (
                "operatingSystem", "operatingSystemCode", "operatingSystemIcon", "browser", "browserCode",
                "browserFamily", "browserFamilyDescription", "browserIcon", "language", "referrerTypeName",
                "continentCode", "location", "countryFlag", "deviceTypeIcon", "visitorTypeIcon", "visitConvertedIcon",
                "visitEcommerceStatusIcon", "referrerSearchEngineIcon", "referrerSearchEngineUrl", "pluginsIcons",
                "referrerSocialNetworkIcon", "referrerSocialNetworkUrl", "siteCurrencySymbol",
            ),
            "what the browser had installed": ("plugins",),
            "an id of the device for one day, which is not known as an id anywhere": ("fingerprint",),
        }.items()
        for field in fields
    }  # fmt: skip
    numbers = frozenset({"idSite", "idVisit"})
    nothing = frozenset({"", "-", "Unknown", "unknown", "Keyword not defined", "0.0.0.0"})
    notes = (
        ("type event", "named by eventAction; eventCategory, eventName, eventValue stay properties"),
        ("other types (download, outlink, content, ecommerceOrder …)", "events of that name"),
        ("other members of an action", "properties, as they are, less texts made for display"),
        ("dimension1 … of the visit", "properties, as they are"),
        ("resolution", "$screen_width, $screen_height"),
        ("url", "$host and $pathname too"),
        ("deviceType Smartphone, Phablet, Feature phone", "$device_type Mobile"),
        ("idVisit, actionDetails.pageId", "the id; where there is no pageId, a hash over the action"),
        ("actionDetails as an object with numbered keys", "its members, as if it were a list"),
        ("visits without actions", "rejected"),
    )

    def is_known(self, field: str) -> bool:
        return field.startswith("dimension")

    @property
    def day_columns(self) -> tuple[str, ...]:
        # A visit is split off before it is unfolded into its actions.
        return ("firstActionTimestamp", "serverTimestamp", "lastActionTimestamp", "serverDate")

    def read(self, record: Record) -> Reading:
        action = record.get(_ACTION)
        if type(action) is list or numbered(action) is not None:
            raise Rejected(
                f"visit is not unfolded into its actions, set source.unfold to {_ACTION}"
                if action
                else "visit has no actions"
            )
        if type(action) is not dict:
            raise Rejected(f"record has no {_ACTION}")
        kind = action.get("type")
        name = own_name(action.get("eventAction")) if kind == "event" else self.named(kind)
        reading = self.fields(record)
        reading.event = name
        reading.source_id = _id(record, action)
        properties = reading.properties
        for key in _dimensions(tuple(record)):
            if (value := record[key]) not in (None, ""):
                properties[key] = value
        _add_screen(record.get("resolution"), properties)
        if (device := properties.get("$device_type")) in _DEVICES:
            properties["$device_type"] = _DEVICES[device]
        for key in _NUMBERS:
            if key in properties:
                properties[key] = number(properties[key])
        self.take(action, properties)
        if kind in ("action", "search", "event"):
            add_place(action.get("url"), properties)
        return reading


def _id(visit: Record, action: Record) -> str:
    """Return an id that stays while the visit goes on and its own fields change."""
    visit_id, page_id = visit.get("idVisit"), action.get("pageId")
    if visit_id is not None and page_id is not None:
        return f"{visit_id}-{page_id}"
    return content_id([visit_id, action])


@functools.lru_cache(256)
def _dimensions(fields: tuple[str, ...]) -> tuple[str, ...]:
    """Return which of a visit's fields are custom dimensions; visits have some 120 fields, mostly the same."""
    return tuple(field for field in fields if field.startswith("dimension"))


def _add_screen(resolution: Any, into: Record) -> None:
    """Add the width and height in "1920x1080"."""
    width, _, height = str(resolution).partition("x")
    if width.isdecimal() and height.isdecimal():
        into["$screen_width"], into["$screen_height"] = int(width), int(height)
