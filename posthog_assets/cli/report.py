"""The command `posthog-assets report`.

Belongs here: where the page is written. Does not belong here: the page (`pipeline.report`), which days are on it
(`orchestration.report`).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from posthog_assets.cli.terminal import open_console
from posthog_assets.core.counted import counted
from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.markup import as_shown
from posthog_assets.orchestration.history import History
from posthog_assets.orchestration.local.instance import opened_instance
from posthog_assets.orchestration.local.project import ImportJob, find_job
from posthog_assets.orchestration.report import report_days
from posthog_assets.pipeline.report.charts import check_library
from posthog_assets.pipeline.report.day_numbers import DayNumbers
from posthog_assets.pipeline.report.page import html as as_html
from posthog_assets.pipeline.source_counts import stored_comparison


def run_report(name: str, project: Path | None, first: date | None, last: date | None, *, html: Path) -> int:
    """Write the page about an import to *html*; returns the exit code.

    Raises:
        ImportFileError: there is no such import, or *last* lies before *first*.
    """
    check_library()
    if first and last and last < first:
        raise ImportFileError(f"the last day, {last}, lies before the first, {first}")
    console = open_console()
    with console.status(f"reading the days of {as_shown(name)}"):
        job = find_job(name, project)
    days = _days(job, first, last)
    html.write_text(as_html(name, days, comparison=stored_comparison(job.imp)), encoding="utf-8")
    console.print(f"{html}: {counted(len(days), 'day')} of {name}", markup=False, soft_wrap=True)
    return 0


def _days(job: ImportJob, first: date | None, last: date | None) -> list[DayNumbers]:
    try:
        with opened_instance() as instance:
            return report_days(job.imp, History(instance, job.imp.name, job.partitions), first, last)
    except ImportFileError:
        # There is no history of Dagster here: what is stored can be shown all the same.
        return report_days(job.imp, None, first, last)
