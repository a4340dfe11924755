"""The sensor that reports failed runs.

Belongs here: Dagster's side of `automation.notify`. Does not belong here: the text (`notice_text`).
"""

from __future__ import annotations

from typing import Final

import dagster as dg

from posthog_assets.orchestration.history import PARTITION_TAG, WILL_RETRY_TAG, History
from posthog_assets.orchestration.sensors import notice_text as notices
from posthog_assets.orchestration.sensors.ticks import Partitions, default_status
from posthog_assets.pipeline.config.import_file import Import

#: Failed runs that one message reports.
_NOTICES: Final = 200


def build_notice_sensor(imp: Import, partitions: Partitions) -> dg.SensorDefinition:
    """Return `<import>_failure_notices`: says in its log, and at the webhook, which runs failed and what to do.

    Dagster's own run failure sensor calls once per run and handles five runs a tick: a backfill of a thousand days
    with the same failure would be a thousand messages over hours.
    """
    notify = imp.automation.notify

    @dg.sensor(
        name=f"{imp.name}_failure_notices",
        minimum_interval_seconds=notify.every_seconds,
        default_status=default_status(notify.starts),
        description="Reports failed runs, grouping identical failures: in this sensor's log, and at "
        "automation.notify.webhook",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        since = _event_id(context.cursor)
        if since is None:
            newest = context.instance.fetch_run_status_changes(dg.DagsterEventType.RUN_FAILURE, limit=1).records
            context.update_cursor(str(newest[0].storage_id if newest else 0))
            return dg.SkipReason("failures from now on are reported")
        history = History(context.instance, imp.name, partitions)
        last, failures = _failures_since(context.instance, history, since)
        if failures:
            text = notices.message(imp.name, failures, notify.ui_url)
            context.log.error(text)
            if trouble := notices.post(notify, text):
                context.log.warning(f"{trouble}; the next tick tries again")
                return dg.SkipReason(
                    f"{len(failures)} failures could not be reported: {trouble}; the next tick tries again"
                )
        context.update_cursor(str(last))
        return dg.SkipReason(f"reported {len(failures)} failures" if failures else "no run has failed")

    return sensor


def _event_id(cursor: str | None) -> int | None:
    return int(cursor) if cursor and cursor.isdigit() else None


def _failures_since(instance: dg.DagsterInstance, history: History, since: int) -> tuple[int, list[notices.Failed]]:
    """Return the newest event looked at, and the failed runs of this import that Dagster does not retry itself."""
    records = instance.fetch_run_status_changes(
        dg.RunStatusChangeRecordsFilter(event_type=dg.DagsterEventType.RUN_FAILURE, after_storage_id=since),
        limit=_NOTICES,
        ascending=True,
    ).records
    failures = []
    for record in records:
        run = instance.get_run_by_id(record.run_id)
        if run and history.owns(run) and run.tags.get(WILL_RETRY_TAG) != "true":
            failures.append(notices.Failed(run.run_id, run.tags.get(PARTITION_TAG), history.failures(run)[0]))
    return records[-1].storage_id if records else since, failures
