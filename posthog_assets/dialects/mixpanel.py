"""Mixpanel's records: its raw export, from the API or in a bucket, its JSON pipelines, and its profiles.

Belongs here: what Mixpanel's fields mean. Does not belong here: fetching (`sources.mixpanel.events`).

Uuids, ids, names and properties are those of PostHog's own importer (rust/batch-import-worker/src/parse/content/
mixpanel.rs), so that a record imported by both is one event. It differs where that one loses something: milliseconds
are kept, a record without `$insert_id` gets a uuid of its content, and calls that link ids are such calls in PostHog.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from posthog_assets.core.errors import shorten
from posthog_assets.core.rejection import Rejected
from posthog_assets.core.sections import TimeZone
from posthog_assets.core.timestamps import from_wall_clock, read_timestamps
from posthog_assets.dialects.base import content_id
from posthog_assets.dialects.compiled import Code, chooser, reshaper, write_reshaped, write_table
from posthog_assets.dialects.countries import COUNTRIES
from posthog_assets.dialects.reading import Reading
from posthog_assets.dialects.record import Record, as_id, usable_id
from posthog_assets.dialects.straight import write_name
from posthog_assets.dialects.vendor import Vendor

#: PostHog's importer makes its uuids in this namespace; part of the contract with everything imported so far.
_NAMESPACE: Final = uuid.UUID(bytes=b"posthog_mixpanel")

#: Property of a profile -> person property.
PROFILE: Final = {
    "$email": "email", "$name": "name", "$first_name": "first_name", "$last_name": "last_name", "$phone": "phone",
    "$avatar": "avatar", "$created": "created_at", "$city": "$geoip_city_name", "$region": "$geoip_subdivision_1_name",
    "$country_code": "$geoip_country_code", "$timezone": "$geoip_time_zone",
}  # fmt: skip

#: JSON pipelines have these beside the properties.
_PIPELINE: Final = {
    "distinct_id": "distinct_id", "insert_id": "$insert_id", "device_id": "$device_id", "user_id": "$user_id",
    "time": "time",
}  # fmt: skip

#: Ids that PostHog's importer takes for a device's: capitals, digits and dashes, with a letter.
_CAPITALS: Final = re.compile(r"[A-Z0-9-]*[A-Z][A-Z0-9-]*")

#: As Mixpanel's SDKs make the ids of devices.
_DEVICE: Final = re.compile(r"\$device:.*|[0-9a-fA-F]+(-[0-9a-fA-F]+){4}", re.DOTALL)

#: Larger numbers are milliseconds, as PostHog's importer has it: seconds of the year 2286.
_SECONDS: Final = 10_000_000_000
_AMBIGUOUS: Final = 100_000_000_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_NUMBERS: Final = frozenset({int, float})

#: A time as text that is a number; of more digits than these it is no time.
_NUMERAL: Final = re.compile(r"\d{1,20}(\.\d*)?", re.ASCII)


#: Kind, user and anonymous id.
_Whose = tuple[str, str | None, str | None]


class Mixpanel(Vendor):
    """Records of a Mixpanel project."""

    type: str = "mixpanel"
    timezone_setting = "timezone"
    timezone: TimeZone = Field(
        "UTC", description="Zone of the project, where it was made before 2023: it exports local times then"
    )
    identity: Literal["merged", "as_tracked"] = Field(
        "merged",
        description="merged: events are the person's whom Mixpanel knows when the day is exported; as_tracked: the "
        "id's they were tracked with, which is the same in every export. The two ids are linked either way",
    )
    device_ids: Literal["prefixed", "bare"] = Field(
        "prefixed",
        description="How a device's distinct_id is made of $device_id where the record does not show it: with $device: "
        "before it (Simplified ID Merge, and all SDKs since 2023), or as it is (older SDKs of Original ID Merge)",
    )

    source_id = ("properties.$insert_id",)
    user_id = ("properties.distinct_id", "properties.$distinct_id_before_identity", "properties.$user_id")
    anonymous_id = ("properties.$device_id",)
    timestamp = ("properties.time",)
    marks = (
        ("event", "properties.distinct_id", "properties.time", "properties.$insert_id"),
        ("event", "properties.distinct_id", "properties.time"),
        ("event_name", "distinct_id", "insert_id", "time", "properties"),
        ("event_name", "distinct_id", "time", "properties"),
    )
    names = {"$mp_web_page_view": "$pageview"}
    left_out = {"$mp_session_record": "it says that there is a replay, which Mixpanel does not export"}
    spread = ("properties",)
    renames = {
        "$city": "$geoip_city_name",
        "$region": "$geoip_subdivision_1_name",
        "mp_country_code": "$geoip_country_code",
        "$user_id": "$mixpanel_user_id",
        "$device_id": "$mixpanel_device_id",
        "current_domain": "$host",
        "current_url_path": "$pathname",
    }
    dropped = frozenset(
        {
            "distinct_id", "time", "$insert_id", "$geo_source", "$mp_api_endpoint", "$mp_api_timestamp_ms",
            "mp_processing_time_ms",
        }
    )  # fmt: skip
    # Browser, system, page and referrer PostHog takes from the event itself, as it does with live ones:
    # plugin-server/src/utils/db/eventToPersonProperties.ts
    person_set = {
        "properties.$device": "$device",
        "properties.$city": "$geoip_city_name",
        "properties.$region": "$geoip_subdivision_1_name",
        "properties.mp_country_code": "$geoip_country_code",
        "properties.$geoip_country_name": "$geoip_country_name",
    }
    person_set_once = {
        f"properties.$initial_{name}": f"$initial_{name}"
        for name in (
            "referrer", "referring_domain", "utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term",
        )
    }  # fmt: skip
    makes_ids = True
    # Of its JSON pipelines.
    not_imported = {
        "event_name": "the name of the event",
        "distinct_id": "who did it",
        "insert_id": "the id of the record",
        "device_id": "the device",
        "user_id": "the user",
        "time": "when it happened",
    }
    notes = (
        (
            "distinct_id, $distinct_id_before_identity, $user_id, $device_id",
            "distinct_id: the first of them; the second, where the first is a device's",
        ),
        ("time", "timestamp, with its milliseconds"),
        ("mp_country_code", "$geoip_country_name too"),
        ("$identify", "$identify"),
        ("$create_alias, $merge", "$create_alias"),
    )

    #: The tables as `read` needs them. A person's property has the name of the event's.
    _reshape: ClassVar = staticmethod(reshaper(dropped, renames))
    _last_known: ClassVar = staticmethod(chooser("last_known", person_set.values()))
    _first_known: ClassVar = staticmethod(chooser("first_known", person_set_once.values()))
    _unsteady: ClassVar = dropped | {"$distinct_id_before_identity"}

    @property
    def given_timezone(self) -> str | None:
        return self.timezone if "timezone" in self.model_fields_set else None

    def with_timezone(self, zone: str) -> Self:
        return self.model_copy(update={"timezone": zone})

    def uuid_namespace(self, import_name: str) -> uuid.UUID:
        return super().uuid_namespace(import_name) if self.namespace else _NAMESPACE

    def read(self, record: Record) -> Reading:
        """Return *record* as an event, or as the call it is; the record is used up."""
        name: Any = record.get("event")
        members: Any = record.get("properties")
        if name is None and "event_name" in record:
            name, members = record["event_name"], _of_pipeline(record, members)
        if type(members) is not dict:
            raise Rejected(f"properties are no object: {shorten(members)}")
        reading = Reading()
        reading.event = self.named(name)
        insert_id = members.get("$insert_id")
        blank = insert_id is None or (type(insert_id) is str and not insert_id.strip())
        reading.source_id = self._content_id(name, members) if blank else insert_id
        reading.timestamp = members.get("time")
        (_CALLS.get(name) or Mixpanel._whose)(self, reading, members)
        self._reshape(members)
        _name_country(members)
        reading.set, reading.set_once = self._last_known(members), self._first_known(members)
        reading.properties = members
        return reading

    def profile(self, record: Record) -> tuple[str, Record]:
        """Return whose profile *record* is, and the person properties in it; the record is used up.

        Raises:
            Rejected: it has no id of a user or device.
        """
        members: Any = record.get("$properties", record.get("properties"))
        distinct_id = as_id(record.get("$distinct_id", record.get("distinct_id")), "distinct_id")
        if distinct_id is None:
            raise Rejected("profile has no id: $distinct_id")
        if type(members) is not dict:
            raise Rejected(f"properties are no object: {shorten(members)}")
        found: Record = {str(PROFILE.get(key, key)): value for key, value in members.items() if value is not None}
        _name_country(found)
        return distinct_id, found

    def instants(self, values: list[Any]) -> tuple[pa.Array, dict[int, str]]:
        """Return the instants, and the reasons of those that are none; numbers may be local times (`timezone`)."""
        plain = set(map(type, values)) == {int} and min(values) >= _AMBIGUOUS
        read = values if plain else [self._time(value) for value in values]
        stamps, flaws = read_timestamps(read, "UTC", window=self._window)
        if self.timezone != "UTC":
            is_text = [type(value) is str for value in read]
            stamps = from_wall_clock(stamps, self.timezone)
            if any(is_text):
                texts, _ = read_timestamps(read, self.timezone, window=self._window)
                stamps = pc.if_else(pa.array(is_text), texts, stamps)
            for index in pc.indices_nonzero(pc.is_null(stamps)).to_pylist():
                flaws.setdefault(index, f"timestamp cannot be read: {shorten(values[index])}")
        return stamps, flaws

    def _time(self, value: Any) -> Any:
        """Return a time as `read_timestamps` reads it: numbers as such, early milliseconds as what they are."""
        if type(value) is str and _NUMERAL.fullmatch(value.strip()):
            value = float(value) if "." in value else int(value)
        if type(value) in _NUMBERS and _SECONDS < value < _AMBIGUOUS:
            is_plausible = self._window is None or round(value * 1_000) in self._window
            return _EPOCH + timedelta(milliseconds=value) if is_plausible else value
        return value

    @classmethod
    def write_reader(cls, code: Code) -> dict[str, Any]:
        """Write how an event of the raw export becomes a row; calls, and ids that are no text, are for `read`."""
        code.add(
            "members, left_out = record['properties'], None",
            "if len(record) != 2 or type(members) is not dict:",
            "    raise Odd",
        )
        write_name(code, "record['event']")
        code.add(
            f"if name in {tuple(_CALLS)!r}:",
            "    raise Odd",
            "get, pop = members.get, members.pop",
            "source_id, time = pop('$insert_id', None), pop('time', None)",
            "merged, before = pop('distinct_id', None), get('$distinct_id_before_identity')",
            "user, device = get('$user_id'), get('$device_id')",
            "for value in (merged, before, user, device):",
            "    if value is not None and (type(value) is not str or not value.strip()):",
            "        raise Odd",
            "kind, user_id, anonymous_id = dialect.whose(merged, before, user, device)",
            "if dialect.identity == 'as_tracked':",
            "    pop('$distinct_id_before_identity', None)",
        )
        write_reshaped(code, cls.dropped - {"$insert_id", "time", "distinct_id"}, cls.renames)
        code.add(
            "if (value := countries.get(get('$geoip_country_code'))):",
            "    members['$geoip_country_name'] = value",
            "into, last, first = members, {}, {}",
        )
        for names, target in ((cls.person_set, "last"), (cls.person_set_once, "first")):
            write_table(code, {name: name for name in names.values()}, frozenset({""}), target)
        return {"countries": COUNTRIES}

    def _whose(self, reading: Reading, members: Record) -> None:
        """Set whose event it is, and the other id that Mixpanel says is the same person's."""
        get = members.get
        merged, before = get("distinct_id"), get("$distinct_id_before_identity")
        user, device = get("$user_id"), get("$device_id")
        if not (type(merged) is type(user) is type(device) is str and before is None):
            merged, before, user, device = _usable(reading, merged, before, user, device)
        if self.identity == "as_tracked":
            # It comes only with some exports, and says nothing then that the distinct_id does not.
            members.pop("$distinct_id_before_identity", None)
        reading.kind, reading.user_id, reading.anonymous_id = self.whose(merged, before, user, device)

    def whose(self, merged: str | None, before: str | None, user: str | None, device: str | None) -> _Whose:
        """Return the kind of an event, its user and the other id that Mixpanel says is the same person's."""
        other = None
        if before is None or before == merged:
            own = merged
        elif merged is None:
            own = before
        elif self.identity == "as_tracked" or merged.startswith("$device:") or _CAPITALS.fullmatch(merged):
            own, other = before, merged
        else:
            own, other = merged, before
        own = own or user or device
        if user == own:
            return "event", own, self.id_of_device(device, other) if device else other
        if user or (other and _is_device(own, device) and not _is_device(other, device)):
            return "anonymous", user or other, own
        if other or not _is_device(own, device):
            return "event", own, other
        return "event", None, own

    def id_of_device(self, device: str, seen: str | None) -> str:
        """Return the distinct_id of what a device tracked while it knew no user, which *seen* may be.

        `$device_id` itself never has the prefix: docs.mixpanel.com/docs/tracking-methods/id-management,
        github.com/mixpanel/mixpanel-iphone/releases/tag/v5.0.2.
        """
        prefixed = device if device.startswith("$device:") else f"$device:{device}"
        if seen is not None and seen in (device, prefixed):
            return seen
        return prefixed if self.device_ids == "prefixed" else device

    def _content_id(self, name: Any, members: Record) -> str:
        """Return an id of what Mixpanel keeps unchanged when it exports an event again."""
        unsteady = self._unsteady
        steady = {key: value for key, value in members.items() if key not in unsteady}
        tracked = members.get("$distinct_id_before_identity") or members.get("distinct_id")
        return content_id({"event": name, "id": tracked, "time": members.get("time"), "properties": steady})


