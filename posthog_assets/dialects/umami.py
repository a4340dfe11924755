"""Umami: rows of its table `website_event`, from its database or from the CSV export, beside those of `session`.

Belongs here: https://github.com/umami-software/umami/tree/master/db (its schemas). Does not belong here: querying its
database (`sources.sql`).

Umami has no cookies: what it calls a session is a visitor, a hash that changes every month; its visits are sessions.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl

from posthog_assets.core.rejection import Rejected
from posthog_assets.dialects.base import SessionField
from posthog_assets.dialects.reading import Reading
from posthog_assets.dialects.record import Record, as_object, nested, own_name
from posthog_assets.dialects.vendor import Vendor

#: The kinds of events that have a name of their own only where somebody gave them one.
_KINDS: Final = {"1": "$pageview", "2": None, "3": "link", "4": "pixel", "5": "$web_vitals"}

#: Umami's measurements of a page, as PostHog's web SDK calls them; ttfb has no name there.
_VITALS: Final = {
    "lcp": "$web_vitals_LCP_value", "inp": "$web_vitals_INP_value", "cls": "$web_vitals_CLS_value",
    "fcp": "$web_vitals_FCP_value", "ttfb": "ttfb",
}  # fmt: skip

#: As PostHog's own SDKs name what Umami abbreviates.
_BROWSERS: Final = {
    "chrome": "Chrome", "chromium-webview": "Chrome", "crios": "Chrome iOS", "edge": "Microsoft Edge",
    "edge-chromium": "Microsoft Edge", "edge-ios": "Microsoft Edge", "facebook": "Facebook Mobile",
    "firefox": "Firefox", "fxios": "Firefox iOS", "ie": "Internet Explorer", "ios": "Mobile Safari",
    "ios-webview": "Mobile Safari", "opera": "Opera", "opera-mini": "Opera Mini", "safari": "Safari",
    "samsung": "Samsung Internet",
}  # fmt: skip
_SYSTEMS: Final = {"Mac OS": "Mac OS X", "Android OS": "Android"}
_DEVICES: Final = {"desktop": "Desktop", "laptop": "Desktop", "mobile": "Mobile", "tablet": "Tablet"}

_CAMPAIGN: Final = frozenset(
    {
        "utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "gclid", "fbclid", "msclkid", "ttclid",
        "twclid", "li_fat_id",
    }
)  # fmt: skip

#: Where a row of `event_data` has its value.
_VALUES: Final = ("string_value", "number_value", "date_value")


class Umami(Vendor):
    """One event per record: the columns of `website_event`, and those of `session` where they are joined to it."""

    type: str = "umami"
    event = "event_name"
    source_id = ("event_id",)
    user_id = ("distinct_id",)
    anonymous_id = ("session_id",)
    timestamp = ("created_at",)
    session = SessionField("umami_visit_id")
    marks = (
        ("event_id", "visit_id", "session_id", "url_path"),
        ("event_id", "session_id", "website_id", "url_path"),
    )
    properties = {
        "website_id": "umami_website_id", "visit_id": "umami_visit_id", "hostname": "$host", "url_path": "$pathname",
        "page_title": "title", "tag": "tag", "language": "$browser_language", "country": "$geoip_country_code",
        "subdivision1": "$geoip_subdivision_1_code", "region": "$geoip_subdivision_1_code",
        "subdivision2": "$geoip_subdivision_2_name", "city": "$geoip_city_name", "ip": "$ip",
    } | {name: name for name in sorted(_CAMPAIGN)} | _VITALS  # fmt: skip
    objects = frozenset({"event_data", "session_data"})
    numbers = frozenset({"event_type", *_VITALS})
    notes = (
        ("event_type 1", "$pageview"),
        ("event_type 2", "named by event_name"),
        ("event_type 3, 4", "named by event_name, else link, pixel"),
        ("event_type 5", "$web_vitals, with what was measured"),
        ("hostname, url_path, url_query", "$current_url; campaign parameters of url_query, where no column has them"),
        ("referrer_domain, referrer_path, referrer_query", "$referrer, $referring_domain"),
        ("browser, os, device, screen", "$browser, $os, $os_version, $device_type, $screen_width, $screen_height"),
        ("event_data", "properties, which win: an object, or rows of the table with data_key and a value"),
        ("session_data", "$set, likewise"),
        ("job_id, other columns", "not imported"),
    )

    def read(self, record: Record) -> Reading:
        name = self.named(_name(record))
        reading = self.fields(record)
        reading.event, properties = name, reading.properties
        _add_addresses(record, properties)
        _add_device(record, properties)
        properties |= _members(record.get("event_data"), "event_data")
        reading.set |= _members(record.get("session_data"), "session_data")
        return reading


def _name(record: Record) -> Any:
    """Return an event's name by its kind; one without a kind is a page view, unless it has a name."""
    kind, name = record.get("event_type"), record.get("event_name")
    if kind is None or kind == "":
        return name or "$pageview"
    known = str(kind)
    if known not in _KINDS:
        raise Rejected(f"event_type is none of {', '.join(_KINDS)}: {known[:200]}")
    return "$pageview" if known == "1" else name or own_name(_KINDS[known])


def _add_addresses(record: Record, into: Record) -> None:
    host, path, query = (_said(record.get(name)) for name in ("hostname", "url_path", "url_query"))
    if host and path:
        into["$current_url"] = _address(host, path, query)
    for name, value in parse_qsl(query.removeprefix("?")):
        if name in _CAMPAIGN:
            into.setdefault(name, value)
    domain, path, query = (_said(record.get(f"referrer_{name}")) for name in ("domain", "path", "query"))
    if domain:
        into["$referrer"], into["$referring_domain"] = _address(domain, path, query), domain


def _address(host: str, path: str, query: str) -> str:
    # Umami does not keep the scheme.
    return f"https://{host}{path}" + (f"?{query.removeprefix('?')}" if query else "")


def _add_device(record: Record, into: Record) -> None:
    browser, system, device = (_said(record.get(name)) for name in ("browser", "os", "device"))
    if browser:
        into["$browser"] = _BROWSERS.get(browser, browser)
    if system:
        into["$os"] = _SYSTEMS.get(system, system)
        if system.startswith("Windows "):
            into["$os"], into["$os_version"] = "Windows", system.removeprefix("Windows ")
    if device:
        into["$device_type"] = _DEVICES.get(device, device)
    width, _, height = _said(record.get("screen")).partition("x")
    if width.isdecimal() and height.isdecimal():
        into["$screen_width"], into["$screen_height"] = int(width), int(height)


def _members(value: Any, what: str) -> Record:
    """Return the members of an object, or of a list of rows that each name one; raises Rejected."""
    found = nested(value)
    if type(found) is not list:
        return as_object(found, what)
    members = {}
    for row in found:
        said = next((row[name] for name in _VALUES if row.get(name) is not None), None)
        if said is not None:
            members[row["data_key"]] = said
    return members


def _said(value: Any) -> str:
    return value if type(value) is str else ""
