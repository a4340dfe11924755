"""Sources of profiles, which have no days.

Belongs here: the `source` of a `people` section. Does not belong here: how profiles read (`dialects.people`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from pydantic import model_validator

from posthog_assets.sources.files.source import Files
from posthog_assets.sources.manifest import RawExport
from posthog_assets.sources.mixpanel.events import Mixpanel
from posthog_assets.sources.mixpanel.profiles import export_profiles
from posthog_assets.sources.sql.source import Sql


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


class MixpanelPeople(Mixpanel):
    """All profiles of a Mixpanel project, as they are now."""

    def export(self, day: date, raw: RawExport, first_day: date) -> None:
        """Pin every profile; neither day matters."""
        export_profiles(self, raw)


#: Settings that say which rows are a day's, or when a day is read.
_OF_DAYS = frozenset({"day_column", "bounds", "updated_column", "late_days", "available_after_hours"})


class PeopleSql(Sql):
    """All rows of *table*, or of *query*, as they are now."""

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> PeopleSql:
        if bool(self.table) == bool(self.query):
            raise ValueError("needs either table or query")
        if self.query and (self.columns or self.where):
            raise ValueError("columns and where belong to table; write them into the query")
        if wrong := sorted(_OF_DAYS & self.model_fields_set):
            raise ValueError(f"people have no days: there is no {', '.join(wrong)}")
        return self

    def export(self, day: date, raw: RawExport, first_day: date) -> None:
        """Write all rows; neither day matters. Raises as the source of events does."""
        import sqlalchemy as sa

        # A database does not say whether its rows have changed: they are read each time.
        raw.begin(f"read {datetime.now(UTC).isoformat()}")
        database = self.database()
        with database.connect() as connection:
            table = self._looked_up(database, connection)
            everybody = self._rows(table)[1] if table else sa.text((self.query or "").strip().rstrip(";"))
            self._write(raw, database, connection, table, "people", everybody, {})
        raw.complete()
