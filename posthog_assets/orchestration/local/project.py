"""The job that runs an import, for the command line.

Belongs here: its days, its assets and what is made from what. Does not belong here: finding the import
(`find_imports`), anything done with it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import dagster as dg

from posthog_assets.core.errors import ImportFileError
from posthog_assets.orchestration.build import build_definitions
from posthog_assets.orchestration.find_imports import find_import
from posthog_assets.orchestration.history import job_name
from posthog_assets.pipeline.config.import_file import Import


@dataclass(frozen=True)
class ImportJob:
    """An import and the job that runs it, as the project's code location defines it."""

    imp: Import
    job: dg.JobDefinition

    @cached_property
    def assets(self) -> tuple[str, ...]:
        """The names of its assets, upstream first; the raw export that a trial reads is none of the trial's."""
        keys = self.job.asset_layer.asset_graph.toposorted_asset_keys
        return tuple("/".join(key.path[1:]) for key in keys if key.path[0] == self.imp.name)

    def key(self, asset: str) -> dg.AssetKey:
        return dg.AssetKey([self.imp.name, *asset.split("/")])

    def parents(self, asset: str) -> set[str]:
        """Return the assets that *asset* is made from."""
        keys = self.job.asset_layer.asset_graph.get(self.key(asset)).parent_keys
        return {"/".join(key.path[1:]) for key in keys} & set(self.assets)

    def with_downstream(self, assets: set[str]) -> tuple[str, ...]:
        """Return *assets* and everything that is made from them, upstream first."""
        chosen: set[str] = set()
        for asset in self.assets:
            if asset in assets or self.parents(asset) & chosen:
                chosen.add(asset)
        return tuple(asset for asset in self.assets if asset in chosen)

    @property
    def partitions(self) -> dg.PartitionsDefinition:
        assert self.job.partitions_def is not None
        return self.job.partitions_def

    def days(self, first: date | None = None, last: date | None = None) -> list[date]:
        """Return the import's days from *first* to *last*, both included (default: all there are).

        Raises:
            ImportFileError: the range does not lie within the import.
        """
        every = [date.fromisoformat(key) for key in self.partitions.get_partition_keys()]
        if not every:
            return []
        for day in (first, last):
            if day is not None and not every[0] <= day <= every[-1]:
                raise ImportFileError(f"{day} is no day of {self.imp.name}, which has {every[0]} to {every[-1]}")
        if first and last and last < first:
            raise ImportFileError(f"the last day, {last}, lies before the first, {first}")
        return [day for day in every if (first or day) <= day <= (last or day)]


def find_job(name: str, project: Path | None = None) -> ImportJob:
    """Return the import called *name* with its job; arguments and errors as in `find_import`."""
    imp = find_import(name, project)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ImportJob(imp, build_definitions(imp).resolve_job_def(job_name(imp.name)))
