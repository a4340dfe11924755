"""The columns of every Parquet file this project writes: the contracts between the rooms.

Belongs here: Arrow schemas and the words of their enumerations. Does not belong here: code that fills
or reads them.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

TIMESTAMP: Final = pa.timestamp("us", tz="UTC")


#: Where a field's description lies in its Arrow metadata.
DESCRIPTION: Final = b"description"


def column(name: str, kind: pa.DataType, description: str) -> pa.Field:
    """Return a field that says what it means: Dagster shows it, and the Parquet file carries it along."""
    return pa.field(name, kind, metadata={DESCRIPTION: description})


#: One row per raw record, readable or not: records in = rows out.
STAGED_EVENTS: Final = pa.schema(
    [
        column(
            "source_id",
            pa.string(),
            "The source's own id of the record; where it has none, `content:` and a hash of the record",
        ),
        column("kind", pa.string(), "event, anonymous, identify, alias or group; empty on a rejected row"),
        column("event", pa.string(), "Name of the event, as the source calls it"),
        column("user_id", pa.string(), "Who did it, where the person is known"),
        column("anonymous_id", pa.string(), "The device or cookie, where the person is not known (yet)"),
        column("timestamp", TIMESTAMP, "When it happened, UTC"),
        # UTF-8, no NaN or infinity, no lone surrogates; no object where there is nothing to say, and no person property
        # in both set and set_once.
        column("properties", pa.string(), "Everything else the record says, a JSON object as text"),
        column("set", pa.string(), "Properties of the person that overwrite what PostHog has, JSON object"),
        column("set_once", pa.string(), "Properties of the person that never overwrite anything, JSON object"),
        column("groups", pa.string(), "Groups the event belongs to, JSON object {group type: group key}"),
        column(
            "group_set",
            pa.string(),
            "What the record says of its groups, JSON object {group type: {group key: {property: value}}}",
        ),
        column("raw_part", pa.string(), "File of the raw export that the record stands in"),
        column("raw_line", pa.int64(), "Line or row of the record in that file, counted from 1"),
        column("reject_reason", pa.string(), "Why the record cannot become an event; empty: it can"),
    ]
)


#: The same where records of one event replace each other (`Dialect.replaces_versions`).
STAGED_VERSIONS: Final = STAGED_EVENTS.append(
    column("stored_at", TIMESTAMP, "When the source stored this version of the event, where it says so")
)


#: The same where one record becomes several events: as many rows have the number 0 as there are raw records.
STAGED_SEVERAL: Final = STAGED_EVENTS.append(
    column("event_number", pa.int64(), "Which of the record's events this is, 0 the first; a rejected record has 0")
)

#: One row per event (derived ones included), oldest first.
POSTHOG_EVENTS: Final = pa.schema(
    [
        # Lower-case, hyphenated; unique in the file among rows that are not rejected.
        column("uuid", pa.string(), "PostHog's id of the event; the same record always gets the same one"),
        column("event", pa.string(), "Name of the event in PostHog"),
        column("distinct_id", pa.string(), "The person in PostHog"),
        column("timestamp", TIMESTAMP, "When it happened, UTC"),
        column("properties", pa.string(), "The event's properties in PostHog, a JSON object as text"),
        column("source_id", pa.string(), "The source's own id of the record; empty on derived events"),
        column("reject_reason", pa.string(), "Why the event is not sent; empty: it is"),
        column("raw_part", pa.string(), "File of the raw export that the record stands in; empty on derived events"),
        column("raw_line", pa.int64(), "Line or row of the record in that file, counted from 1"),
    ]
)


BATCH_FILE: Final = pa.schema(
    [
        pa.field("uuid", pa.binary(16)),
        # xxh3-64 of the event's JSON as sent, and of (UTC day, event, distinct_id).
        pa.field("content_hash", pa.uint64()),
        pa.field("key_hash", pa.uint64()),
        pa.field("verdict", pa.dictionary(pa.int8(), pa.string())),
        # PostHog's own words, where it said any.
        pa.field("detail", pa.string()),
    ]
)


LEDGER: Final = pa.schema(
    [
        column("number", pa.int64(), "The batch, counted from 1 over all runs of the day"),
        column("answered_at", TIMESTAMP, "When PostHog answered, UTC"),
        column("protocol", pa.string(), "v1 or batch; query, undo, release: verdicts were taken back"),
        column("request_id", pa.string(), "Our id of the last request, which PostHog's answer repeats"),
        column("requests", pa.int64(), "Requests it took, repeated ones included"),
        column("events", pa.int64(), "Events in the batch"),
        column("acknowledged", pa.int64(), "Events PostHog took"),
        column("dropped", pa.int64(), "Events PostHog refused for good, with a reason"),
        column("owed", pa.int64(), "Events without a verdict; a later batch carries them again"),
        column("raw_bytes", pa.int64(), "Bytes of the body before compression"),
        column("sent_bytes", pa.int64(), "Bytes that went over the network"),
        column("first_timestamp", TIMESTAMP, "Oldest event in the batch, UTC"),
        column("last_timestamp", TIMESTAMP, "Newest event in the batch, UTC"),
        column("mapping", pa.string(), "Version of the mapping that made the events"),
    ]
)


REJECTED: Final = pa.schema(
    [
        # The asset that rejected it; imported_batches: PostHog dropped it.
        pa.field("asset", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("event", pa.string()),
        pa.field("distinct_id", pa.string()),
        pa.field("timestamp", TIMESTAMP),
        pa.field("source_id", pa.string()),
        pa.field("uuid", pa.string()),
        # Where the raw record stands: name of the part, and line or row in it, counted from 1.
        pa.field("raw_part", pa.string()),
        pa.field("raw_line", pa.int64()),
    ]
)


#: Where the events' file keeps which facts of other days they were made with (`pipeline.history_facts`).
HISTORY_KEY: Final = b"posthog_assets.history"

#: Where the events' file keeps the version of the mapping that made them, and what they were made from.
MAPPING_KEY: Final = b"posthog_assets.mapping"


STAGED_KEY: Final = b"posthog_assets.staged"


#: Where a stored file keeps a digest of its content and how many bytes that is, taken while it was written.
CONTENT_KEY: Final = b"posthog_assets.content"

#: Where the events' file keeps the group types that its events name, a JSON list; absent: none.
GROUP_TYPES_KEY: Final = b"posthog_assets.group_types"


FETCHED_AT_KEY: Final = b"posthog_assets.fetched_at"


LANDED_EVENTS = pa.schema(
    [
        column("event", pa.string(), "Name of the event in PostHog"),
        column("acknowledged", pa.int64(), "Events PostHog took, as the ledger says"),
        column("landed", pa.int64(), "Of those, the events a query found"),
        column("missing_uuids", pa.list_(pa.string()), "Those it did not find; they are owed again"),
    ]
)

#: Why events of a day are missing in PostHog or were changed, as its ingestion warnings say: one of each kind, as text
#: that may be shown.
INGESTION_WARNINGS: Final = pa.schema(
    [pa.field(name, pa.string()) for name in ("warning", "events", "meaning", "event", "uuid", "found_by", "details")]
)

#: What `history_facts` knows of events of one day: those that the mapping asks about.
DAY_FACTS: Final = pa.schema(
    [
        column("event", pa.string(), "Name of the event, as the source calls it"),
        column("source_id", pa.string(), "The source's own id of the record"),
        column("is_first", pa.bool_(), "Whether it is its person's first event of this name; empty: not asked for"),
        column("gap", pa.int64(), "Microseconds since the person's previous event; empty: none, or not asked for"),
    ]
)

#: One row per person of all staged days.
PERSONS: Final = pa.schema(
    [
        column("person", pa.string(), "The user's id; of somebody without one, the anonymous id"),
        column("events", pa.int64(), "Events of all staged days"),
        column("ids", pa.int64(), "Anonymous ids whose first user this is"),
        column("first", TIMESTAMP, "First event, UTC"),
        column("last", TIMESTAMP, "Last event, UTC"),
    ]
)

#: One row per pair of ids that were seen together on any staged day, oldest first.
LINKS: Final = pa.schema(
    [
        column("anonymous_id", pa.string(), "The device or cookie"),
        column("user_id", pa.string(), "The user"),
        column("timestamp", TIMESTAMP, "When the two were first seen together, UTC"),
        column("refused", pa.bool_(), "Whether PostHog will not merge them: the device is an identified person's"),
    ]
)

#: What the last comparison with the source's own numbers found, per day and event.
SOURCE_COUNTS: Final = pa.schema(
    [
        column("day", pa.date32(), "Day of the events' time, in the zone in which the source counts"),
        column("event", pa.string(), "Name of the event in PostHog"),
        column("source", pa.int64(), "How many the source counts"),
        column("arrived", pa.int64(), "Acknowledged by PostHog, and found where it was looked for"),
        column("rejected", pa.int64(), "Rejected by the mapping"),
        column("left_out", pa.int64(), "Left out on purpose"),
        column("repeated", pa.int64(), "In the source more than once"),
        column("dropped", pa.int64(), "Dropped by PostHog"),
        column("owed", pa.int64(), "Not acknowledged yet"),
        column("unnamed", pa.int64(), "Of what is missing, as many as the dialect rejected of that day's records"),
        column("unexplained", pa.int64(), "What the source counts beyond all these"),
    ]
)
