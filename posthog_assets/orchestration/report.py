"""The report of an import, with what Dagster knows of its failed days.

Belongs here: bringing Dagster's record and the stored numbers together. Does not belong here: either of them.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from posthog_assets.orchestration.history import History
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.report.day_numbers import DayNumbers, numbers_of
from posthog_assets.pipeline.report.page import whole_range
from posthog_assets.storage.layout import DELIVERIES, EXPORTS

#: Failed days whose reason is read; the others are only marked as failed.
_REASONS: Final = 200


def report_days(
    imp: Import, history: History | None, first: date | None = None, last: date | None = None
) -> list[DayNumbers]:
    """Return the numbers of every day from the first to the last of which anything is stored or failed.

    *history* None: nothing is known of failed runs. *first* and *last*, both included, narrow the range.
    """
    reasons = failure_reasons(history) if history else {}
    days = [day for day in {*_stored_days(imp), *reasons} if (first or day) <= day <= (last or day)]
    return list(numbers_of(imp, whole_range(days), reasons))


def _stored_days(imp: Import) -> set[date]:
    """Return the days of which anything is stored."""
    found = set()
    for folder in (EXPORTS, DELIVERIES):
        for name in imp.store.folders(folder):
            try:
                found.add(date.fromisoformat(name))
            except ValueError:
                continue
    return found


def failure_reasons(history: History) -> dict[date, str]:
    """Return why the last run of each failed day failed."""
    reasons = {}
    for number, (key, step) in enumerate(history.failed().items()):
        run = history.last_run(key, step) if number < _REASONS else None
        words = history.failures(run)[0].words if run else ""
        reasons[date.fromisoformat(key)] = f"{step}: {words}" if words else f"{step} failed"
    return reasons
