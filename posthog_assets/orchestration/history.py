"""What Dagster remembers of an import's days: which were imported, which failed, and why.

Belongs here: reading Dagster's event log and runs. Does not belong here: what follows from it (`sensors`, `checks`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

import dagster as dg

from posthog_assets.core.errors import is_temporary

#: The assets of an import, in the order in which a day passes through them.
STEPS: Final = ("raw_export", "staged_events", "posthog_events", "imported_batches", "landed_events")

PARTITION_TAG: Final = "dagster/partition"
WILL_RETRY_TAG: Final = "dagster/will_retry"

#: One day has hardly been run more often; older runs say nothing of how it stands.
_RUNS_OF_A_DAY: Final = 200

Status = dg.AssetPartitionStatus


@dataclass(frozen=True)
class Cause:
    """Why a run failed: the asset (None: the run itself broke), the sentence, and what our own errors say of it."""

    asset: str | None
    words: str
    error: str | None = None
    #: Events that PostHog acknowledged and a query did not find.
    missing: int = 0
    retry_after: float = 0.0

    @property
    def waits_for_a_person(self) -> bool:
        """Whether running the same again cannot help, by the class of the error."""
        return self.error is not None and is_temporary(self.error) is False


class History:
    """Dagster's memory of one import, read when it is asked for and kept for the life of the object."""

    def __init__(self, instance: dg.DagsterInstance, name: str, partitions: dg.PartitionsDefinition) -> None:
        self._instance = instance
        self._name = name
        self._partitions = partitions
        self.keys: tuple[str, ...] = tuple(partitions.get_partition_keys())

    def asset_key(self, step: str) -> dg.AssetKey:
        return dg.AssetKey([self._name, step])

    @cached_property
    def statuses(self) -> dict[str, dict[str, Status | None]]:
        """By step and partition key: materialized, failed, in progress (or queued), or None."""
        found = {}
        for step in STEPS:
            status = self._instance.get_status_by_partition(self.asset_key(step), self.keys, self._partitions)
            found[step] = dict(status or {})
        return found

    def status(self, step: str, key: str) -> Status | None:
        return self.statuses[step].get(key)

    def under_way(self, key: str) -> bool:
        """Whether a run of this day is queued or running."""
        return any(self.status(step, key) is Status.IN_PROGRESS for step in STEPS)

    def days_under_way(self) -> int:
        return sum(self.under_way(key) for key in self.keys)

    def failed(self) -> dict[str, str]:
        """Return the failed days in order, each with the first of its steps that failed."""
        found = {}
        for key in self.keys:
            step = next((step for step in STEPS if self.status(step, key) is Status.FAILED), None)
            if step:
                found[key] = step
        return found

    def last_run(self, key: str, step: str) -> dg.DagsterRun | None:
        """Return the newest run that was to materialize *step* for the day; its end is `end_time`."""
        filters = dg.RunsFilter(tags={PARTITION_TAG: key})
        runs = self._instance.get_runs(filters, limit=_RUNS_OF_A_DAY)
        return next((run for run in runs if self.owns(run) and self._covers(run, step)), None)

    def end_of(self, run: dg.DagsterRun) -> datetime:
        record = self._instance.get_run_record_by_id(run.run_id)
        end = record.end_time if record else None
        return datetime.fromtimestamp(end, UTC) if end else datetime.now(UTC)

    def owns(self, run: dg.DagsterRun) -> bool:
        """Whether *run* is a run of this import's days."""
        if run.asset_selection:
            return any(key.path[:-1] == [self._name] for key in run.asset_selection)
        return run.job_name == job_name(self._name)

    def _covers(self, run: dg.DagsterRun, step: str) -> bool:
        return not run.asset_selection or self.asset_key(step) in run.asset_selection

    def causes(self, run: dg.DagsterRun) -> list[Cause]:
        """Return why a failed run failed, the earliest step first."""
        events = self._instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        causes = [_cause(entry.dagster_event, self._name) for entry in events if entry.dagster_event]
        return causes or [Cause(None, self._end(run))]

    def _end(self, run: dg.DagsterRun) -> str:
        events = self._instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        words = next((entry.dagster_event.message for entry in events if entry.dagster_event), None)
        return words or "the run ended without saying why"


def job_name(import_name: str) -> str:
    return f"import_{import_name}"


def _cause(event: dg.DagsterEvent, name: str) -> Cause:
    step = event.step_key or ""
    asset = step.removeprefix(f"{name}__")
    data = event.step_failure_data
    said = data.user_failure_data
    if said is None:
        return Cause(asset, data.error_display_string.strip().split("\n\nStack Trace")[0] if data.error else "")
    return Cause(
        asset,
        said.description or "",
        error=_value(said.metadata, "error"),
        missing=_value(said.metadata, "missing") or 0,
        retry_after=_value(said.metadata, "retry_after") or 0.0,
    )


def _value(metadata: Any, name: str) -> Any:
    return metadata[name].value if name in metadata else None
