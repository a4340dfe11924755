"""The check that no day of an import was left failed.

Belongs here: checks over all days of an import. Does not belong here: checks of one day; those are made by the step
that has the data in hand (`assets`).
"""

from collections import Counter
from typing import Any, Final

import dagster as dg

from posthog_assets.orchestration.history import STEPS, History
from posthog_assets.orchestration.sensors.schedules import once_a_day
from posthog_assets.pipeline.config.import_file import Import

CHECK: Final = "no_partition_left_failed"

#: Days named in the result; the count is of all.
_SAMPLE: Final = 20

_RECOVERY: Final = """**What to do**

1. Read why: open a failed day of `{step}`; the first red step of its run says what was wrong and what to do.
2. Run the days again, whichever suits:
   - *Re-execute from failure* on the page of the backfill: only what failed runs again;
   - the asset `{step}`, *Materialize*, *Backfill only failed and missing partitions*, with this one asset selected;
   - the sensor `{name}_retry_failed`, which does this by itself where trying again can help.
3. Nothing is sent twice: every step goes on from what is stored; what PostHog acknowledged stays acknowledged."""


def build_failed_days_check(imp: Import, partitions: dg.PartitionsDefinition) -> dg.AssetChecksDefinition:
    """Return the check of `<import>/landed_events` that no day is failed, at any of the import's steps.

    It is of the import as a whole, not of a day: quiet means that nothing is left to do. Besides its own job Dagster
    evaluates it where landed_events is materialized from the UI, so that it turns green with the last day repaired.
    """

    @dg.asset_check(
        asset=dg.AssetKey([imp.name, STEPS[-1]]),
        name=CHECK,
        description="No day of this import is failed, at any step; counts all days each time",
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        failed = History(context.instance, imp.name, partitions).failed()
        if not failed:
            return dg.AssetCheckResult(passed=True, metadata={"failed_days": 0})
        by_step = Counter(failed.values())
        first = next(step for step in STEPS if by_step[step])
        return dg.AssetCheckResult(
            passed=False,
            description=f"{len(failed):,} days are failed, first at {first}",
            metadata={
                "failed_days": len(failed),
                "sample": dg.MetadataValue.json(sorted(failed)[:_SAMPLE]),
                "by_step": dg.MetadataValue.json({step: by_step[step] for step in STEPS if by_step[step]}),
                "recovery": dg.MetadataValue.md(_RECOVERY.format(step=first, name=imp.name)),
            },
        )

    return check


def check_key(imp: Import) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(dg.AssetKey([imp.name, STEPS[-1]]), CHECK)


def build_check_job(imp: Import) -> tuple[Any, dg.ScheduleDefinition]:
    """Return the job that evaluates the check and nothing else, and its daily schedule."""
    job = dg.define_asset_job(
        f"check_{imp.name}",
        selection=dg.AssetSelection.checks(check_key(imp)),
        executor_def=dg.in_process_executor,
        description=f"Looks whether any day of {imp.name} was left failed",
    )
    description = "Looks once a day whether any day of the import was left failed"
    return job, once_a_day(f"{imp.name}_failed_days", job, imp.automation.failed_days, description)
