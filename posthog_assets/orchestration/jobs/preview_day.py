"""preview: what a day would become in PostHog, as a job of its own, since it leaves nothing behind."""

from datetime import date

import dagster as dg

from posthog_assets.orchestration.assets.declaration import explained
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.preview.markdown import markdown
from posthog_assets.pipeline.preview.preview import preview_day

DESCRIPTION = """Shows what a day would become in PostHog, record by record, and what sending it would take.

Sends nothing and stores nothing but the raw export. The result is the metadata `preview` of the run's only output, and
stands in the run's log."""


class PreviewConfig(dg.Config):
    """What to show."""

    events: int = 10


def build_preview_job(imp: Import, partitions: dg.DailyPartitionsDefinition) -> dg.JobDefinition:
    """Return the job `preview_<import>`, to be run for a day."""

    @dg.op(name=f"preview_{imp.name}_day", description=DESCRIPTION)
    def preview(context: dg.OpExecutionContext, config: PreviewConfig) -> str:
        with explained():
            seen = preview_day(imp, date.fromisoformat(context.partition_key), config.events)
        text = markdown(seen)
        context.log.info(text)
        context.add_output_metadata({"preview": dg.MetadataValue.md(text)})
        return text

    @dg.job(
        name=f"preview_{imp.name}", partitions_def=partitions, description=DESCRIPTION,
        executor_def=dg.in_process_executor,
    )  # fmt: skip
    def preview_job() -> None:
        preview()

    return preview_job
