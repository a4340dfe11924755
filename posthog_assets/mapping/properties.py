"""The properties of an event, as JSON text.

Belongs here: markers, rename, drop, keep, add, `$set`, `$groups`. Does not belong here: names and ids.

Staged properties were written by orjson, so a key stands in the text exactly as orjson writes it. Only rows in which
one of the concerned keys occurs are parsed; the others get their markers by splicing text.
"""

from __future__ import annotations

import re
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.arrow_columns import json_strings, may_hold
from posthog_assets.core.markers import GEOIP_PROPERTY, HISTORICAL_PROPERTY
from posthog_assets.mapping.kinds import HELD
from posthog_assets.mapping.settings import Mapping, Place

#: Without these PostHog could not merge a person, find a group, or leave somebody without a profile.
_HELD = (*dict.fromkeys(key for keys in HELD.values() for key in keys), "$process_person_profile")

_PERSON = {"set": ("$set", "$set_once"), "set_once": ("$set_once", "$set_once")}


class PropertyWriter:
    """Turns staged properties into an event's properties."""

    def __init__(self, mapping: Mapping, import_name: str, source_name: str, day: str) -> None:
        self._wish = mapping.properties
        # Other places than one for all were seen to before (`person_properties`).
        wish = mapping.person_properties
        self._person: Place = wish.default if wish.is_plain else "set"
        markers = mapping.markers
        self._source_id = markers.source_id
        self._held = (*_HELD, "$session_id", "$window_id") if mapping.sessions.mode == "auto" else _HELD
        # The version of the mapping is added when an event is sent, so that it does not count as a change of the event.
        self._added_later = (markers.mapping,) if markers.mapping else ()
        self._constants: dict[str, Any] = {
            GEOIP_PROPERTY: True,
            HISTORICAL_PROPERTY: True,
            markers.import_name: import_name,
            markers.source: source_name,
            markers.day: day,
        } | self._wish.add
        self._head = orjson.dumps(self._constants).decode()[:-1] + f',"{self._source_id}":'
        own = (*markers.names, *self._wish.rename, *self._wish.rename.values(), *self._wish.drop, *self._wish.add)
        self._keys = [orjson.dumps(key).decode() + ":" for key in dict.fromkeys(own)]

    def write(self, staged: pa.RecordBatch) -> pa.StringArray:
        """Return the properties of each staged row as JSON text, markers included, no key twice."""
        if self._person == "set_once":
            staged = _merged(staged)
        texts = staged["properties"]
        spliced = pc.binary_join_element_wise(
            self._head, json_strings(staged["source_id"]), self._extras(staged), _tail(texts), ""
        )
        slow = pc.indices_nonzero(self._touched(staged)).to_pylist()
        if not slow:
            return spliced
        rows = staged.select(["properties", "source_id", "set", "set_once", "groups"]).take(pa.array(slow)).to_pylist()
        if len(slow) == len(texts):
            return pa.array([self._rewritten(row) for row in rows], pa.binary()).view(pa.string())
        mask = self._mask(len(texts), slow)
        return pc.replace_with_mask(
            spliced, mask, pa.array([self._rewritten(row).decode() for row in rows], pa.string())
        )

    @staticmethod
    def _mask(count: int, indices: list[int]) -> pa.Array:
        flags = bytearray(count)
        for index in indices:
            flags[index] = 1
        return pa.array(flags, pa.uint8()).cast(pa.bool_())

    def _touched(self, staged: pa.RecordBatch) -> pa.Array:
        """Return which rows must be parsed."""
        texts = staged["properties"]
        if self._wish.keep is not None:
            return pc.is_valid(texts)
        keys = list(self._keys)
        carried = [name for name in ("set", "set_once", "groups") if staged[name].null_count != len(staged)]
        if carried:
            keys += ['"$set":', '"$set_once":', '"$groups":']
        if not may_hold(texts, *(key.encode() for key in keys)):
            return pa.repeat(pa.scalar(False), len(texts))
        # One pass of RE2 over all keys is several times faster than a fixed-string search for each.
        return pc.match_substring_regex(texts, "|".join(re.escape(key) for key in keys))

    def _extras(self, staged: pa.RecordBatch) -> Any:
        """Return the text of `$set`, `$set_once` and `$groups`, each with a comma before it, or nothing."""
        parts = []
        if self._person != "none":
            for column, key in zip(("set", "set_once"), _PERSON[self._person], strict=True):
                parts.append(_member(staged[column], key))
        parts.append(_member(staged["groups"], "$groups"))
        parts = [part for part in parts if part is not None]
        if not parts:
            return ""
        return pc.binary_join_element_wise(*parts, "") if len(parts) > 1 else parts[0]

    def _rewritten(self, row: dict[str, str | None]) -> bytes:
        properties: dict[str, Any] = orjson.loads(row["properties"] or "{}")
        renamed = {new: properties.pop(old) for old, new in self._wish.rename.items() if old in properties}
        properties |= renamed
        for key in self._wish.drop:
            properties.pop(key, None)
        if self._wish.keep is not None:
            kept = dict.fromkeys((*self._wish.keep, *self._held))
            properties = {key: properties[key] for key in kept if key in properties}
        for key in (*self._constants, *self._added_later, self._source_id):
            properties.pop(key, None)
        head = self._constants | {self._source_id: row["source_id"]}
        if self._person != "none":
            for column, key in zip(("set", "set_once"), _PERSON[self._person], strict=True):
                text = row[column]
                if text:
                    head[key] = _object(properties.pop(key, None)) | head.get(key, {}) | orjson.loads(text)
        if row["groups"]:
            head["$groups"] = _object(properties.pop("$groups", None)) | orjson.loads(row["groups"])
        return orjson.dumps(head | properties)


def _merged(staged: pa.RecordBatch) -> pa.RecordBatch:
    """Return *staged* with what is set and what is set once in one object, both being sent as the same property.

    A staged row has no property in both, and no empty object, so the one text goes on where the other ends.
    """
    both = pc.and_(pc.is_valid(staged["set"]), pc.is_valid(staged["set_once"]))
    if not pc.any(both).as_py():
        return staged
    head = pc.binary_replace_slice(staged["set"], -1, 1 << 30, ",")
    joined = pc.binary_join_element_wise(head, pc.binary_replace_slice(staged["set_once"], 0, 1, ""), "")
    once = pc.if_else(both, joined, staged["set_once"])
    alone = pc.if_else(both, pa.scalar(None, pa.string()), staged["set"])
    for name, column in (("set", alone), ("set_once", once)):
        place = staged.schema.get_field_index(name)
        staged = staged.set_column(place, staged.schema.field(place), column)
    return staged


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _member(texts: pa.Array, key: str) -> pa.Array | None:
    if texts.null_count == len(texts):
        return None
    return pc.fill_null(pc.binary_join_element_wise(f',"{key}":', texts, ""), "")


def _tail(texts: pa.StringArray) -> pa.Array:
    """Return what follows the markers: a comma and the object without its opening brace, or only its closing one."""
    tails = pc.binary_replace_slice(texts, start=0, stop=1, replacement=",")
    empty = pc.equal(texts, "{}")
    return pc.if_else(empty, "}", tails) if pc.any(empty).as_py() else tails
