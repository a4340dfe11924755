"""What the events of a day say of their groups.

Belongs here: the last known properties of each group, and group types by other names. Does not belong here: the
`$groupidentify` event (`events`).

PostHog merges the properties of a group into what it has, name by name (nodejs/src/ingestion, `calculateUpdate` of
groups), so one event a group and day is enough: each property with its last value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.arrow_columns import may_hold

#: Group type, group key.
Group = tuple[str, str]


class GroupStates:
    """Collects what was said last of each group; memory grows with what is said of groups, not with the events."""

    def __init__(self) -> None:
        self._last: dict[Group, dict[str, tuple[int, bytes]]] = {}

    def add(self, staged: pa.RecordBatch) -> None:
        """Take the rows of a batch that tell properties of groups."""
        said = pc.is_valid(staged["group_set"])
        if not pc.any(said).as_py():
            return
        rows = staged.select(["group_set", "timestamp"]).filter(said)
        stamps = rows["timestamp"].cast(pa.int64()).to_pylist()
        for text, stamp in zip(rows["group_set"].to_pylist(), stamps, strict=True):
            for kind, keys in orjson.loads(text).items():
                for key, properties in keys.items():
                    self._note((kind, key), properties, stamp)

    def _note(self, group: Group, properties: dict[str, Any], stamp: int) -> None:
        known = self._last.setdefault(group, {})
        for name, value in properties.items():
            # Of two at the same instant the greater text counts, so that the order of rows does not matter.
            latest = stamp, orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
            known[name] = max(latest, known.get(name, latest))

    def states(self) -> dict[Group, tuple[int, str]]:
        """Return each group's last instant (µs since 1970) and its properties then, as JSON text."""
        return {
            group: (
                max(stamp for stamp, _ in known.values()),
                orjson.dumps({name: orjson.Fragment(known[name][1]) for name in sorted(known)}).decode(),
            )
            for group, known in self._last.items()
            if known
        }


#: Dialects whose records are PostHog's leave `$groups` among the properties.
_OWN: Final = '"$groups":'

#: Their calls about a group have its type among the properties.
_OWN_CALL: Final = "$groupidentify"


def with_other_types(staged: pa.RecordBatch, types: Mapping[str, str | None]) -> pa.RecordBatch:
    """Return *staged* with group types by their new names, and without groups of those whose new name is None.

    Where two types become one, the group that stands last counts. A group call without a group left has `{}`.
    """
    if staged["groups"].null_count != len(staged):
        made = _each(staged["groups"], lambda text: orjson.dumps(_renamed(orjson.loads(text), types)).decode())
        is_call = pc.fill_null(pc.equal(staged["kind"], "group"), False)
        nothing = pc.and_not(pc.fill_null(pc.equal(made, "{}"), False), is_call)
        staged = _with(staged, "groups", pc.if_else(nothing, pa.scalar(None, pa.string()), made))
    if may_hold(staged["properties"], _OWN.encode()):
        own = pc.match_substring(staged["properties"], _OWN)
        texts = [_own_renamed(text, types) for text in staged["properties"].filter(own).to_pylist()]
        replaced = pc.replace_with_mask(staged["properties"], own, pa.array(texts, pa.string()))
        staged = _with(staged, "properties", replaced)
    calls = pc.fill_null(pc.equal(staged["event"], _OWN_CALL), False)
    return _with_other_calls(staged, calls, types) if pc.any(calls).as_py() else staged


def _with_other_calls(
    staged: pa.RecordBatch, calls: pa.BooleanArray, types: Mapping[str, str | None]
) -> pa.RecordBatch:
    """Return *staged* with *calls* about groups by the new types; one of a type that is left out names no group."""
    changed = {name: staged[name].to_pylist() for name in ("kind", "properties", "groups")}
    for row in pc.indices_nonzero(calls).to_pylist():
        properties = orjson.loads(changed["properties"][row] or "{}")
        kind = properties.get("$group_type")
        new = types.get(kind, kind) if isinstance(kind, str) else kind
        if new is None and kind is not None:
            changed["kind"][row], changed["groups"][row] = "group", "{}"
        elif new != kind:
            changed["properties"][row] = orjson.dumps(properties | {"$group_type": new}).decode()
    for name, values in changed.items():
        staged = _with(staged, name, pa.array(values, pa.string()))
    return staged


def states_of_other_types(
    states: Mapping[Group, tuple[int, str]], types: Mapping[str, str | None]
) -> dict[Group, tuple[int, str]]:
    """Return what `GroupStates` knows, likewise; of two groups that become one the later is told last."""
    found: dict[Group, tuple[int, str]] = {}
    for (kind, key), state in sorted(states.items(), key=lambda item: item[1]):
        if (new := types.get(kind, kind)) is not None:
            found[new, key] = state if (before := found.get((new, key))) is None else _merged(before, state)
    return found


def _merged(before: tuple[int, str], after: tuple[int, str]) -> tuple[int, str]:
    return after[0], orjson.dumps(dict(sorted((orjson.loads(before[1]) | orjson.loads(after[1])).items()))).decode()


def _own_renamed(text: str, types: Mapping[str, str | None]) -> str:
    properties = orjson.loads(text)
    if not isinstance(groups := properties.get("$groups"), dict):
        return text
    properties["$groups"] = _renamed(groups, types)
    if not properties["$groups"]:
        del properties["$groups"]
    return orjson.dumps(properties).decode()


def _renamed(groups: dict[str, Any], types: Mapping[str, str | None]) -> dict[str, Any]:
    named = ((types.get(kind, kind), value) for kind, value in groups.items())
    return {kind: value for kind, value in named if kind is not None}


def _each(texts: pa.StringArray, change: Callable[[str], str]) -> pa.StringArray:
    """Return each text changed; equal ones are changed once."""
    coded = texts.dictionary_encode()
    return pa.array([change(text) for text in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)


def _with(staged: pa.RecordBatch, name: str, column: pa.Array) -> pa.RecordBatch:
    place = staged.schema.get_field_index(name)
    return staged.set_column(place, staged.schema.field(place), column)
