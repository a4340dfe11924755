"""The report of an import, with what Dagster knows of its failed days.

Belongs here: bringing Dagster's record and the stored numbers together. Does not belong here: either of them.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import dagster as dg

from posthog_assets.core.errors import ImportFileError
from posthog_assets.orchestration.local.day_states import failures, read_day_states
from posthog_assets.orchestration.local.instance import opened_instance
from posthog_assets.orchestration.local.project import ImportJob, find_job
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.report.day_numbers import numbers_of
from posthog_assets.pipeline.report.page import html, whole_range


def import_report(
    name: str, project: Path | None, first: date | None = None, last: date | None = None
) -> tuple[str, list[date]]:
    """Return the page about import *name*, and the days on it.

    Raises:
        ImportFileError: there is no such import, or the library that draws is not installed.
    """
    job = find_job(name, project)
    days = stored_days(job.imp, first, last)
    reasons: dict[date, str] = {}
    try:
        with opened_instance() as instance:
            reasons = failure_reasons(instance, job, days)
            days = whole_range([*days, *reasons])
    except ImportFileError:
        # Without a Dagster instance there is what is stored: a library user need not have one.
        days = whole_range(days)
    return html(name, list(numbers_of(job.imp, days, reasons))), days


def stored_days(imp: Import, first: date | None = None, last: date | None = None) -> list[date]:
    """Return the days of which anything is stored, in order."""
    found = set()
    for folder in ("raw_export", "imported_batches"):
        for name in imp.store.folders(folder):
            try:
                day = date.fromisoformat(name)
            except ValueError:
                continue
            if (first is None or day >= first) and (last is None or day <= last):
                found.add(day)
    return sorted(found)


def failure_reasons(instance: dg.DagsterInstance, job: ImportJob, days: list[date]) -> dict[date, str]:
    """Return why the last run of a day failed, for those of the range of *days* on which one did."""
    span = [day for day in job.days() if days and days[0] <= day <= days[-1]]
    found = failures(instance, read_day_states(instance, job, span))
    return {
        day: f"{failure.asset}: {failure.words}" if failure.asset else failure.words for day, failure in found.items()
    }
