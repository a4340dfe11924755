"""An import in Dagster's eyes alone: days whose steps succeed or fail as a test says, in a Dagster of its own.

Belongs here: runs and what they leave in Dagster. Does not belong here: what a step does (the assets themselves have
tests of their own).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import dagster as dg

from posthog_assets.orchestration.history import STEPS, job_name

DAYS: Final = dg.DailyPartitionsDefinition("2024-03-01", end_date="2024-03-11", timezone="UTC")


def failure(words: str, error: str | None = None, **numbers: Any) -> dg.Failure:
    """Return what a step raises that ends with our error *error*, see `declaration.explained`."""
    return dg.Failure(words, metadata=({"error": error} if error else {}) | numbers, allow_retries=False)


class ScriptedDays:
    """Runs days of the import *name*; several may share a Dagster."""

    def __init__(self, instance: dg.DagsterInstance, name: str = "small") -> None:
        self._instance = instance
        self._name = name
        self._failing: Mapping[str, Exception] = {}
        assets = [self._asset(step, STEPS[number - 1] if number else None) for number, step in enumerate(STEPS)]
        job = dg.define_asset_job(job_name(name), selection=assets, executor_def=dg.in_process_executor)
        definitions = dg.Definitions(assets=assets, jobs=[job])
        self._job = definitions.resolve_job_def(job_name(name))

    def _asset(self, step: str, before: str | None) -> dg.AssetsDefinition:
        @dg.asset(
            name=step,
            key_prefix=self._name,
            partitions_def=DAYS,
            deps=[dg.AssetKey([self._name, before])] if before else [],
        )
        def scripted() -> None:
            if step in self._failing:
                raise self._failing[step]

        return scripted

    def run(
        self, day: str, steps: Iterable[str] = STEPS, failing: Mapping[str, Exception] | None = None, **tags: str
    ) -> dg.DagsterRun:
        """Run *steps* of a day, of which those in *failing* raise; *tags* with two underscores for a slash."""
        self._failing = failing or {}
        result = self._job.execute_in_process(
            instance=self._instance,
            partition_key=day,
            asset_selection=[dg.AssetKey([self._name, step]) for step in steps],
            tags={name.replace("__", "/"): value for name, value in tags.items()},
            raise_on_error=False,
        )
        found = self._instance.get_run_by_id(result.run_id)
        assert found is not None
        return found
