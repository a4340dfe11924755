"""What an event of one day knows of all of history: whether it is its person's first, and the time since the last one.

Belongs here: adding such facts to the properties of staged rows. Does not belong here: finding them
(`pipeline.history_facts`).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.json_members import with_first
from posthog_assets.mapping.settings import Mapping

FIRST: Final = "$is_first_time"
GAP: Final = "$seconds_since_previous"


class HistoryWriter:
    """Adds the facts of one day to its events.

    *facts* has the columns of `DAY_FACTS`: one row per event that `mapping.first_time` or `mapping.since_previous`
    names, known by its name in the source and its source id. An event that the facts do not know gets none.
    """

    def __init__(self, mapping: Mapping, facts: pa.Table) -> None:
        self._asked = pa.array([*mapping.first_time, *mapping.since_previous], pa.string())
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
        firsts = self._firsts.take(where).cast(pa.string())
        gaps = _seconds(self._gaps.take(where))
        for name, values in ((GAP, gaps), (FIRST, firsts)):
            own = pc.match_substring(texts, f'"{name}":')
            texts = with_first(texts, name, pc.if_else(own, pa.scalar(None, pa.string()), values))
        place = staged.schema.get_field_index("properties")
        return staged.set_column(place, staged.schema.field(place), texts)


def _keys(events: pa.Array, sources: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(events, sources, "\0")


def _seconds(micros: pa.Array) -> pa.Array:
    """Return µs as seconds in JSON, to the millisecond."""
    seconds = np.round(micros.fill_null(0).to_numpy(zero_copy_only=False) / 1_000_000, 3)
    return pa.array(seconds.tolist(), pa.float64(), mask=micros.is_null().to_numpy(zero_copy_only=False)).cast(
        pa.string()
    )
