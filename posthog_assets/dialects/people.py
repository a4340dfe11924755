"""How profiles of users read.

Belongs here: the `dialect` of a `people` section. Does not belong here: where profiles come from (`sources.people`).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, ClassVar

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from posthog_assets.core.records import RecordChunk
from posthog_assets.core.rejection import Rejected
from posthog_assets.core.schemas import STAGED_EVENTS, TIMESTAMP
from posthog_assets.dialects.base import NAMESPACE
from posthog_assets.dialects.column import Column, TimestampColumn, Value
from posthog_assets.dialects.columns import Columns
from posthog_assets.dialects.mixpanel import Mixpanel
from posthog_assets.dialects.reading import Reading
from posthog_assets.dialects.record import Record
from posthog_assets.dialects.vendor import Vendor


class MixpanelProfiles(Vendor):
    """One profile per record."""

    type: str = "mixpanel"
    makes_ids: ClassVar[bool] = True

    as_of: date = Field(date(1970, 1, 1), description="The day of the $set events; absent: the import's start_date")

    def uuid_namespace(self, import_name: str) -> uuid.UUID:
        return uuids_of_people(self.namespace or import_name)

    def read(self, record: Record) -> Reading:
        who, properties = Mixpanel().profile(record)
        if not properties:
            raise Rejected("profile says nothing of the person")
        reading = Reading()
        reading.event = "$set"
        reading.user_id = reading.source_id = who
        reading.set = properties
        reading.timestamp = datetime(self.as_of.year, self.as_of.month, self.as_of.day, tzinfo=UTC)
        return reading


def uuids_of_people(import_name: str) -> uuid.UUID:
    """Return the namespace of the uuids of profiles: an id may be both a person's and an event's."""
    return uuid.uuid5(NAMESPACE, f"people of {import_name}")


class Profiles(Columns):
    """Records whose columns are a person's properties; each becomes one `$set` event.

    `properties` chooses columns, `rename` gives them the names they have in PostHog. The events are all of `as_of`, so
    that a profile that is sent again replaces itself.
    """

    type: str = "columns"
    event: Value | Column = Field(Value(value="$set"), description="Always $set")
    user_id: Column | None = Field(description="The column of the id that persons have in PostHog")
    # No column can have this name.
    timestamp: TimestampColumn = Field(TimestampColumn(column="\0"), description="Set by as_of")
    rename: dict[str, str] = Field(default_factory=dict, description="Column: person property")
    as_of: date = Field(date(1970, 1, 1), description="The day of the $set events; absent: the import's start_date")

    @model_validator(mode="before")
    @classmethod
    def _is_known_by_its_user(cls, given: Any) -> Any:
        return {"source_id": given["user_id"]} | given if isinstance(given, dict) and "user_id" in given else given

    @model_validator(mode="after")
    def _says_nothing_of_events(self) -> Profiles:
        wrong = {"event", "anonymous_id", "timestamp", "groups", "person_properties"} & self.model_fields_set
        if wrong:
            raise ValueError(f"{', '.join(sorted(wrong))}: a profile has none; its columns are the person's properties")
        return self

    def uuid_namespace(self, import_name: str) -> uuid.UUID:
        return uuids_of_people(self.namespace or import_name)

    def timestamps(self, records: list[dict[str, Any]]) -> tuple[pa.Array, dict[int, str]]:
        """Return the same instant for every record."""
        moment = datetime(self.as_of.year, self.as_of.month, self.as_of.day, tzinfo=UTC)
        return pa.array([moment] * len(records), TIMESTAMP), {}

    def stage(self, chunk: RecordChunk, part: str) -> pa.RecordBatch:
        """Return one `STAGED_EVENTS` row per profile of *chunk*; the records are used up."""
        staged = super().stage(chunk, part)
        return as_profiles(staged, self.rename)


def as_profiles(staged: pa.RecordBatch, rename: Mapping[str, str]) -> pa.RecordBatch:
    """Return *staged* with its properties, renamed, as those of the person; a row without any is rejected."""
    said: list[str | None] = []
    reasons = staged["reject_reason"].to_pylist()
    told = staged["set"].to_pylist()
    for index, text in enumerate(staged["properties"].to_pylist()):
        properties = {rename.get(k, k): v for k, v in orjson.loads(text or "{}").items() if v is not None}
        properties |= orjson.loads(told[index] or "{}")
        said.append(orjson.dumps(properties).decode() if properties else None)
        if not properties:
            reasons[index] = reasons[index] or "profile says nothing of the person"
    good = pa.array([reason is None for reason in reasons])
    columns = {
        name: pc.if_else(good, staged[name], pa.scalar(None, staged[name].type))
        for name in staged.schema.names
        if name not in ("raw_part", "raw_line")
    }
    columns |= {
        "properties": pc.if_else(good, pa.scalar("{}"), pa.scalar(None, pa.string())),
        "set": pa.array(said, pa.string()),
        "reject_reason": pa.array(reasons, pa.string()),
    }
    return pa.RecordBatch.from_arrays(
        [columns.get(name, staged[name]) for name in STAGED_EVENTS.names], schema=STAGED_EVENTS
    )
