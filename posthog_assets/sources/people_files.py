"""Files that hold a table of users, on a disk or on anything fsspec reaches.

Belongs here: what differs from files of events: there are no days. Does not belong here: finding and pinning (`files`).
"""

from __future__ import annotations

from pydantic import model_validator

from posthog_assets.sources.files import Files


class PeopleFiles(Files):
    """Files at *path*, all of one table as it is now."""

    type: str = "files"

    @model_validator(mode="after")
    def _knows_the_day(self) -> PeopleFiles:
        if self.day_column or self.holds_days:
            raise ValueError("people have no days: path has no {day}, and there is no day_column")
        if self.available_after_hours:
            raise ValueError("people have no days: there is no available_after_hours")
        return self
