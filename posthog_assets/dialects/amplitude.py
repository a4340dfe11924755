"""Amplitude's raw events, from the Export API or from its exports to a bucket.

Belongs here: what each of Amplitude's fields becomes. Does not belong here: fetching (`sources.amplitude`), or the
machinery of such tables (`vendor`).

Where PostHog's own importer maps a field, the name is the same, and the uuid is Amplitude's as it stands, so that the
two do not duplicate each other. It differs on purpose where that one guesses: what `os_name` means depends on the
platform, `user_properties` belong to the person, and no time or id is ever made up. Fields:
https://amplitude.com/docs/apis/analytics/export#response-schema
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, ClassVar, Final, Literal

import orjson

from posthog_assets.core.errors import shorten
from posthog_assets.core.rejection import Rejected
from posthog_assets.dialects.base import SessionField, content_id
from posthog_assets.dialects.compiled import Code
from posthog_assets.dialects.reading import Reading
from posthog_assets.dialects.record import Record, as_id, versions_as_text
from posthog_assets.dialects.straight import write_left_out, write_name, write_tables
from posthog_assets.dialects.vendor import Vendor

_PAGE: Final = "event_properties.[Amplitude]"

#: What a browser's or phone's system is called in PostHog, by the beginning of what Amplitude calls it.
_SYSTEMS: Final = {
    "windows phone": "Windows Phone", "windows": "Windows", "mac": "Mac OS X", "apple mac": "Mac OS X",
    "linux": "Linux", "ubuntu": "Linux", "chrome os": "Chrome OS", "chromium os": "Chrome OS", "chromeos": "Chrome OS",
    "ios": "iOS", "ipados": "iOS", "iphone": "iOS", "ipad": "iOS", "ipod": "iOS", "apple iphone": "iOS",
    "apple ipad": "iOS", "apple ipod": "iOS", "tvos": "tvOS", "watchos": "watchOS", "android": "Android",
    "tizen": "Tizen", "freebsd": "FreeBSD", "harmonyos": "HarmonyOS", "kaios": "KaiOS",
}  # fmt: skip
#: The name of a system, with words that belong to it and a version; longest names first.
_SYSTEM: Final = re.compile(
    rf"(?:{'|'.join(sorted(map(re.escape, _SYSTEMS), key=len, reverse=True))})"
    r"(?:[ /](?:os|x|nt|xp|vista|server|[\d._]+))*"
)
_DESKTOPS: Final = frozenset({"Windows", "Mac OS X", "Linux", "Chrome OS", "FreeBSD"})
_PHONES: Final = frozenset({"iOS", "Android", "Windows Phone", "HarmonyOS", "KaiOS"})

#: Browsers, where a record does not say that it came from one.
_BROWSERS: Final = ("chrome", "safari", "firefox", "edge", "opera", "ie", "internet explorer", "mobile safari")

_ELEMENTS: Final = {"[Amplitude] Element Clicked": "click", "[Amplitude] Element Changed": "change"}

#: First touches that PostHog knows under a name of its own.
_INITIAL: Final = {
    f"initial_{name}": f"$initial_{name}"
    for name in (
        "referrer", "referring_domain", "utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "gclid",
        "dclid", "fbclid", "msclkid", "ttclid", "twclid", "wbraid", "gbraid", "li_fat_id", "rdt_cid",
    )
}  # fmt: skip


#: Fields that no table names, since `read` looks at them itself.
_READ_HERE: Final = frozenset({"$insert_id", "session_id", "os_name", "os_version"})


#: What says which device it was; all but the first are the arguments of `_device`.
_DEVICE_FIELDS: Final = ("device_id", "platform", "os_name", "os_version", "device_type", "device_family")


class Amplitude(Vendor):
    """One Amplitude project's events."""

    type: Literal["amplitude"] = "amplitude"

    event = "event_type"
    source_id = ("uuid",)
    user_id = ("user_id",)
    anonymous_id = ("device_id",)
    #: The server's clocks come last: they say when an event arrived.
    timestamp = ("event_time", "client_event_time", "server_received_time", "server_upload_time")

    session = SessionField("$amplitude_session_id", "ms")
    marks = (
        ("event_type", "amplitude_id", "server_upload_time"),
        ("event_type", "event_properties", "user_properties", "device_id"),
        ("event_type", "event_time", "$insert_id"),
    )
    verbatim_uuid: ClassVar[bool] = True
    describes_groups: ClassVar[bool] = True
    makes_ids = True

    names: ClassVar[Mapping[str, str]] = {
        "[Amplitude] Page Viewed": "$pageview",
        **dict.fromkeys(_ELEMENTS, "$autocapture"),
    }
    # PostHog#47001: both are Amplitude's own, and counting them as events of users makes every number wrong.
    left_out: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("session_start", "session_end"), "Amplitude's mark of a session, no event of the user"
    )

    spread = ("event_properties",)
    objects = frozenset({"user_properties", "groups", "group_properties"})
    numbers = frozenset(
        {"amplitude_id", "event_id", "session_id", "location_lat", "location_lng", "paying", "sample_rate"}
    )
    properties: ClassVar[Mapping[str, str]] = {
        "user_id": "$amplitude_user_id",
        "device_id": "$amplitude_device_id",
        "amplitude_id": "$amplitude_id",
        "event_id": "$amplitude_event_id",
        "data.first_event": "$amplitude_first_event",
        "data.merged_amplitude_id": "$amplitude_merged_amplitude_id",
        f"{_PAGE} Page Location": "$current_url",
        f"{_PAGE} Page URL": "$current_url",
        f"{_PAGE} Page Domain": "$host",
        f"{_PAGE} Page Path": "$pathname",
        f"{_PAGE} Page Title": "title",
        f"{_PAGE} Viewport Height": "$viewport_height",
        f"{_PAGE} Viewport Width": "$viewport_width",
        f"{_PAGE} Element Text": "$el_text",
        "event_properties.referrer": "$referrer",
        "event_properties.referring_domain": "$referring_domain",
        "ip_address": "$ip",
        "city": "$geoip_city_name",
        "region": "$geoip_subdivision_1_name",
        "country": "$geoip_country_name",
        "location_lat": "$geoip_latitude",
        "location_lng": "$geoip_longitude",
        "dma": "$amplitude_dma",
        "language": "$amplitude_language",
        "version_name": "$app_version",
        "device_manufacturer": "$device_manufacturer",
        "device_model": "$device_model",
        "device_brand": "$amplitude_device_brand",
        "device_family": "$amplitude_device_family",
        "device_type": "$amplitude_device_type",
        "device_carrier": "$network_carrier",
        "platform": "$amplitude_platform",
        "library": "$amplitude_library",
        "start_version": "$amplitude_start_version",
        "adid": "$amplitude_adid",
        "idfa": "$amplitude_idfa",
        "paying": "$amplitude_paying",
        "sample_rate": "$amplitude_sample_rate",
        # What the HTTP API takes beside the properties; event_properties of these names win.
        "revenue": "revenue",
        "price": "price",
        "quantity": "quantity",
        "product_id": "productId",
        "productId": "productId",
        "revenue_type": "revenueType",
        "revenueType": "revenueType",
        "currency": "currency",
    }
    not_imported = {
        "$insert_key": "a key of Amplitude's storage",
        "$schema": "the form of the record",
        "amplitude_attribution_ids": "ids of Amplitude's attribution",
        "amplitude_event_type": "the kind of event inside Amplitude; event_type names it",
        "app": "the number of the project in Amplitude",
        "client_upload_time": "when the device sent the event; the event's own time counts",
        "processed_time": "when Amplitude processed the event; the event's own time counts",
        "data": "notes of Amplitude's pipeline about the event",
        "data_type": "the kind of record, event in all",
        "global_user_properties": "properties of the user in all projects of the organization",
        "is_attribution_event": "a mark of Amplitude's attribution",
        "partner_id": "the id of the tool that sent the event to Amplitude",
        "plan": "the tracking plan in Amplitude",
        "source_id": "the id of the source in Amplitude",
    }
    person_set: ClassVar[Mapping[str, str]] = {
        "city": "$geoip_city_name",
        "region": "$geoip_subdivision_1_name",
        "country": "$geoip_country_name",
    }
    person_set_once: ClassVar[Mapping[str, str]] = {"user_creation_time": "$amplitude_user_creation_time"}

    notes: ClassVar[tuple[tuple[str, str], ...]] = (
        ("uuid, else device_id and $insert_id, else the content", "the event's uuid"),
        (
            "platform, os_name, os_version, device_type, device_family",
            "$browser …, $os …, $device_type; an os_name of the web is the browser, unless it is the name of a system",
        ),
        ("os_version of the web", "$browser_version: a number where it is whole in edition 1, text in edition 2"),
        ("user_properties", "person: initial_… once, without EMPTY; the others set"),
        ("user_properties of $groupidentify", "$amplitude_user_properties"),
        ("groups", "$groups: the first key of each type; $amplitude_groups: all, where a type has several"),
        ("group_properties", "$groupidentify, once a day and group"),
        ("$groupidentify of several groups", "the first group's call; those of the others are derived"),
        ("session_id", "$amplitude_session_id, unless -1"),
        ("$identify, $groupidentify", "PostHog's own call of that name"),
    )

    def is_known(self, field: str) -> bool:
        return field in _READ_HERE

    def read(self, record: Record) -> Reading:
        source_id = as_id(record.get("uuid"), "uuid") or _made_id(record)
        reading = super().read(record)
        properties, get = reading.properties, record.get
        reading.source_id = source_id
        self._add_device(get, properties)
        if told := get("user_properties"):
            if get("event_type") == "$groupidentify":
                # A call of PostHog's that is about a group says nothing of a person.
                properties["$amplitude_user_properties"] = told
            else:
                _read_person(told, reading)
        if groups := get("groups"):
            _read_groups(groups, reading)
        if told := get("group_properties"):
            _read_group_properties(told, reading)
        if reading.event[0] == "$":
            _read_call(get("event_type"), reading)
        return reading

    def _add_device(self, get: Callable[[str], Any], properties: Record) -> None:
        """Add what a record says of its device and session."""
        if device := get("device_id"):
            properties["$device_id"] = device
        if (session := get("session_id")) is not None and session not in (-1, 0):
            properties["$amplitude_session_id"] = session
        properties.update(_device(*map(get, _DEVICE_FIELDS[1:])))
        if self.edition > 1:
            versions_as_text(properties)

    def _of_groups(self, groups: Any, told: Any, into: Record) -> tuple[Record | None, Record | None]:
        """Return the keys of a record's groups and what it tells of groups; raises Rejected."""
        reading = Reading()
        reading.properties = into
        if groups:
            _read_groups(groups, reading)
        if told:
            _read_group_properties(told, reading)
        return reading.groups or None, reading.group_set or None

    @classmethod
    def write_reader(cls, code: Code) -> dict[str, Any]:
        """Write how an event becomes a row; calls of PostHog's names, and records without a uuid, are for `read`."""
        write_left_out(code, cls)
        write_name(code, "get('event_type')")
        code.add("if name in ('$identify', '$groupidentify'):", "    raise Odd")
        held = write_tables(code, cls, _DEVICE_FIELDS)
        device, *fields = [held.get(name) or f"get({name!r})" for name in _DEVICE_FIELDS]
        code.add(
            f"if {device}:",
            f"    into['$device_id'] = {device}",
            "if (session := get('session_id')) is not None and session not in (-1, 0):",
            "    into['$amplitude_session_id'] = session",
            f"into.update(device_of({', '.join(fields)}))",
            "if dialect.edition > 1:",
            "    versions_as_text(into)",
            "if (told := get('user_properties')):",
            "    for value, known_as in first_touches(tuple(told)):",
            "        value = told.pop(value)",
            "        if value is not None and value != 'EMPTY':",
            "            first[known_as] = value",
            "    if None in told.values():",
            "        told = {key: value for key, value in told.items() if value is not None}",
            "    last.update(told)",
            "if (value := get('groups')) or get('group_properties'):",
            "    of_groups, said = dialect._of_groups(value, get('group_properties'), into)",
            "if event[0] == '$' and name in elements:",
            "    into['$event_type'] = elements[name]",
        )
        return {
            "device_of": _device, "elements": _ELEMENTS, "first_touches": _first_touches,
            "versions_as_text": versions_as_text,
        }  # fmt: skip


