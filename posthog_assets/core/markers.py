"""The properties that every imported event carries, so that it can be found again and traced to its original.

Belongs here: their names. By default the first four are those PostHog's own managed migrations write; the others say
which day of the import an event came with, which record it was, and by which mapping it was made.
"""

from __future__ import annotations

import re
from typing import Final

from pydantic import ConfigDict, Field, model_validator

from posthog_assets.core.sections import Section

GEOIP_PROPERTY: Final = "$geoip_disable"
HISTORICAL_PROPERTY: Final = "historical_migration"

#: Names that HogQL reads without quotes.
_NAME: Final = re.compile(r"[A-Za-z_$][\w$]{0,99}")


class Markers(Section):
    """What the properties are called that trace an event."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True)

    source: str = Field("analytics_source", description="The source's type")
    import_name: str = Field("$import_job_id", alias="import", description="The import's name")
    day: str = Field("$import_day", description="The partition")
    source_id: str = Field("$import_source_id", description="The source's own id of the record")
    mapping: str | None = Field("$import_mapping", description="Version of the mapping; null: not sent")

    @model_validator(mode="after")
    def _are_names(self) -> Markers:
        names = self.names
        for name in names:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} must be letters, digits, _ and $, at most 100, the first no digit")
        if len(set(names)) < len(names):
            raise ValueError(f"each marker needs a name of its own; these are {', '.join(names)}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all markers, those that PostHog fixes included."""
        own = (self.source, self.import_name, self.day, self.source_id)
        return (GEOIP_PROPERTY, HISTORICAL_PROPERTY, *own, *((self.mapping,) if self.mapping else ()))


#: The names where the import file chooses no others.
MARKERS: Final = Markers.model_validate({}).names
