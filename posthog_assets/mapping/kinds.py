"""Records that are not events but say something of people and groups: identify, alias and group calls.

Belongs here: what such a staged row is called and holds in PostHog. Does not belong here: ordinary events, and those
that are derived from several rows (`identity`, `groups`).

| kind | PostHog event | distinct_id | properties |
|---|---|---|---|
| `anonymous` | the event itself | anonymous id; the user id is only linked to it | |
| `identify` | `$identify` | user id | `$anon_distinct_id`, where there is an anonymous id PostHog would merge |
| `identify` without a user id | `$set` | anonymous id | |
| `alias` | `$create_alias` | user id | `alias`: the anonymous (previous) id |
| `group` | `$groupidentify` | user id, anonymous id, or `$<type>_<key>` | `$group_type`, `$group_key`, `$group_set` |

Event names and properties are those of PostHog's SDKs: posthog.com/docs/api/capture.
"""

from __future__ import annotations

from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.posthog_rules import is_illegal

EVENT: Final = "event"

#: An event that the vendor counts as the anonymous id's, though it knows the user.
ANONYMOUS: Final = "anonymous"

#: The calls that link two ids themselves.
LINKS: Final = frozenset({"identify", "alias"})

#: What PostHog merges persons and finds groups by, in the events that do so.
HELD: Final = {
    "$identify": ("$anon_distinct_id",),
    "$create_alias": ("alias",),
    "$merge_dangerously": ("alias",),
    "$groupidentify": ("$group_type", "$group_key", "$group_set"),
}

_COLUMNS: Final = ("event", "user_id", "properties", "set", "set_once", "groups")


def as_posthog_calls(staged: pa.RecordBatch) -> tuple[pa.RecordBatch, dict[int, str]]:
    """Return *staged* with its identify, alias and group rows as PostHog knows them, and the flaws of some by index."""
    special = pc.fill_null(pc.not_equal(staged["kind"], EVENT), False)
    if not pc.any(special).as_py():
        return staged, {}
    anonymous = pc.fill_null(pc.equal(staged["kind"], ANONYMOUS), False)
    if pc.any(anonymous).as_py():
        column = staged.schema.get_field_index("user_id")
        users = pc.if_else(anonymous, pa.scalar(None, pa.string()), staged["user_id"])
        staged = staged.set_column(column, staged.schema.field(column), users)
        special = pc.and_not(special, anonymous)
        if not pc.any(special).as_py():
            return staged, {}
    columns = {name: staged[name].to_pylist() for name in _COLUMNS}
    flaws: dict[int, str] = {}
    indices = pc.indices_nonzero(special)
    for index, row in zip(indices.to_pylist(), staged.take(indices).to_pylist(), strict=True):
        changed, flaw = _SPELLED[row["kind"]](row)
        if flaw:
            flaws[index] = flaw
        for name, value in changed.items():
            columns[name][index] = value
    for name, values in columns.items():
        column = staged.schema.get_field_index(name)
        staged = staged.set_column(column, staged.schema.field(column), pa.array(values, pa.string()))
    return staged, flaws


def _identify(row: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    user, anonymous = _trimmed(row["user_id"]), _trimmed(row["anonymous_id"])
    if not user:
        return {"event": "$set"}, None
    mergeable = anonymous and anonymous != user and not is_illegal(anonymous) and not is_illegal(user)
    more = {"$anon_distinct_id": anonymous} if mergeable else {}
    return {"event": "$identify", "properties": _with(row, more)}, None


def _alias(row: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    user, previous = _trimmed(row["user_id"]), _trimmed(row["anonymous_id"])
    changed = {"event": "$create_alias", "properties": _with(row, {"alias": previous})}
    if not user or not previous:
        return changed, "alias does not name two ids"
    if user == previous:
        return changed, f"alias names the same id twice: {user}"
    if is_illegal(previous):
        return changed, f"alias names an id that PostHog never merges: {previous!r}"
    return changed, None


def _group(row: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    if row["groups"] == "{}":
        return {"event": "$groupidentify", "groups": None}, "left out: mapping.groups excludes its group type"
    groups = list(orjson.loads(row["groups"] or "{}").items())
    if len(groups) != 1:
        return {"event": "$groupidentify", "groups": None}, "group call does not name one group"
    kind, key = groups[0]
    traits = orjson.loads(row["set"] or "{}")
    properties = {"$group_type": kind, "$group_key": key, "$group_set": traits}
    return {
        "event": "$groupidentify",
        "user_id": row["user_id"] or row["anonymous_id"] or f"${kind}_{key}",
        "properties": _with(row, properties),
        "set": None,
        "set_once": None,
        "groups": None,
    }, None


def _trimmed(text: str | None) -> str:
    return (text or "").strip()


def _with(row: dict[str, Any], more: dict[str, Any]) -> str:
    return orjson.dumps(orjson.loads(row["properties"] or "{}") | more).decode()


_SPELLED: Final = {"identify": _identify, "alias": _alias, "group": _group}
