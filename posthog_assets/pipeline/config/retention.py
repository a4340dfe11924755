"""The `retention` section of the import file: how long what was imported stays in the storage.

Belongs here: the setting, and what it means. Does not belong here: deleting (`prune`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import Field

from posthog_assets.core.sections import Section

#: The assets whose files may go, upstream first. The ledger, manifests and rejected tables always stay.
PRUNABLE: Final = ("raw_export", "staged_events", "posthog_events")

_Days = Literal["keep"] | Annotated[int, Field(ge=0, le=36_500)]
_WHAT: Final = "`keep`, or days after the partition was acknowledged (landed, where a query looks)"


class Retention(Section):
    """How long the files of a day stay once it is imported; by default for ever."""

    raw_export: _Days = Field("keep", description=_WHAT)
    staged_events: _Days = Field("keep", description=_WHAT)
    posthog_events: _Days = Field("keep", description=_WHAT)

    def of(self, asset: str) -> timedelta | None:
        """Return how long the files of *asset* stay, None: for ever."""
        days: Literal["keep"] | int = getattr(self, asset)
        return None if days == "keep" else timedelta(days=days)

    @property
    def prunes(self) -> bool:
        """Whether anything ever goes."""
        return any(self.of(asset) is not None for asset in PRUNABLE)
