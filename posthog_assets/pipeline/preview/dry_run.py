"""A day taken through an import's present settings without leaving a trace, and what that would change.

Belongs here: staging and mapping into a folder that is thrown away, and comparing with what PostHog acknowledged. Does
not belong here: showing it (`preview`, `changes`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from posthog_assets.core.errors import MissingUpstream
from posthog_assets.core.partitions import key_of
from posthog_assets.destination.ledger import REOPENING, Ledger
from posthog_assets.destination.report import DeliveryReport
from posthog_assets.destination.survey import RECENT, survey
from posthog_assets.mapping import MappingReport
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import StagingReport, stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.pipeline.upstream import materialize_first, stored_events
from posthog_assets.storage.layout import manifest_path
from posthog_assets.storage.overlays import Overlay
from posthog_assets.storage.scratch import scratch_folder


@dataclass(frozen=True, slots=True)
class DryRun:
    """A day as the present settings would make it; `imp` reads it, until the `dry_run` block ends."""

    imp: Import
    day: date
    staging: StagingReport
    mapping: MappingReport

    def delivery(self, now: datetime | None = None) -> DeliveryReport:
        """Return what a delivery would find: new, changed, moved and settled events, against the day's ledger."""
        report = DeliveryReport()
        with Ledger(self.imp.store, key_of(self.day)).sorted_entries() as known:
            survey(
                lambda columns, names=None: stored_events(self.imp.store, self.day, columns, names),
                known, report, (now or datetime.now(UTC)) - RECENT,
            )  # fmt: skip
        return report


@contextmanager
def dry_run(imp: Import, day: date) -> Iterator[DryRun]:
    """Stage and map *day* as the settings of *imp* say now. Only the raw export is kept, where there was none yet.

    Raises:
        SourceError: there is no raw export, and the source does not give one.
        MissingUpstream: there is none, and it is another import's to fetch.
        MappingError: the user's own function failed.
    """
    if not imp.store.exists(manifest_path(day)):
        if imp.raw_owner != imp.name:
            raise MissingUpstream(materialize_first("raw_export", imp.raw_owner, day))
        export_day(imp, day)
    with scratch_folder() as folder:
        dry = imp.stored_in(Overlay(imp.store, Path(folder)))
        staging = stage_day(dry, day)
        yield DryRun(dry, day, staging, transform_day(dry, day))


def imported_versions(imp: Import, day: date) -> list[str | None]:
    """Return the versions of the mapping whose events of *day* PostHog answered for, oldest first, each once."""
    found = [row["mapping"] for row in Ledger(imp.store, key_of(day)).facts() if row["protocol"] not in REOPENING]
    return list(dict.fromkeys(str(version) if version else None for version in found))
