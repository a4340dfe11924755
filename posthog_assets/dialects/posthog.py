"""PostHog's own events: batch exports, pages of the query API, and requests as its SDKs send them.

Belongs here: what of a stored event must not be sent again as it stands. Does not belong here: fetching
(`sources.posthog`).

Fields are those of PostHog's batch exports (posthog.com/docs/cdp/batch-exports/s3) and capture API. The uuid stays, so
that importing an event twice, or into the project it comes from, replaces it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar

import orjson
import pyarrow as pa

from posthog_assets.core.json_text import load_any
from posthog_assets.core.records import RecordChunk, Unreadable
from posthog_assets.core.rejection import Rejected
from posthog_assets.core.schemas import STAGED_VERSIONS, TIMESTAMP
from posthog_assets.dialects.reading import Reading
from posthog_assets.dialects.record import Record, as_object
from posthog_assets.dialects.vendor import Vendor

#: Where PostHog keeps the keys of an event's groups by the number a project gave the type; in another project the same
#: number is another type, and PostHog sets them from `$groups` itself.
_NUMBERED_GROUPS = frozenset(f"$group_{number}" for number in range(5))

_RECORDING = "a session recording is no event"


class PostHogEvents(Vendor):
    """One event a record: `uuid`, `event`, `distinct_id`, `timestamp`, `properties` (an object, or its JSON text)."""

    type: str = "posthog"
    verbatim_uuid: ClassVar[bool] = True
    # PostHog keeps one row of each day, event, distinct_id and uuid (ReplacingMergeTree), but not at once: exports show
    # what it has not merged yet, such as an event that an SDK sent twice, at times that differ by a skew.
    replaces_versions: ClassVar[bool] = True

    marks = (
        ("uuid", "event", "distinct_id", "timestamp", "properties"),
        ("event", "distinct_id", "timestamp", "properties.$lib"),
        ("event", "properties.distinct_id", "properties.token"),
        ("event", "$distinct_id", "properties"),
    )
    source_id = ("uuid",)
    user_id = ("distinct_id", "$distinct_id", "properties.distinct_id")
    spread = ("properties",)
    dropped = _NUMBERED_GROUPS
    objects = frozenset({"$set", "$set_once"})
    numbers = frozenset({"offset"})
    not_imported = {
        "person_id": "the person in that project; distinct_id says who it is",
        "person_properties": "what was known of the person in that project; see `people`",
        "person_created_at": "when that project got to know the person",
        "person_mode": "how that project keeps the person",
        "team_id": "the number of that project",
        "project_id": "the number of that project",
        "ip": "the address the event came from, which PostHog has in $ip where the project keeps it",
        "site_url": "the address of the page, which is in $current_url too",
        "created_at": "when that project got the event; of versions of one event the newest counts",
        "_inserted_at": "when that project stored the event; of versions of one event the newest counts",
        "api_key": "the key of that project",
        "token": "the key of that project",
        "sent_at": "when the request was sent; the event's own time counts",
        "type": "the kind of call of an SDK, as `event` has it",
        "library": "the SDK, which is in $lib too",
        "library_version": "the SDK, which is in $lib_version too",
        "historical_migration": "a mark of the request",
        "now": "when the request came in, which offset counts from",
    }
    left_out = {
        "$snapshot": _RECORDING,
        "$snapshot_items": _RECORDING,
        "$performance_event": "PostHog drops it",
        "$$client_ingestion_warning": "a warning of that project",
    }
    notes = (
        ("uuid", "uuid, as it stands"),
        ("event", "event, as it stands: `$identify`, `$create_alias`, `$groupidentify`, `$set` too"),
        ("distinct_id, `$distinct_id`, properties.distinct_id", "distinct_id: the first there is"),
        ("timestamp", "timestamp, to the µs: ISO 8601 (UTC without a zone), or an epoch"),
        ("offset and now, in recorded requests", "timestamp: so many ms before the request"),
        ("properties", "properties, as they are"),
        ("elements_chain", "`$elements_chain`"),
        ("`$set`, `$set_once`, in properties or beside them", "by `mapping.person_properties`: `set` keeps them"),
        ("`$unset`", "left out unless `keep_unset`: it would delete what living people have"),
        ("`$group_0` to `$group_4`", "left out: PostHog makes them from `$groups`"),
        ("`$exception`, `$heatmap_data`", "as they are: PostHog processes them once more"),
        ("`_inserted_at`, created_at", "of versions of one event the newest counts"),
    )

    def stage(self, chunk: RecordChunk, part: str) -> pa.RecordBatch:
        """Return one `STAGED_VERSIONS` row per record of *chunk*; the records are used up."""
        stored: list[Any] = []
        records: list[Record | Unreadable] = []
        for record in chunk.used_up():
            stored.append(_stored(record))
            records.append(_opened(record, chunk.remark))
        batch = super().stage(RecordChunk(chunk.positions, records, chunk.untyped, chunk.remarks), part)
        stamps = self.instants(stored)[0] if any(stored) else pa.nulls(len(stored), TIMESTAMP)
        return pa.RecordBatch.from_arrays(
            [*batch.columns, stamps], schema=STAGED_VERSIONS.with_metadata(batch.schema.metadata)
        )

    def read(self, record: Record) -> Reading:
        if type(record.get("batch")) is list:
            raise Rejected("record is a whole request: write one event of its batch on each line")
        reading = super().read(record)
        properties = reading.properties
        for name in ("$set", "$set_once"):
            if (said := record.get(name)) is not None:
                # As PostHog does: what stands beside the properties wins.
                properties[name] = as_object(properties.get(name), name) | as_object(said, name)
        if type(offset := record.get("offset")) is int and record.get("now"):
            # Milliseconds before the request came in; it wins over a time: rust/common/types/src/timestamp.rs.
            reading.timestamp = datetime.fromisoformat(record["now"]) - timedelta(milliseconds=offset)
        if chain := record.get("elements_chain"):
            properties.setdefault("$elements_chain", chain)
        return reading


def _stored(record: Record | Unreadable) -> Any:
    """Return when PostHog stored a record, else when it took it in."""
    return None if isinstance(record, Unreadable) else record.get("_inserted_at") or record.get("created_at")


def _opened(record: Record | Unreadable, remark: Callable[[str], None]) -> Record | Unreadable:
    """Return a record with its properties as an object, where they are JSON text."""
    if isinstance(record, Unreadable) or type(text := record.get("properties")) is not str:
        return record
    try:
        return record | {"properties": load_any(text, remark) if text else {}}
    except orjson.JSONDecodeError as error:
        return Unreadable(f"properties are no JSON: {error}")
