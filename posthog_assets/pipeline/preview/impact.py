"""`posthog-assets changes`: what the present mapping would do to days that are imported already.

Belongs here: the days concerned, and the table. Does not belong here: mapping a day without a trace (`dry_run`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from posthog_assets.core.errors import PosthogAssetsError
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.preview.dry_run import dry_run, imported_versions
from posthog_assets.storage.layout import DELIVERIES


@dataclass(frozen=True, slots=True)
class DayChange:
    """One imported day under the present mapping: numbers of events.

    `unchanged` are not sent again; `in_place` are sent again and replaced; `duplicated` would be a permanent second
    version, and stop the day; `new` were not imported before; `gone` stay in PostHog, which cannot delete them.
    """

    day: date
    versions: tuple[str | None, ...]
    unchanged: int = 0
    in_place: int = 0
    duplicated: int = 0
    examples: tuple[str, ...] = ()
    new: int = 0
    gone: int = 0
    failure: str | None = None


def imported_days(imp: Import, first: date | None = None, last: date | None = None) -> list[date]:
    """Return the days with a ledger, in order, from *first* to *last* (both included)."""
    days = []
    for name in imp.store.folders(DELIVERIES):
        try:
            day = date.fromisoformat(name)
        except ValueError:
            continue
        if (first is None or day >= first) and (last is None or day <= last):
            days.append(day)
    return sorted(days)


def day_change(imp: Import, day: date) -> DayChange:
    """Return what the present settings would change of an imported *day*; nothing is sent or stored."""
    versions = tuple(imported_versions(imp, day))
    try:
        with dry_run(imp, day) as run:
            report = run.delivery()
    except PosthogAssetsError as error:
        return DayChange(day, versions, failure=str(error))
    settled = report.already_acknowledged + report.dropped
    return DayChange(
        day, versions, settled, report.changed, report.moved, tuple(report.moved_examples),
        report.events - settled - report.changed - report.moved, report.orphaned,
    )  # fmt: skip
