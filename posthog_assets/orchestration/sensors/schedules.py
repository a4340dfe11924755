"""Schedules that run once a day.

Belongs here: what they share, and Dagster's side of `automation.daily`. Does not belong here: the jobs they run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Final

import dagster as dg

from posthog_assets.orchestration.sensors.ticks import BY_TAG, Job, Partitions
from posthog_assets.pipeline.config.automation import DailySwitch, cron_of
from posthog_assets.pipeline.config.import_file import Import

#: Days at the end of the import among which the last complete one is looked for.
_LATEST: Final = 40

#: How long ago a day may have got its last changes and be read again; a run key keeps it from being read twice.
_AGAIN: Final = timedelta(days=3)

Requests = Iterator[dg.RunRequest | dg.SkipReason]


def once_a_day(
    name: str,
    job: Job,
    settings: DailySwitch,
    description: str,
    requests: Callable[..., Requests] | None = None,
) -> dg.ScheduleDefinition:
    """Return a schedule at the time of day, UTC, that *settings* name; it is started where they enable it.

    *requests* gets the schedule's context and yields what is run; absent: the job, once.
    """
    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=cron_of(settings.at),
        execution_timezone="UTC",
        execution_fn=requests,
        default_status=dg.DefaultScheduleStatus.RUNNING if settings.enabled else dg.DefaultScheduleStatus.STOPPED,
        description=description,
    )


def build_daily_schedule(imp: Import, partitions: Partitions, job: Job) -> dg.ScheduleDefinition | None:
    """Return `<import>_daily`: imports the last complete day, once a day; None for an import that has an end.

    Where records change after their day (`look_back_days`), the day that has just got its last changes is read again,
    with those before it that a schedule which did not run has left.
    """
    if imp.end_date:
        return None

    def requests(context: dg.ScheduleEvaluationContext) -> Requests:
        now, source = context.scheduled_execution_time, imp.source
        keys = partitions.get_partition_keys(current_time=now)
        complete = [key for key in keys[-_LATEST:] if source.available_at(date.fromisoformat(key)) <= now]
        if not complete:
            yield dg.SkipReason("no day of the import is complete yet")
            return
        again = [
            key
            for key in keys[-_LATEST - source.look_back_days :]
            if source.look_back_days and now - _AGAIN < source.settled_at(date.fromisoformat(key)) <= now
        ]
        settled = [dg.RunRequest(run_key=f"{key} settled", partition_key=key, tags={BY_TAG: "daily"}) for key in again]
        yield from (request for request in settled if request.partition_key != complete[-1])
        yield dg.RunRequest(run_key=complete[-1], partition_key=complete[-1], tags={BY_TAG: "daily"})

    description = "Imports, once a day, the last day whose data is complete"
    return once_a_day(f"{imp.name}_daily", job, imp.automation.daily, description, requests)
