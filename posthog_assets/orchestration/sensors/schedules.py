"""The daily schedule.

Belongs here: Dagster's side of `automation.daily`.
"""

from __future__ import annotations

from datetime import date

import dagster as dg

from posthog_assets.orchestration.sensors.ticks import BY_TAG, Job, Partitions
from posthog_assets.pipeline.config.automation import cron_of
from posthog_assets.pipeline.config.import_file import Import


def build_daily_schedule(imp: Import, partitions: Partitions, job: Job) -> dg.ScheduleDefinition | None:
    """Return `<import>_daily`: imports the last complete day, once a day; None for an import that has an end."""
    if imp.end_date:
        return None
    settings = imp.automation.daily

    @dg.schedule(
        name=f"{imp.name}_daily",
        job=job,
        cron_schedule=cron_of(settings.at),
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if settings.enabled else dg.DefaultScheduleStatus.STOPPED,
        description="Imports, once a day, the last day whose data is complete",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now = context.scheduled_execution_time
        keys = partitions.get_partition_keys(current_time=now)
        complete = [key for key in keys[-40:] if imp.source.available_at(date.fromisoformat(key)) <= now]
        if not complete:
            return dg.SkipReason("no day of the import is complete yet")
        return dg.RunRequest(run_key=complete[-1], partition_key=complete[-1], tags={BY_TAG: "daily"})

    return schedule
