"""The daily schedule.

Belongs here: Dagster's side of `automation.daily`.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

import dagster as dg

from posthog_assets.orchestration.sensors.ticks import BY_TAG, Job, Partitions
from posthog_assets.pipeline.config.automation import cron_of
from posthog_assets.pipeline.config.import_file import Import

#: Days at the end of the import among which the last complete one is looked for.
_LATEST: Final = 40

#: How long ago a day may have got its last changes and be read again; a run key keeps it from being read twice.
_AGAIN: Final = timedelta(days=3)


def build_daily_schedule(imp: Import, partitions: Partitions, job: Job) -> dg.ScheduleDefinition | None:
    """Return `<import>_daily`: imports the last complete day, once a day; None for an import that has an end.

    Where records change after their day (`look_back_days`), the day that has just got its last changes is read again,
    with those before it that a schedule which did not run has left.
    """
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
    def schedule(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        now, source = context.scheduled_execution_time, imp.source
        keys = partitions.get_partition_keys(current_time=now)
        complete = [key for key in keys[-_LATEST:] if source.available_at(date.fromisoformat(key)) <= now]
        if not complete:
            return dg.SkipReason("no day of the import is complete yet")
        again = [
            key
            for key in keys[-_LATEST - source.look_back_days :]
            if source.look_back_days and now - _AGAIN < source.settled_at(date.fromisoformat(key)) <= now
        ]
        requests = [dg.RunRequest(run_key=f"{key} settled", partition_key=key, tags={BY_TAG: "daily"}) for key in again]
        return [
            *(request for request in requests if request.partition_key != complete[-1]),
            dg.RunRequest(run_key=complete[-1], partition_key=complete[-1], tags={BY_TAG: "daily"}),
        ]

    return schedule
