"""Heap: rows of its Connect tables and one-time exports (pageviews, sessions, one table per event, users, migrations).

Belongs here: https://help.heap.io/heap-connect/heap-connect-guide/data-schema. Does not belong here: querying a
warehouse.

Import `users` before `user_migrations`: PostHog merges no id that is somebody's already, so the user that others
migrate to must be linked to its identity first.
"""

from __future__ import annotations

import functools
import re
from typing import Any, Final

from pydantic import Field

from posthog_assets.core.rejection import Rejected
from posthog_assets.dialects.base import SessionField
from posthog_assets.dialects.reading import Reading
from posthog_assets.dialects.record import Record, nested
from posthog_assets.dialects.vendor import Vendor

#: How JSON text begins, escaped once or twice.
_JSON: Final = '{["'

_PLATFORM: Final = re.compile(r"(.*\S)\s+(\d\S*)")

#: Of `users`, what is no property of a person.
_NO_TRAIT: Final = frozenset({"id", "user_id", "full_initial_referrer"})


class Heap(Vendor):
    """One row per record. Event tables do not say which they are: name it in `table`, one import each."""

    type: str = "heap"
    event = "event_table_name"
    source_id = ("event_id",)
    user_id = ("identity",)
    anonymous_id = ("user_id",)
    timestamp = ("time",)
    session = SessionField("heap_session_id")
    marks = (
        ("event_id", "user_id", "session_id", "event_table_name"),
        ("event_id", "user_id", "session_id", "session_time"),
        ("from_user_id", "to_user_id", "time"),
        ("user_id", "joindate", "identity"),
        ("user_id", "joindate", "last_modified"),
        ("id", "joindate", "identity"),
    )
    names = {"pageviews": "$pageview", "pageview": "$pageview"}
    left_out = {"sessions": "PostHog makes sessions itself", "session": "PostHog makes sessions itself"}
    renames = {
        "browser": "$browser", "browser_version": "$browser_version", "device_type": "$device_type",
        "device": "$device_name", "ip": "$ip", "library": "$lib", "referrer": "$referrer",
        "path": "$pathname", "domain": "$host", "landing_page": "$session_entry_url",
        "app_name": "$app_name", "app_version": "$app_version", "carrier": "$network_carrier",
        "city": "$geoip_city_name", "region": "$geoip_subdivision_1_name", "country": "$geoip_country_name",
        "session_id": "heap_session_id",
    }  # fmt: skip
    dropped = frozenset(
        {"event_id", "event_table_name", "user_id", "identity", "time", "session_time", "platform", "heap_app_id"}
    )
    person_set_once = {
        "initial_browser": "$initial_browser", "initial_browser_version": "$initial_browser_version",
        "initial_device_type": "$initial_device_type", "initial_landing_page": "$initial_current_url",
        "initial_path": "$initial_pathname", "initial_referrer": "$initial_referrer",
        "initial_city": "$initial_geoip_city_name", "initial_region": "$initial_geoip_subdivision_1_name",
        "initial_country": "$initial_geoip_country_name", "initial_utm_source": "$initial_utm_source",
        "initial_utm_medium": "$initial_utm_medium", "initial_utm_campaign": "$initial_utm_campaign",
        "initial_utm_term": "$initial_utm_term", "initial_utm_content": "$initial_utm_content",
    }  # fmt: skip
    takes_others = True
    nothing = frozenset({"", "Invalid date"})
    numbers = frozenset({"session_id"})
    texts = frozenset(
        {"id", "joindate", "last_modified", "from_user_id", "to_user_id", "initial_platform", "email", "handle"}
    )
    notes = (
        ("platform", '$os and $os_version: "Mac OS X 10.15" is Mac OS X and 10.15'),
        ("initial_platform", "$initial_os and $initial_os_version, $set_once"),
        ("domain, path, query, hash", "$current_url: the page's; http only where the landing page of that host is"),
        ("landing_page", "the page the session began with"),
        ("other initial_…", "$set_once, as they are"),
        ("other columns", "properties, as they are; JSON text becomes what it says"),
        ("users (joindate)", "$identify: identity is the user, user_id the anonymous id; the rest is $set"),
        ("user_migrations (from_user_id, to_user_id)", "$create_alias of from_user_id and to_user_id"),
    )

    table: str | None = Field(None, description="Table of rows that do not say theirs: pageviews, my_event …")

    @property
    def day_columns(self) -> tuple[str, ...]:
        return ("time", "last_modified", "joindate")

    def read(self, record: Record) -> Reading:
        if "from_user_id" in record and "to_user_id" in record:
            return _migration(record)
        if "event_id" not in record and "joindate" in record:
            return self._user(record)
        name = self.named(record.get("event_table_name") or self.table)
        reading = self.fields(record)
        reading.event = name
        self._fill(record, reading.properties, reading)
        _add_address(record, reading.properties)
        return reading

    def _user(self, record: Record) -> Reading:
        reading = self.fields(record)
        reading.kind = reading.event = "identify"
        reading.anonymous_id = record.get("user_id") or record.get("id")
        reading.timestamp = next(filter(self._is_said, map(record.get, ("last_modified", "joindate"))), None)
        reading.source_id = f"user {reading.anonymous_id} {reading.timestamp}"
        rest = {key: value for key, value in record.items() if key not in _NO_TRAIT}
        self._fill(rest, reading.set, reading)
        return reading

    def _is_said(self, value: Any) -> bool:
        return value is not None and value not in self.nothing

    def _fill(self, record: Record, into: Record, reading: Reading) -> None:
        """Sort the columns into those of the record and those of the person's first visit."""
        for part, prefix, holder in (("platform", "$", into), ("initial_platform", "$initial_", reading.set_once)):
            if (platform := record.get(part)) and type(platform) is str:
                system, version = _platform(platform)
                holder[f"{prefix}os"] = system
                if version:
                    holder[f"{prefix}os_version"] = version
        names, nothing = self._unwanted, self.nothing
        for key, value in record.items():
            if value is None or (type(value) is str and value in nothing):
                continue
            if key[:8] == "initial_":
                if key not in self.person_set_once and key != "initial_platform":
                    reading.set_once[key] = value
            elif (name := names.get(key, key)) is not None:
                into[name] = nested(value) if type(value) is str and value[0] in _JSON else value


