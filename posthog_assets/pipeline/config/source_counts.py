"""The `source_counts` section of the import file: numbers of the source's own that an import is held against.

Belongs here: where they are, and how far they may differ. Does not belong here: the comparison
(`pipeline.source_counts`).
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from posthog_assets.core.sections import Section, TimeZone


class SourceCounts(Section):
    """What the source counts by day and event; absent: nothing is compared."""

    path: str | None = Field(
        None, min_length=1, description="A CSV with the columns day, event, count; absent: the source's API is asked"
    )
    storage_options: dict[str, Any] = Field(default_factory=dict, description="Passed to fsspec", repr=False)
    timezone: TimeZone | None = Field(
        None, description="Zone of the days that are counted; default: the source's timezone, else UTC"
    )
    events: list[str] = Field(
        default_factory=list,
        description="Names in the source that are compared; default: all of a file, of an API the 50 most frequent",
    )
    tolerance: float = Field(0.01, ge=0, le=1, description="How far a number may be off unexplained; 0.01 is 1 %")
