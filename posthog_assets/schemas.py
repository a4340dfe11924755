"""The columns of every Parquet file this project writes: the contracts between the rooms.

Belongs here: Arrow schemas and the words of their enumerations. Does not belong here: code that fills
or reads them.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

TIMESTAMP: Final = pa.timestamp("us", tz="UTC")

#: One row per raw record, readable or not: records in = rows out.
STAGED_EVENTS: Final = pa.schema(
    [
        # The source's own id of the record; where it has none, `content:` and a hash of the record.
        pa.field("source_id", pa.string()),
        # event | anonymous | identify | alias | group (mapping.kinds); None on a rejected row.
        pa.field("kind", pa.string()),
        pa.field("event", pa.string()),
        pa.field("user_id", pa.string()),
        pa.field("anonymous_id", pa.string()),
        pa.field("timestamp", TIMESTAMP),
        # JSON objects as text, UTF-8, no NaN or infinity, no lone surrogates; no object where there is nothing to say,
        # and no person property in both set and set_once.
        pa.field("properties", pa.string()),
        pa.field("set", pa.string()),
        pa.field("set_once", pa.string()),
        # JSON object {group type: group key}.
        pa.field("groups", pa.string()),
        # What the record says of its groups: JSON object {group type: {group key: {property: value}}}.
        pa.field("group_set", pa.string()),
        # Where the record stands: name of the part, and line or row in it, counted from 1.
        pa.field("raw_part", pa.string()),
        pa.field("raw_line", pa.int64()),
        # Why the record cannot become an event; None: it can.
        pa.field("reject_reason", pa.string()),
    ]
)

#: One row per event (derived ones included), oldest first.
POSTHOG_EVENTS: Final = pa.schema(
    [
        # Lower-case, hyphenated; unique in the file among rows that are not rejected.
        pa.field("uuid", pa.string()),
        pa.field("event", pa.string()),
        pa.field("distinct_id", pa.string()),
        pa.field("timestamp", TIMESTAMP),
        pa.field("properties", pa.string()),
        # None on derived events.
        pa.field("source_id", pa.string()),
        # Why the event is not sent; None: it is.
        pa.field("reject_reason", pa.string()),
        # Where the raw record stands, as in the staged rows; None on derived events.
        pa.field("raw_part", pa.string()),
        pa.field("raw_line", pa.int64()),
    ]
)