def _made_id(record: Record) -> str:
    """Return an id for a record without a uuid: Amplitude itself takes two of a device and insert id for one event."""
    insert_id = record.get("$insert_id")
    if type(insert_id) is str and not insert_id.strip():
        insert_id = None
    return orjson.dumps([record.get("device_id"), insert_id]).decode() if insert_id else content_id(record)


def _read_call(name: Any, reading: Reading) -> None:
    if name in _ELEMENTS:
        reading.properties["$event_type"] = _ELEMENTS[name]
    elif name == "$identify":
        reading.kind = "identify"
    elif name == "$groupidentify":
        reading.kind = "group"
        _choose_group(reading)


def _choose_group(reading: Reading) -> None:
    """Make a call that of the one group PostHog's has room for: the first it names, else tells of.

    What it tells of others stays in `group_set`: their calls are derived, as from any event.
    """
    named, told = reading.groups, reading.group_set
    pairs = [*named.items(), *((kind, key) for kind, keys in told.items() for key in keys)]
    if not pairs:
        return
    kind, key = pairs[0]
    if len(named) > 1:
        reading.properties.setdefault("$amplitude_groups", named)
    reading.groups = {kind: key}
    keys = told.get(kind, {})
    reading.set = keys.pop(key, {})
    if not keys:
        told.pop(kind, None)


