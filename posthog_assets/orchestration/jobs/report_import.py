"""report_<import>: the job that writes the page about an import."""

import dagster as dg

from posthog_assets.orchestration.assets.declaration import explained
from posthog_assets.orchestration.assets.metadata import location
from posthog_assets.orchestration.history import History
from posthog_assets.orchestration.report import report_days
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.report.day_numbers import DayState
from posthog_assets.pipeline.report.page import html
from posthog_assets.pipeline.source_counts import stored_comparison
from posthog_assets.storage.layout import REPORT

DESCRIPTION = """Writes one page about the import into its storage folder: a calendar of its days, events and rejects
over time, what PostHog acknowledged and what landed, the slowest days and those that need attention.

The run's output says where the page is; `posthog-assets report` writes the same page."""


def build_report_job(imp: Import, partitions: dg.DailyPartitionsDefinition) -> dg.JobDefinition:
    """Return the job `report_<import>`."""

    @dg.op(name=f"report_{imp.name}_page", description=DESCRIPTION)
    def write_page(context: dg.OpExecutionContext) -> None:
        with explained():
            days = report_days(imp, History(context.instance, imp.name, partitions))
            imp.store.write_bytes(REPORT, html(imp.name, days, comparison=stored_comparison(imp)).encode())
        states = [(state.value, sum(day.state is state for day in days)) for state in DayState]
        table = "\n".join(["| days | |", "|---|--:|", *(f"| {state} | {count:,} |" for state, count in states)])
        context.add_output_metadata({**location(imp, REPORT, "page"), "days": dg.MetadataValue.md(table)})

    @dg.job(name=f"report_{imp.name}", description=DESCRIPTION, executor_def=dg.in_process_executor)
    def report_job() -> None:
        write_page()

    return report_job