def _add_address(record: Record, into: Record) -> None:
    """Add the address of the page, which Heap has in parts without the scheme."""
    host, path = into.get("$host"), into.get("$pathname")
    if type(host) is not str or type(path) is not str or "$current_url" in into:
        return
    landed = into.get("$session_entry_url")
    scheme = "http" if type(landed) is str and landed.startswith(f"http://{host}/") else "https"
    query, fragment = _part(record.get("query"), "?"), _part(record.get("hash"), "#")
    into["$current_url"] = f"{scheme}://{host}/{path.removeprefix('/')}{query}{fragment}"


def _part(text: Any, sign: str) -> str:
    """Return a part of an address with the sign it begins with, which exports have or have not."""
    return sign + text.removeprefix(sign) if type(text) is str and text.strip(sign) else ""


def _migration(record: Record) -> Reading:
    reading = Reading()
    reading.kind = reading.event = "alias"
    reading.user_id, reading.anonymous_id = record["to_user_id"], record["from_user_id"]
    reading.timestamp = record.get("time")
    reading.source_id = f"migration {reading.anonymous_id} {reading.user_id}"
    if not reading.user_id or not reading.anonymous_id:
        raise Rejected("user migration does not name two users")
    return reading


@functools.lru_cache(4096)
def _platform(text: str) -> tuple[str, Any]:
    found = _PLATFORM.fullmatch(text.strip())
    return (found[1], found[2]) if found else (text.strip(), None)
