"""What Dagster remembers of an import's days: which were imported, which failed, and why.

Belongs here: reading Dagster's event log and runs. Does not belong here: what follows from it (`sensors`, `checks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Final

import dagster as dg

from posthog_assets.orchestration.failures import Failure, failures_of

#: The assets of an import, in the order in which a day passes through them.
STEPS: Final = ("raw_export", "staged_events", "posthog_events", "imported_batches", "landed_events")

PARTITION_TAG: Final = "dagster/partition"
WILL_RETRY_TAG: Final = "dagster/will_retry"

#: One day has hardly been run more often; older runs say nothing of how it stands.
_RUNS_OF_A_DAY: Final = 200


class State(StrEnum):
    """What Dagster knows of one day of one asset; the names are those of its own `AssetPartitionStatus`."""

    MATERIALIZED = "materialized"
    FAILED = "failed"
    MISSING = "missing"
    IN_PROGRESS = "in progress"


def read_states(
    instance: dg.DagsterInstance, asset: dg.AssetKey, keys: Sequence[str], partitions: dg.PartitionsDefinition
) -> dict[str, State]:
    """Return the state of every partition of *keys*; a queued run counts as in progress."""
    known = instance.get_status_by_partition(asset, keys, partitions) or {}
    return {key: State[status.name] if (status := known.get(key)) else State.MISSING for key in keys}


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
    def states(self) -> dict[str, dict[str, State]]:
        """By step and partition key."""
        return {step: read_states(self._instance, self.asset_key(step), self.keys, self._partitions) for step in STEPS}

    def state(self, step: str, key: str) -> State:
        """Return how a day of *step* stands; a day that is no partition of the import is missing."""
        return self.states[step].get(key, State.MISSING)

    def under_way(self, key: str) -> bool:
        """Whether a run of this day is queued or running."""
        return any(self.state(step, key) is State.IN_PROGRESS for step in STEPS)

    def days_under_way(self) -> int:
        return sum(self.under_way(key) for key in self.keys)

    def failed(self) -> dict[str, str]:
        """Return the failed days in order, each with the first of its steps that failed."""
        found = {}
        for key in self.keys:
            step = next((step for step in STEPS if self.state(step, key) is State.FAILED), None)
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

    def failures(self, run: dg.DagsterRun) -> list[Failure]:
        """Return why a failed run failed, the earliest step first; at least one."""
        found = failures_of(self._instance, run.run_id, self._name)
        return found or [Failure(None, "the run ended without a reason in its log", run.run_id)]


def job_name(import_name: str) -> str:
    return f"import_{import_name}"
