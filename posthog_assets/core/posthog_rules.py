"""PostHog's rules for an event, applied before it is sent, so that nothing is changed or lost on the way.

Belongs here: rules and their public sources. Does not belong here: anything a user can choose.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

#: v1 drops longer names and ids, `/batch/` cuts the ids: rust/capture/src/v1/analytics/process.rs.
NAME_BYTES: Final = 200
ID_BYTES: Final = 200

#: PostHog's hard limit is 1,000,000 bytes after it has added its own; its SDKs stay below this one.
EVENT_BYTES: Final = 900_000

#: PostHog moves a time further ahead than this to the present: rust/common/types/src/timestamp.rs.
AHEAD: Final = timedelta(hours=23)

#: Why an event is left out that the import's cut-over leaves to another import, or to live tracking.
BEFORE_SINCE: Final = "timestamp is before since"
NOT_BEFORE_UNTIL: Final = "timestamp is not before until"

#: Ids that PostHog never gives a person, compared without case: nodejs/src/ingestion, `isDistinctIdIllegal`.
ILLEGAL_IDS: Final = frozenset(
    {
        "", "0", "00000000-0000-0000-0000-000000000000", "[object object]", "anonymous", "anonymous-user", "backend",
        "distinct_id", "distinctid", "email", "false", "guest", "id", "nan", "none", "not_authenticated", "null",
        "system", "true", "undefined", "user",
    }
)  # fmt: skip


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


def time_flaws(stamps: pa.Array, fetched_at: datetime) -> dict[int, str]:
    """Return which instants lie too far after the export to be true, by index."""
    late = pc.greater(stamps, pa.scalar(fetched_at + AHEAD, stamps.type))
    if not pc.any(late).as_py():
        return {}
    return {
        index: f"timestamp lies in the future: {stamps[index].as_py().isoformat()}"
        for index in pc.indices_nonzero(late).to_pylist()
    }


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
