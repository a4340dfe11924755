"""Pendo: events of Data Sync's `allevents`, in the Avro it writes, as JSON lines or Parquet.

Belongs here: https://support.pendo.io/hc/en-us/articles/14121317891355 (Data Sync schema). Does not belong here: its
files of visitors and accounts.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field

from posthog_assets.dialects.reading import Reading
from posthog_assets.dialects.record import Record, as_id, nested, own_name
from posthog_assets.dialects.urls import add_place
from posthog_assets.dialects.vendor import Vendor

#: Where the name of a track event stands, in the row or among its properties.
_TRACK_NAMES: Final = ("trackEventName", "trackTypeName", "eventName")


class Pendo(Vendor):
    """One event per record; `propertiesJson` becomes properties beside the columns."""

    type: str = "pendo"
    event = "eventType"
    source_id = ("eventId",)
    user_id = ("visitorId",)
    timestamp = ("browserTimestamp",)
    marks = (("eventType", "visitorId", "browserTimestamp", "eventId"), ("visitorId", "browserTimestamp"))
    # As PostHog's own guide has it: posthog.com/docs/migrate/pendo.
    names = {
        "load": "$pageview",
        "click": "$autocapture",
        "change": "$autocapture",
        "focus": "$autocapture",
        "submit": "$autocapture",
        "pollResponse": "survey sent",
    }
    renames = {
        "url": "$current_url", "server": "$host", "remoteIp": "$ip", "userAgent": "$raw_user_agent",
        "browser": "$browser", "browserVersion": "$browser_version", "operatingSystem": "$os",
        "language": "$browser_language", "eventSource": "$lib", "country": "$geoip_country_name",
        "region": "$geoip_subdivision_1_name", "latitude": "$geoip_latitude", "longitude": "$geoip_longitude",
        "elementPath": "element_path", "pollId": "$survey_id", "pollResponse": "$survey_response",
    }  # fmt: skip
    dropped = frozenset(
        {
            "eventId", "eventType", "visitorId", "accountId", "oldVisitorId", "browserTimestamp", "periodId", "version",
            "matchableId", "destinationStepId", "propertiesJson", "properties", "trackEventName",
            "trackTypeName",
        }
    )  # fmt: skip
    takes_others = True
    nothing = frozenset({"", "0.0.0.0"})
    objects = frozenset({"propertiesJson", "properties"})
    numbers = frozenset({"latitude", "longitude"})
    texts = frozenset({"appId", "guideId", "guideStepId", "pageId", "featureId", "eventName"})
    notes = (
        ("eventType track", f"named by the first of {', '.join(_TRACK_NAMES)}, in the row or its properties"),
        ("eventType click, change, focus, submit", "$autocapture, with $event_type"),
        ("eventType identify", "$identify of visitorId and oldVisitorId"),
        (
            "propertiesJson, properties",
            "properties, as they are; they win over columns. What is no object is kept whole",
        ),
        ("accountId", "$groups, under group_type"),
        ("url", "$host and $pathname too"),
        ("other columns", "properties, as they are"),
    )

    group_type: str = Field("company", min_length=1, description="PostHog's group type of Pendo's accounts")

    def read(self, record: Record) -> Reading:
        kind = record.get("eventType")
        own, unread = _own(record)
        event = own_name(_track_name(record, own)) if kind == "track" else self.named(kind)
        reading = self.fields(record)
        reading.event = event
        self.take(record, reading.properties)
        self.take(own, reading.properties)
        reading.properties |= unread
        add_place(reading.properties.get("$current_url"), reading.properties)
        if event == "$autocapture" and kind != "track":
            reading.properties["$event_type"] = kind
        if account := as_id(record.get("accountId"), "accountId"):
            reading.groups = {self.group_type: account}
        if kind == "identify":
            reading.kind, reading.anonymous_id = "identify", record.get("oldVisitorId")
        return reading


def _own(record: Record) -> tuple[Record, Record]:
    """Return the event's own properties, and the fields that should hold some but no object, to be kept as they are."""
    own: Record = {}
    unread: Record = {}
    for field in ("properties", "propertiesJson"):
        said = nested(record.get(field))
        if type(said) is dict:
            own |= said
        elif said is not None and said != "" and said != []:
            unread[field] = said
    return own, unread


def _track_name(record: Record, own: Record) -> Any:
    return next((name for field in _TRACK_NAMES if (name := record.get(field) or own.get(field))), "track")
