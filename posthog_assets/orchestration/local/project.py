"""Finding an import by its name, for the command line.

Belongs here: which import files a project has, and the job that runs one. Does not belong here: anything done with an
import.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import dagster as dg
from dagster import DagsterError
from pydantic import ValidationError

from posthog_assets.core.errors import ImportFileError, PosthogAssetsError
from posthog_assets.core.field_errors import meant
from posthog_assets.core.sections import explain
from posthog_assets.orchestration.build import build_definitions
from posthog_assets.orchestration.component import HistoricalImport
from posthog_assets.orchestration.history import job_name
from posthog_assets.orchestration.loading import components
from posthog_assets.orchestration.project_folder import find_project
from posthog_assets.pipeline.config.import_file import Import


def all_imports(project: Path | None = None) -> tuple[dict[str, Import], dict[str, str]]:
    """Return the imports of the Dagster project that holds *project* by name, and for each broken folder, why.

    Raises:
        ImportFileError: there is no project, or it does not load at all.
    """
    with _explained(), warnings.catch_warnings():
        # Dagster's own loader calls functions of its own that are in preview.
        warnings.simplefilter("ignore")
        good, broken = components(find_project(project), HistoricalImport)
    return {imp.name: imp for component in good for imp in component.imports}, broken


def find_import(name: str, project: Path | None = None) -> Import:
    """Return the import called *name* of the Dagster project that holds *project* (see `find_project`).

    Raises:
        ImportFileError: there is none; names those there are.
    """
    found, broken = all_imports(project)
    if name not in found:
        words = [
            f"there is no import {name!r}{meant(name, list(found))}; there are: {', '.join(sorted(found)) or 'none'}"
        ]
        words += [f"{place} cannot be loaded: {why}" for place, why in broken.items()]
        raise ImportFileError("\n".join(words))
    return found[name]


@dataclass(frozen=True)
class ImportJob:
    """An import and the job that runs it, as the project's code location defines it."""

    imp: Import
    job: dg.JobDefinition

    @cached_property
    def assets(self) -> tuple[str, ...]:
        """The names of its assets, upstream first."""
        return tuple("/".join(key.path[1:]) for key in self.job.asset_layer.asset_graph.toposorted_asset_keys)

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


@contextmanager
def _explained() -> Iterator[None]:
    """Replace what a project that does not load raises by the sentence that is somewhere in it."""
    try:
        yield
    except PosthogAssetsError:
        raise
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, PosthogAssetsError | ValidationError):
            cause = cause.__cause__ or cause.__context__
        if isinstance(cause, PosthogAssetsError):
            raise cause from None
        if isinstance(cause, ValidationError):
            problems = "\n".join(f"  - {sentence}" for sentence in explain(cause))
            raise ImportFileError(f"an import file is wrong:\n{problems}") from None
        if isinstance(error, DagsterError):
            raise ImportFileError(str(error)) from None
        raise