def _read_person(told: Any, reading: Reading) -> None:
    if type(told) is not dict:
        raise Rejected(f"user_properties are no object: {shorten(told)}")
    for name, known_as in _first_touches(tuple(told)):
        value = told.pop(name)
        if value is not None and value != "EMPTY":
            reading.set_once[known_as] = value
    if None in told.values():
        told = {name: value for name, value in told.items() if value is not None}
    reading.set.update(told)


@lru_cache(20_000)
def _first_touches(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return those of a record's user properties that tell of the first visit, each with its name in PostHog."""
    return tuple((name, _INITIAL.get(name, name)) for name in names if name.startswith("initial_"))


def _read_groups(groups: Any, reading: Reading) -> None:
    if type(groups) is not dict:
        raise Rejected(f"groups are no object: {shorten(groups)}")
    several = False
    for kind, keys in groups.items():
        named = [_key(key) for key in (keys if type(keys) is list else [keys]) if key is not None and key != ""]
        if named:
            reading.groups[kind] = named[0]
        several = several or len(named) > 1
    if several:
        reading.properties["$amplitude_groups"] = groups


def _key(key: Any) -> str:
    return key if type(key) is str else str(key) if type(key) is int else orjson.dumps(key).decode()


def _read_group_properties(told: Any, reading: Reading) -> None:
    if type(told) is not dict:
        raise Rejected(f"group_properties are no object: {shorten(told)}")
    for kind, keys in told.items():
        if type(keys) is dict and all(type(said) is dict for said in keys.values()):
            if known := {key: said for key, said in keys.items() if said}:
                reading.group_set[kind] = known
        elif keys is not None:
            # Of no group, as far as we can tell; kept all the same.
            reading.properties.setdefault("$amplitude_group_properties", {})[kind] = keys


@lru_cache(20_000, typed=True)
def _device(platform: Any, os_name: Any, os_version: Any, device_type: Any, family: Any) -> Mapping[str, Any]:
    """Return the properties of a browser or device; the caller leaves them as they are.

    Amplitude's browser SDKs write the browser into `os_name` and the system into `device_type`; all others mean what
    the names say, and so do those who send the system's name from a browser.
    """
    name, words = _text(os_name), f"{_text(device_type)} {_text(family)}".lower()
    if _is_system(name.lower()):
        system = _system(os_name)
        found = {"$os": system, "$os_version": os_version}
    elif _text(platform).lower() == "web" or (not platform and name.lower().startswith(_BROWSERS)):
        system = _system(device_type) or _system(family)
        found = {"$browser": name, "$browser_version": _number(os_version), "$os": system}
    else:
        system = _system(os_name) or name or _system(platform)
        found = {"$os": system, "$os_version": os_version}
    if "ipad" in words or "tablet" in words:
        found["$device_type"] = "Tablet"
    elif system in _DESKTOPS or system in _PHONES:
        found["$device_type"] = "Desktop" if system in _DESKTOPS else "Mobile"
    return {key: value for key, value in found.items() if value is not None and value != ""}


def _text(value: Any) -> str:
    return value.strip() if type(value) is str else ""


def _system(value: Any) -> str:
    words = _text(value).lower()
    return next((system for start, system in _SYSTEMS.items() if words.startswith(start)), "") if words else ""


def _is_system(words: str) -> bool:
    """Whether a name is that of a system and nothing else: "Android Browser" is none."""
    return bool(_SYSTEM.fullmatch(words))


def _number(version: Any) -> Any:
    # As posthog-js has it: a number, where it is one.
    return int(version) if type(version) is str and version.isascii() and version.isdigit() else version