def _of_pipeline(record: Record, members: Any) -> Any:
    """Return the properties of a JSON pipeline's record, with those that stand beside them."""
    if type(members) is not dict:
        return members
    return members | {new: record[old] for old, new in _PIPELINE.items() if record.get(old) is not None}


def _usable(reading: Reading, merged: Any, before: Any, user: Any, device: Any) -> tuple[str | None, ...]:
    """Return ids as text; one that is none counts as absent where another is one. Raises Rejected."""
    flaws: list[str] = []
    given = ((merged, "distinct_id"), (before, "distinct_id"), (user, "user id"), (device, "device id"))
    ids = tuple(usable_id(value, what, flaws) for value, what in given)
    if flaws and not any(ids):
        for value, what in given:
            as_id(value, what)
    for flaw in flaws:
        reading.remark(flaw)
    return ids


def _is_device(text: str | None, device: str | None) -> bool:
    return text is not None and (text == device or bool(_DEVICE.fullmatch(text)))


def _name_country(properties: Record) -> None:
    code = properties.get("$geoip_country_code")
    if type(code) is str and (name := COUNTRIES.get(code)):
        properties["$geoip_country_name"] = name


def _identify(dialect: Mixpanel, reading: Reading, members: Record) -> None:
    """Read `$identify`, in the words of Mixpanel's API or of its SDKs."""
    reading.kind = "identify"
    reading.user_id = _first(members, "$identified_id", "$user_id", "$distinct_id_before_identity", "distinct_id")
    reading.anonymous_id = _first(members, "$anon_id", "$anon_distinct_id")
    if reading.anonymous_id is None and (device := as_id(members.get("$device_id"), "device id")):
        reading.anonymous_id = dialect.id_of_device(device, as_id(members.get("distinct_id"), "distinct_id"))
    members.pop("$anon_distinct_id", None)


