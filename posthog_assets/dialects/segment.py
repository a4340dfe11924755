"""Segment: messages of its six calls, as archived on S3 and by other storage destinations.

Belongs here: https://segment.com/docs/connections/spec. Does not belong here: what differs at RudderStack
(`rudderstack`), or what identify, alias and group calls become (`mapping.kinds`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from posthog_assets.core.errors import shorten
from posthog_assets.core.rejection import Rejected
from posthog_assets.dialects.base import SessionField
from posthog_assets.dialects.reading import Reading
from posthog_assets.dialects.record import Record, as_object, versions_as_text
from posthog_assets.dialects.urls import add_place
from posthog_assets.dialects.vendor import Vendor

_CALLS: Final = ("track", "page", "screen", "identify", "group", "alias")

#: What analytics.js adds to the properties of every page call; track calls may mean something else by these names.
_PAGE: Final = {"url": "$current_url", "path": "$pathname", "referrer": "$referrer", "search": "$search"}

#: Members of `context`, and the properties they are in PostHog.
_CONTEXT: Final = {
    "page.url": "$current_url", "page.path": "$pathname", "page.referrer": "$referrer",
    "page.title": "title", "page.search": "$search", "campaign.source": "utm_source",
    "campaign.medium": "utm_medium", "campaign.name": "utm_campaign",
    "campaign.content": "utm_content", "campaign.term": "utm_term",
    "os.name": "$os", "os.version": "$os_version", "device.id": "$device_id",
    "device.manufacturer": "$device_manufacturer", "device.model": "$device_model",
    "device.name": "$device_name", "device.type": "$device_type",
    "screen.width": "$screen_width", "screen.height": "$screen_height",
    "app.name": "$app_name", "app.version": "$app_version", "app.build": "$app_build",
    "app.namespace": "$app_namespace", "library.name": "$lib",
    "library.version": "$lib_version", "network.carrier": "$network_carrier",
    "network.cellular": "$network_cellular", "network.wifi": "$network_wifi",
    "ip": "$ip", "locale": "$locale", "timezone": "$timezone",
    "userAgent": "$raw_user_agent", "location.city": "$geoip_city_name",
    "location.country": "$geoip_country_name", "location.region": "$geoip_subdivision_1_name",
    "location.latitude": "$geoip_latitude", "location.longitude": "$geoip_longitude",
    "sessionId": "$segment_session_id",
}  # fmt: skip


class Segment(Vendor):
    """One message per record. What the sender put into `properties` wins over `context`."""

    type: str = "segment"
    session = SessionField("$segment_session_id", "ms", hidden=True)
    source_id = ("messageId",)
    user_id = ("userId",)
    anonymous_id = ("anonymousId",)
    marks: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("type", "messageId", "originalTimestamp"),
        ("type", "messageId", "anonymousId"),
        ("type", "messageId", "userId"),
        ("type", "context", "anonymousId"),
        ("type", "context", "userId"),
    )
    # A phone may have been offline for days: the arrival is no time of the event, only better than an impossible one.
    timestamp = ("timestamp", "originalTimestamp")
    arrival = ("receivedAt",)
    properties = {f"context.{member}": name for member, name in _CONTEXT.items()}
    spread = ("properties",)
    objects = frozenset({"traits", "context.traits"})
    not_imported: ClassVar[Mapping[str, str]] = {
        "receivedAt": "when Segment got the message; the event's own time counts, where it can be read and be true",
        "sentAt": "when the sender's queue was emptied; the event's own time counts",
        "integrations": "which of Segment's destinations were to get the message",
        "_metadata": "which of Segment's destinations were to get the message",
        "projectId": "the id of the source in Segment",
        "writeKey": "the key of the source in Segment",
        "version": "the version of Segment's API",
        "context.device.token": "a token for push messages, which is a secret of the device",
        "context.protocols": "what Segment's Protocols found of the message",
    }
    # An anonymised IP is none.
    nothing = frozenset({"", "0.0.0.0"})
    notes: ClassVar[tuple[tuple[str, str], ...]] = (
        ("type track", "event, properties"),
        ("type page", "$pageview; name and category become properties, url, path, referrer, search as in context.page"),
        ("type screen", "$screen; name becomes $screen_name"),
        ("type identify", "$identify; context.traits and traits (which win) become $set"),
        ("type group", "$groupidentify of groupId under group_type, traits its properties"),
        ("type alias", "$create_alias of previousId (else anonymousId) and userId"),
        ("context.groupId", "$groups, under group_type"),
        ("context.traits", "$set, of every call or of identify calls only: see persons"),
        ("context.device.type ios, android", "$device_type Mobile"),
        ("the URL of the page", "$host, and $pathname where there is no path: edition 2"),
        ("numbers as versions", "text: edition 2"),
        ("objects that are JSON text", "what it says; what is no object rejects the message"),
    )

    group_type: str = Field("company", min_length=1, description="PostHog's group type of the groups in group calls")
    persons: Literal["every_call", "identify"] = Field(
        "every_call", description="Which calls link anonymousId to userId and set context.traits"
    )

    @classmethod
    def recognize(cls, record: Record) -> tuple[str, ...]:
        call = record.get("type")
        return super().recognize(record) if type(call) is str and call.lower() in _CALLS else ()

    @property
    def links_identities(self) -> bool:
        return self.persons == "every_call"

    def read(self, record: Record) -> Reading:
        call = record.get("type")
        call = call.lower() if type(call) is str else call
        if call not in _CALLS:
            raise Rejected(f"type is none of {', '.join(_CALLS)}: {shorten(call)}")
        if type(record.get("context")) is not dict:
            record["context"] = as_object(record.get("context") or None, "context")
        if call == "page" and type(record.get("properties")) is dict:
            _as_page(record["properties"])
        # An event's own name is read first, so that what is left out is not read at all.
        name = self.named(record.get("event")) if call == "track" else call
        reading = self.fields(record)
        reading.event = name
        if reading.properties.get("$device_type") in ("ios", "android"):
            reading.properties["$device_type"] = "Mobile"
        if self.edition > 1:
            add_place(reading.properties.get("$current_url"), reading.properties)
            versions_as_text(reading.properties)
        context = record["context"]
        if group := context.get("groupId"):
            reading.groups = {self.group_type: _key(group)}
        if call != "group" and (call == "identify" or self.persons == "every_call"):
            reading.set |= _traits(context, "context.traits")
        if call != "track":
            getattr(self, f"_{call}")(record, reading)
        return reading

    def _page(self, record: Record, reading: Reading) -> None:
        reading.event = "$pageview"
        for field in ("name", "category"):
            if value := record.get(field):
                reading.properties.setdefault(field, value)

    def _screen(self, record: Record, reading: Reading) -> None:
        reading.event, properties = "$screen", reading.properties
        if name := record.get("name") or properties.get("name"):
            properties.setdefault("$screen_name", name)
            if properties.get("name") == name:
                del properties["name"]
        if category := record.get("category"):
            properties.setdefault("category", category)

    def _identify(self, record: Record, reading: Reading) -> None:
        reading.kind = "identify"
        reading.set |= _traits(record, "traits")

    def _group(self, record: Record, reading: Reading) -> None:
        reading.kind = "group"
        if not (group := record.get("groupId")):
            raise Rejected("group call has no groupId")
        reading.set = _traits(record, "traits")
        reading.groups = {self.type_of_group(reading.set): _key(group)}

    def type_of_group(self, traits: Record) -> str:
        """Return the type of the group of a group call; what of *traits* says it may be taken out of them."""
        return self.group_type

    def _alias(self, record: Record, reading: Reading) -> None:
        reading.kind = "alias"
        reading.anonymous_id = record.get("previousId") or reading.anonymous_id


def _traits(holder: Record, what: str) -> Record:
    traits = holder.get("traits")
    return traits if type(traits) is dict else as_object(traits or None, what)


def _as_page(properties: Record) -> None:
    for name, renamed in _PAGE.items():
        if (value := properties.pop(name, None)) not in (None, ""):
            properties.setdefault(renamed, value)


def _key(group: Any) -> str:
    if type(group) in (str, int):
        return str(group)
    raise Rejected(f"groupId is neither text nor a whole number: {shorten(group)}")
