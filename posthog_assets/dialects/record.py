"""What single values of a record are: names, ids, numbers, objects, and what they may not be.

Belongs here: reading one value, from any vendor. Does not belong here: where it stands (`vendor`), times
(`timestamps`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from posthog_assets.core.errors import shorten
from posthog_assets.core.json_text import load
from posthog_assets.core.rejection import Rejected
from posthog_assets.dialects.column import Column

Record = dict[str, Any]

#: PostHog takes no id of more digits (rust/capture/src/v1/analytics/process.rs), and Python writes not all integers.
_LONGEST_ID: Final = 10**200

#: Properties of an event that PostHog applies to its person.
PERSONAL: Final = ("$set", "$set_once", "$unset")


#: Versions in PostHog's names.
_VERSIONS: Final = ("$browser_version", "$os_version", "$app_version", "$app_build", "$lib_version")


def own_name(name: Any) -> str:
    """Return the name a sender gave an event, which means nothing to the vendor, as it is; raises Rejected."""
    if type(name) is str and name.strip():
        return name
    if name is None or type(name) is str:
        raise Rejected("event name is empty")
    raise Rejected(f"event name is no text: {shorten(name)}")


def is_nothing(value: Any) -> bool:
    return value is None or (type(value) is str and not value.strip())


def as_id(value: Any, what: str) -> str | None:
    """Return an id as text, None where there is none; whole numbers become their digits; raises Rejected."""
    if type(value) is str:
        return value if value.strip() else None
    if value is None:
        return None
    if type(value) is int:
        whole = abs(value) < _LONGEST_ID
    else:
        whole = type(value) is float and value.is_integer() and abs(value) < 2**53
    if whole:
        return str(int(value))
    raise Rejected(f"{what} is neither text nor a whole number: {shorten(value)}")


def usable_id(value: Any, what: str, flaws: list[str]) -> str | None:
    """Return an id as `as_id` does, None also for what is none; then a sentence without the value is in *flaws*."""
    try:
        return as_id(value, what)
    except Rejected as flaw:
        flaws.append(f"{str(flaw).partition(': ')[0]}, so it counts as absent")
        return None


def group_keys(groups: Mapping[str, Column], record: Record) -> dict[str, str]:
    """Return {group type: group key} of a record, the first key of several; one without a key is of no group.

    Raises:
        Rejected: a key is neither text nor a whole number.
    """
    keys = {}
    for kind, column in groups.items():
        value = column.value(record)
        if type(value) is list:
            # Mixpanel's SDKs write even a single key so; PostHog has room for one.
            value = next((one for one in value if not is_nothing(one)), None)
        if (key := as_id(value, f"key of group {kind}")) is not None:
            keys[kind] = key.strip()
    return keys


def read_own_groups(properties: Record) -> None:
    """Make `$groups` of an event's own properties an object, where it is JSON text, with keys without blanks around.

    Raises:
        Rejected: it is no object, of whose letters or elements PostHog would make group types, which a project has
            five of for ever; or a key is an object, of which PostHog would make one text for all.
    """
    said = properties["$groups"]
    if said is None or said == {}:
        return
    groups = as_object(said, "$groups")
    read: Record = {}
    for kind, value in groups.items():
        if type(value) is list:
            value = next((one for one in value if not is_nothing(one)), None)
        if type(value) is dict:
            raise Rejected(f"key of group {kind} is neither text nor a whole number: {shorten(value)}")
        if type(value) is str:
            value = value.strip()
        # Of a key that is null PostHog would make a group type all the same.
        if value is not None and value != "":
            read[kind.strip()] = value
    if read:
        properties["$groups"] = read
    else:
        del properties["$groups"]


def extract_person_properties(properties: Record, keep_unset: bool) -> tuple[Record, Record]:
    """Take `$set` and `$set_once` out of an event's properties and return them; `$unset` goes unless it is to be kept.

    PostHog applies all three wherever they stand, so the sender's own go the way of all that is said of a person
    (`mapping.person_properties`): as they are they would overwrite what living people have.

    Raises:
        Rejected: one is no object; PostHog would make properties of its letters or elements
            (plugin-server/src/worker/ingestion/persons/person-update.ts).
    """
    if not keep_unset:
        properties.pop("$unset", None)
    return as_object(properties.pop("$set", None), "$set"), as_object(properties.pop("$set_once", None), "$set_once")


def as_object(value: Any, what: str) -> Record:
    """Return an object, or the one that JSON text says; an empty one for nothing. Raises Rejected."""
    found = nested(value)
    if found is None or found == "":
        return {}
    if type(found) is not dict:
        raise Rejected(f"{what} is no object: {shorten(value)}")
    return found


def nested(value: Any) -> Any:
    """Return the object or array that *value* is the JSON text of, escaped once or twice; anything else as it is."""
    found = value
    for _ in range(2):
        if type(found) is not str or found[:1] not in ("{", "[", '"'):
            break
        try:
            found = load(found)
        except orjson.JSONDecodeError:
            return value
    return found if type(found) in (dict, list) else value


def versions_as_text(properties: Record) -> None:
    """Make versions that are numbers text, as all the others are: PostHog compares one property in one way."""
    for name in _VERSIONS:
        if type(properties.get(name)) in (int, float):
            properties[name] = str(properties[name])


def number(value: Any) -> Any:
    """Return the number a text is; what is none, or JSON could not hold exactly, stays as it is."""
    if type(value) is not str:
        return value
    try:
        found = float(value)
    except ValueError:
        return value
    if not abs(found) < 2**53:
        return value
    return int(found) if found.is_integer() and value.lstrip("+-").isdecimal() else found
