"""PostHog's rules for an event, applied before it is sent, so that nothing is changed or lost on the way.

Belongs here: rules and their public sources. Does not belong here: anything a user can choose.

| of an event | PostHog | so |
|---|---|---|
| name empty or over 200 bytes | drops it | rejected |
| distinct_id empty, over 200 bytes, with NUL, or of `ILLEGAL_IDS` | drops it, cuts it, makes no person | rejected |
| time over 23 h ahead | stores it as now | rejected |
| time before 1970 | stores it under a day between 1970 and 2149 | rejected |
| `$groups` no object, its keys over 400 characters | makes group types of its letters; drops it | rejected |
| `$groupidentify` without type or key, key over 400, `$group_set` no object | ignores or drops it | rejected |
| over 1 MB | drops it | rejected |

`event_flaws` holds every event that leaves against all of them, wherever it comes from.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.arrow_columns import may_hold
from posthog_assets.core.errors import shorten

#: v1 drops longer names and ids, `/batch/` cuts the ids: rust/capture/src/v1/analytics/process.rs.
NAME_BYTES: Final = 200
ID_BYTES: Final = 200

#: PostHog's hard limit is 1,000,000 bytes after it has added its own; its SDKs stay below this one.
EVENT_BYTES: Final = 900_000

#: PostHog moves a time further ahead than this to the present: rust/common/types/src/timestamp.rs.
AHEAD: Final = timedelta(hours=23)

#: The columns of days in PostHog's storage are ClickHouse's Date, which begins here and wraps around before it.
FIRST_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)

#: PostHog drops an event with a longer group key: nodejs/src/ingestion, `group_key_too_long`.
GROUP_KEY_LENGTH: Final = 400

#: A project has no more group types; what is said of a sixth is dropped without an error (`GroupTypeManager`).
GROUP_TYPES: Final = 5

#: Why an event is left out that the import's cut-over leaves to another import, or to live tracking.
BEFORE_SINCE: Final = "timestamp is before since"
NOT_BEFORE_UNTIL: Final = "timestamp is not before until"

_BARE_ILLEGAL_IDS: Final = frozenset(
    {
        "", "0", "00000000-0000-0000-0000-000000000000", "[object object]", "anonymous", "anonymous-user", "backend",
        "distinct_id", "distinctid", "email", "false", "guest", "id", "nan", "none", "not_authenticated", "null",
        "system", "true", "undefined", "user",
    }
)  # fmt: skip

#: Ids that PostHog never gives a person, compared without case: nodejs/src/ingestion, `isDistinctIdIllegal`. It lists
#: them with quotes around them too, as they come from code that writes text as JSON.
ILLEGAL_IDS: Final = _BARE_ILLEGAL_IDS | {
    f"{quote}{name}{quote}" for name in _BARE_ILLEGAL_IDS if name for quote in "'\""
}

#: `$groups` as most senders write it, which needs no closer look: a type has a letter that is surely no white space.
_PLAIN_GROUPS: Final = r'"\$groups":\{(?:"[^"\\]*[!#-\[\]-~][^"\\]*":(?:"[^"\\\s](?:[^"\\]*[^"\\\s])?"|\d+)[,}])+'
_GROUPS: Final = '"$groups":'
#: RE2 finds a plain text three times as fast as Arrow's own search for one.
_NAMES_GROUPS: Final = re.escape(_GROUPS)
_LONG_TEXT: Final = r'"[^"]{401}'
_GROUP_CALL: Final = "$groupidentify"


def name_flaw(name: str | None) -> str | None:
    """Return why PostHog would not take an event of this name."""
    if not name or not name.strip():
        return "event name is empty"
    if len(name.encode()) > NAME_BYTES:
        return f"event name is longer than {NAME_BYTES} bytes: {name[:60]!r}…"
    return None


def is_illegal(distinct_id: str) -> bool:
    return distinct_id.lower() in ILLEGAL_IDS


def id_flaws(ids: pa.StringArray) -> dict[int, str]:
    """Return why PostHog would not take some of these (trimmed) distinct_ids, by index."""
    lowered = pc.utf8_lower(ids)
    odd = pc.or_kleene(
        pc.or_kleene(pc.is_null(ids), pc.is_in(lowered, value_set=pa.array(sorted(ILLEGAL_IDS)))),
        pc.or_kleene(pc.greater(pc.binary_length(ids), ID_BYTES), pc.match_substring(ids, "\x00")),
    )
    if not pc.any(odd).as_py():
        return {}
    return {index: _id_flaw(ids[index].as_py()) for index in pc.indices_nonzero(pc.fill_null(odd, True)).to_pylist()}


def _id_flaw(distinct_id: str | None) -> str:
    if not distinct_id:
        return "distinct_id is empty"
    if is_illegal(distinct_id):
        return f"distinct_id is one PostHog gives no person: {distinct_id!r}"
    if "\x00" in distinct_id:
        return "distinct_id holds a NUL character"
    return f"distinct_id is longer than {ID_BYTES} bytes: {distinct_id[:60]!r}…"


def storable(stamps: pa.Array, fetched_at: datetime) -> pa.Array | None:
    """Return which instants PostHog stores as they are; None: all of them."""
    first, last = pa.scalar(FIRST_TIME, stamps.type), pa.scalar(fetched_at + AHEAD, stamps.type)
    span = pc.min_max(stamps)
    if span["min"].as_py() is None or (span["min"].as_py() >= FIRST_TIME and span["max"].as_py() <= last.as_py()):
        return None
    return pc.fill_null(pc.and_(pc.greater_equal(stamps, first), pc.less_equal(stamps, last)), True)


def time_flaws(stamps: pa.Array, fetched_at: datetime) -> dict[int, str]:
    """Return which instants lie too far after the export to be true, or before PostHog can store any, by index."""
    good = storable(stamps, fetched_at)
    if good is None:
        return {}
    flaws = {}
    for index in pc.indices_nonzero(pc.invert(good)).to_pylist():
        stamp = stamps[index].as_py()
        words = "lies before 1970, which PostHog cannot store" if stamp < FIRST_TIME else "lies in the future"
        flaws[index] = f"timestamp {words}: {stamp.isoformat()}"
    return flaws


def with_groups(names: pa.StringArray, properties: pa.StringArray) -> pa.BooleanArray | None:
    """Return which events name a group, or are about one; None where there is none of them."""
    calls = pc.equal(names, _GROUP_CALL)
    if may_hold(properties, _GROUPS.encode()):
        return pc.fill_null(pc.or_kleene(pc.match_substring_regex(properties, _NAMES_GROUPS), calls), False)
    return pc.fill_null(calls, False) if pc.any(calls).as_py() else None


def group_flaws(names: pa.StringArray, properties: pa.StringArray, grouped: pa.BooleanArray | None) -> dict[int, str]:
    """Return which events PostHog would drop, ignore or make wrong groups of, by index.

    *grouped* is what `with_groups` says of them.
    """
    if grouped is None:
        return {}
    odd = pc.and_(grouped, pc.match_substring_regex(properties, _NAMES_GROUPS))
    if pc.any(odd).as_py():
        plain = pc.and_(
            pc.match_substring_regex(properties, _PLAIN_GROUPS), pc.equal(pc.count_substring(properties, _GROUPS), 1)
        )
        odd = pc.and_(odd, pc.or_(pc.invert(plain), pc.match_substring_regex(properties, _LONG_TEXT)))
    odd = pc.or_kleene(odd, pc.equal(names, _GROUP_CALL))
    if not pc.any(odd).as_py():
        return {}
    flaws = {}
    for index in pc.indices_nonzero(pc.fill_null(odd, False)).to_pylist():
        if flaw := _group_flaw(names[index].as_py(), orjson.loads(properties[index].as_py())):
            flaws[index] = flaw
    return flaws


def _group_flaw(name: str, properties: dict[str, Any]) -> str | None:
    groups = properties.get("$groups")
    if groups is not None and not isinstance(groups, dict):
        return f"$groups is no object: {shorten(groups)}"
    for kind, key in (groups or {}).items():
        if not kind.strip():
            return "$groups has a key without a group type"
        if flaw := _group_key_flaw(key):
            return f"{flaw}: {shorten(kind)}"
    if name != _GROUP_CALL:
        return None
    if not (kind := properties.get("$group_type")) or not isinstance(kind, str):
        return "group call names no group type"
    key = properties.get("$group_key")
    if key is None or key == "":
        return f"group call names no group key: {shorten(kind)}"
    if flaw := _group_key_flaw(key):
        return f"{flaw}: {shorten(kind)}"
    traits = properties.get("$group_set")
    return None if traits is None or isinstance(traits, dict) else f"$group_set is no object: {shorten(traits)}"


def _group_key_flaw(key: Any) -> str | None:
    if isinstance(key, dict | list):
        return "group key is neither text nor a number"
    return f"group key is longer than {GROUP_KEY_LENGTH} characters" if len(str(key)) > GROUP_KEY_LENGTH else None


def event_flaws(
    names: pa.StringArray,
    ids: pa.StringArray,
    stamps: pa.Array,
    properties: pa.StringArray,
    fetched_at: datetime,
    grouped: pa.BooleanArray | None,
) -> dict[int, str]:
    """Return why PostHog would not take some of these events as they are, by index; the first reason of each.

    *grouped* is what `with_groups` says of them.
    """
    flaws = _name_flaws(names)
    for found in (
        id_flaws(ids), time_flaws(stamps, fetched_at), group_flaws(names, properties, grouped), size_flaws(properties)
    ):  # fmt: skip
        for index, flaw in found.items():
            flaws.setdefault(index, flaw)
    return flaws


def _name_flaws(names: pa.StringArray) -> dict[int, str]:
    coded = names.dictionary_encode()
    known = {code: flaw for code, name in enumerate(coded.dictionary.to_pylist()) if (flaw := name_flaw(name))}
    if not known and not names.null_count:
        return {}
    empty = name_flaw(None)
    assert empty
    codes = enumerate(coded.indices.to_pylist())
    return {row: empty if code is None else known[code] for row, code in codes if code is None or code in known}


def span_flaws(stamps: pa.Array, since: datetime | None, until: datetime | None) -> dict[int, str]:
    """Return which instants lie before *since*, or not before *until*, by index."""
    flaws = {}
    for limit, beyond, reason in ((since, pc.less, BEFORE_SINCE), (until, pc.greater_equal, NOT_BEFORE_UNTIL)):
        if limit is not None:
            for index in pc.indices_nonzero(beyond(stamps, pa.scalar(limit, stamps.type))).to_pylist():
                flaws[index] = f"{reason}: {stamps[index].as_py().isoformat()}"
    return flaws


def size_flaws(properties: pa.StringArray) -> dict[int, str]:
    """Return which events are too large, by index."""
    large = pc.greater(pc.binary_length(properties), EVENT_BYTES - 1_000)
    if not pc.any(large).as_py():
        return {}
    return {
        index: f"event is larger than {EVENT_BYTES:,} bytes: {len(properties[index].as_py().encode()):,}"
        for index in pc.indices_nonzero(large).to_pylist()
    }
