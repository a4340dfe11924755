"""Mixpanel's profiles, as the Engage API gives them: each becomes one `$set` event.

Belongs here: a profile as a staged row. Does not belong here: what its fields are called (`mixpanel`).
"""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from typing import ClassVar

from pydantic import Field

from posthog_assets.dialects.mixpanel import Mixpanel
from posthog_assets.dialects.profiles import uuids_of_people
from posthog_assets.dialects.values import Record, Rejected
from posthog_assets.dialects.vendor import Reading, Vendor


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
