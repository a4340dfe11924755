"""What an event of one day knows of all of history: whether it is its person's first, and the time since the last one.

Belongs here: adding such facts to the properties of staged rows, and the events that are sent beside first ones. Does
not belong here: finding the facts (`pipeline.history_facts`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.json_members import with_first, without
from posthog_assets.mapping.settings import Mapping
from posthog_assets.mapping.uuids import uuids5

FIRST: Final = "$is_first_time"
GAP: Final = "$seconds_since_previous"


class HistoryWriter:
    """Adds the facts of one day to its events.

    *facts* has the columns of `DAY_FACTS`: one row per event that `mapping.first_time` or `mapping.since_previous`
    names, known by its name in the source and its source id. An event that the facts do not know gets none.
    """

    def __init__(self, mapping: Mapping, facts: pa.Table) -> None:
        self._asked = pa.array([*mapping.first_time, *mapping.since_previous], pa.string())
        self._flagged = pa.array(mapping.first_time, pa.string())
        self._keys = _keys(facts["event"].combine_chunks(), facts["source_id"].combine_chunks())
        self._firsts = facts["is_first"].combine_chunks()
        self._gaps = facts["gap"].combine_chunks()

    def write(self, staged: pa.RecordBatch) -> pa.RecordBatch:
        """Return rows with what is known of them among their properties; a property of an event's own stays."""
        texts = staged["properties"]
        asked = pc.is_in(staged["event"], self._asked)
        if not pc.any(asked).as_py():
            return staged
        where = pc.index_in(_keys(staged["event"], staged["source_id"]), self._keys)
        where = pc.if_else(asked, where, pa.scalar(None, pa.int32()))
        flagged = pc.is_in(staged["event"], self._flagged)
        firsts = pc.if_else(flagged, self._firsts.take(where).cast(pa.string()), pa.scalar(None, pa.string()))
        gaps = _seconds(self._gaps.take(where))
        for name, values in ((GAP, gaps), (FIRST, firsts)):
            own = pc.match_substring(texts, f'"{name}":')
            texts = with_first(texts, name, pc.if_else(own, pa.scalar(None, pa.string()), values))
        place = staged.schema.get_field_index("properties")
        return staged.set_column(place, staged.schema.field(place), texts)


class FirstEvents:
    """Makes an event of its own of each person's first event of some names (`mapping.first_events`).

    It is the same event by another name, without what that one says of its person. *facts* are as for `HistoryWriter`.
    """

    def __init__(self, mapping: Mapping, facts: pa.Table, namespace: UUID) -> None:
        self._namespace = namespace
        wished = mapping.first_events
        firsts = facts.filter(pc.and_(pc.fill_null(facts["is_first"], False), pc.is_in(facts["event"], _texts(wished))))
        names = [mapping.events.get(name, name) or "" for name in firsts["event"].to_pylist()]
        self._keys = _keys(_texts(names), firsts["source_id"].combine_chunks())
        self._names = {mapping.events.get(name, name): first for name, first in wished.items()}
        self._sources = _texts(name for name in self._names if name)

    def add(self, events: pa.RecordBatch) -> pa.RecordBatch:
        """Return mapped events (`POSTHOG_EVENTS`) with each first one followed by the event that is made of it."""
        if not len(self._keys) or not pc.any(pc.is_in(events["event"], self._sources)).as_py():
            return events
        found = pc.is_in(_keys(events["event"], events["source_id"]), self._keys)
        places = pc.indices_nonzero(pc.and_(pc.fill_null(found, False), pc.is_null(events["reject_reason"])))
        if not len(places):
            return events
        made = self._made(events.take(places))
        order = np.argsort(np.concatenate([np.arange(len(events)), places.to_numpy()]), kind="stable")
        both = pa.Table.from_batches([events, made]).take(pa.array(order))
        return both.combine_chunks().to_batches()[0]

    def _made(self, firsts: pa.RecordBatch) -> pa.RecordBatch:
        names = _texts(self._names[name] for name in firsts["event"].to_pylist())
        nothing = pa.nulls(len(firsts), pa.string())
        columns = {
            "uuid": uuids5(self._namespace, pc.binary_join_element_wise(names, firsts["uuid"], " ").to_pylist()),
            "event": names,
            "properties": without(without(firsts["properties"], "$set"), "$set_once"),
            "source_id": nothing,
            "raw_part": nothing,
            "raw_line": pa.nulls(len(firsts), pa.int64()),
        }
        arrays = [columns.get(field.name, firsts[field.name]) for field in firsts.schema]
        return pa.RecordBatch.from_arrays(arrays, schema=firsts.schema)


def _texts(values: Iterable[str]) -> pa.StringArray:
    return pa.array(list(values), pa.string())


def _keys(events: pa.Array, sources: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(events, sources, "\0")


def _seconds(micros: pa.Array) -> pa.Array:
    """Return µs as seconds in JSON, to the millisecond."""
    seconds = np.round(micros.fill_null(0).to_numpy(zero_copy_only=False) / 1_000_000, 3)
    return pa.array(seconds.tolist(), pa.float64(), mask=micros.is_null().to_numpy(zero_copy_only=False)).cast(
        pa.string()
    )