def _alias(_: Mixpanel, reading: Reading, members: Record) -> None:
    """Read `$create_alias`: `alias` is the new id, as a rule the user's, so the old one is merged into it."""
    reading.kind = "alias"
    reading.user_id = _first(members, "alias")
    reading.anonymous_id = _first(members, "$distinct_id_before_identity", "distinct_id")


def _merge(_: Mixpanel, reading: Reading, members: Record) -> None:
    """Read `$merge`: two ids of one person, in no order."""
    ids = members.get("$distinct_ids")
    if type(ids) is not list or len(ids) != 2:
        raise Rejected(f"$merge does not name two ids: {shorten(ids)}")
    one, other = (as_id(text, "id in $distinct_ids") for text in ids)
    device = as_id(members.get("$device_id"), "device id")
    turned = _is_device(one, device) and not _is_device(other, device)
    reading.kind = "alias"
    reading.user_id, reading.anonymous_id = (other, one) if turned else (one, other)


def _first(members: Record, *names: str) -> Any:
    return next((value for name in names if (value := members.get(name)) not in (None, "")), None)


#: Events that are no events but say which ids are one person's.
_CALLS: Final[dict[str, Callable[[Mixpanel, Reading, Record], None]]] = {
    "$identify": _identify,
    "$create_alias": _alias,
    "$merge": _merge,
}
