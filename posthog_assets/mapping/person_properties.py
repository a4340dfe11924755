"""Whose events they are, and what is said of persons: ids, profiles, person properties.

Belongs here: changes of staged rows that concern persons, a batch at a time. Does not belong here: linking ids
(`identity`).
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.mapping.kinds import EVENT
from posthog_assets.mapping.settings import PersonProperties, Place

#: Tells PostHog that an event makes no person: posthog.com/docs/data/anonymous-vs-identified-events
_PERSONLESS = '"$process_person_profile":'


def renamed(staged: pa.RecordBatch, ids: Mapping[str, str]) -> pa.RecordBatch:
    """Return *staged* with each user and anonymous id that is in *ids* replaced by its new one."""
    for name in ("user_id", "anonymous_id"):
        coded = pc.utf8_trim_whitespace(staged[name]).dictionary_encode()
        old = coded.dictionary.to_pylist()
        new = [ids.get(value, value) for value in old]
        if new != old:
            staged = _with(staged, name, pa.array(new, pa.string()).take(coded.indices))
    return staged


def personless(staged: pa.RecordBatch) -> pa.RecordBatch:
    """Return *staged* with the events of unknown persons marked so that PostHog makes no person for them.

    What they say of a person goes nowhere then, so it is left out. An event that says itself what is to be stays.
    """
    texts = staged["properties"]
    wanted = pc.and_(pc.equal(staged["kind"], EVENT), pc.is_null(staged["user_id"]))
    wanted = pc.and_(wanted, pc.invert(pc.match_substring(texts, _PERSONLESS)))
    if not pc.any(wanted).as_py():
        return staged
    empty = pc.equal(texts, "{}")
    marked = pc.if_else(
        empty,
        f"{{{_PERSONLESS}false}}",
        pc.binary_replace_slice(texts, start=0, stop=1, replacement=f"{{{_PERSONLESS}false,"),
    )
    staged = _with(staged, "properties", pc.if_else(wanted, marked, texts))
    for name in ("set", "set_once"):
        staged = _with(staged, name, pc.if_else(wanted, pa.scalar(None, pa.string()), staged[name]))
    return staged


def with_person_properties_placed(staged: pa.RecordBatch, settings: PersonProperties) -> pa.RecordBatch:
    """Return *staged* with each person property where *settings* put it: in `set`, in `set_once`, or nowhere."""
    rows = pc.or_(pc.is_valid(staged["set"]), pc.is_valid(staged["set_once"]))
    if not pc.any(rows).as_py():
        return staged
    last, first = staged["set"].to_pylist(), staged["set_once"].to_pylist()
    for index in pc.indices_nonzero(rows).to_pylist():
        last[index], first[index] = _apportion(last[index], first[index], settings)
    staged = _with(staged, "set", pa.array(last, pa.string()))
    return _with(staged, "set_once", pa.array(first, pa.string()))


def _apportion(last: str | None, first: str | None, settings: PersonProperties) -> tuple[str | None, str | None]:
    places: dict[str, dict[str, object]] = {"set": {}, "set_once": {}, "none": {}}
    sources: tuple[tuple[str | None, Place], ...] = (last, "set"), (first, "set_once")
    for text, own in sources:
        for name, value in orjson.loads(text or "{}").items():
            place = settings.place(name, own)
            # What is known for the last time wins over what was known for the first.
            places[place].setdefault(name, value)
    return _text(places["set"]), _text(places["set_once"])


def _text(properties: dict[str, object]) -> str | None:
    return orjson.dumps(properties).decode() if properties else None


def _with(staged: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    column = staged.schema.get_field_index(name)
    return staged.set_column(column, staged.schema.field(column), values)
