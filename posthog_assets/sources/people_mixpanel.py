"""Mixpanel's profiles as a source of people.

Belongs here: what differs from a source of events: there are no days. Does not belong here: paging
(`mixpanel_profiles`).
"""

from __future__ import annotations

from datetime import date

from posthog_assets.sources.mixpanel import Mixpanel
from posthog_assets.sources.mixpanel_profiles import export_profiles
from posthog_assets.sources.raw_export import RawExport


class MixpanelPeople(Mixpanel):
    """All profiles of a Mixpanel project, as they are now."""

    def export(self, day: date, raw: RawExport, first_day: date) -> None:
        """Pin every profile; neither day matters."""
        export_profiles(self, raw)
