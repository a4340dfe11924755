"""prune_<import>: the job that applies an import's retention, and its schedule."""

import dagster as dg

from posthog_assets.orchestration.assets.declaration import explained
from posthog_assets.orchestration.sensors.schedules import once_a_day
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.upkeep.prune import prune


def build_prune_job(imp: Import) -> tuple[dg.JobDefinition, dg.ScheduleDefinition] | None:
    """Return the job `prune_<import>` and the schedule `<import>_prune`; None for an import that keeps everything."""
    if not imp.retention.prunes:
        return None

    @dg.op(name=f"prune_{imp.name}_files", description="Deletes what the import file's retention lets go")
    def prune_files(context: dg.OpExecutionContext) -> None:
        with explained():
            done = prune(imp, dry_run=False)
        for why, days in done.left.items():
            context.log.info(f"{len(days):,} days stay: {why}")
        context.log.info(f"{len(done.pruned):,} partitions and {len(done.leftovers):,} leftovers: {done.bytes:,} bytes")
        context.add_output_metadata(
            {"partitions": len(done.pruned), "leftovers": len(done.leftovers), "freed_bytes": done.bytes}
        )

    @dg.job(
        name=f"prune_{imp.name}",
        executor_def=dg.in_process_executor,
        description=f"Deletes files of imported days of {imp.name}, as its retention says; never what is owed",
    )
    def job() -> None:
        prune_files()

    description = "Applies the import's retention once a day"
    return job, once_a_day(f"{imp.name}_prune", job, imp.automation.prune, description)
