"""Finding an import by its name, for the command line.

Belongs here: which imports a project has. Does not belong here: reading their files (`plain_imports`, `loading`), the
jobs that run them (`local.project`), anything done with an import.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from posthog_assets.core.errors import ImportFileError, PosthogAssetsError
from posthog_assets.core.field_errors import meant
from posthog_assets.core.sections import explain
from posthog_assets.orchestration.plain_imports import read_plain_imports
from posthog_assets.orchestration.project_folder import find_project
from posthog_assets.pipeline.config.import_file import Import


def all_imports(project: Path | None = None) -> tuple[dict[str, Import], dict[str, str]]:
    """Return the imports of the Dagster project that holds *project* by name, and for each broken folder, why.

    Raises:
        ImportFileError: there is no project, or it does not load at all.
    """
    root = find_project(project)
    plain = read_plain_imports(root)
    return (plain, {}) if plain is not None else _as_dagster_loads_them(root)


def _as_dagster_loads_them(root: Path) -> tuple[dict[str, Import], dict[str, str]]:
    # Loading Dagster takes longer than all that most commands do.
    from posthog_assets.orchestration.component import HistoricalImport
    from posthog_assets.orchestration.loading import components

    with _explained(), warnings.catch_warnings():
        # Dagster's own loader calls functions of its own that are in preview.
        warnings.simplefilter("ignore")
        good, broken = components(root, HistoricalImport, lambda component: component.imp.name)
    return {imp.name: imp for component in good for imp in component.imports}, broken


def find_import(name: str, project: Path | None = None) -> Import:
    """Return the import called *name* of the Dagster project that holds *project* (see `find_project`).

    Raises:
        ImportFileError: there is none; names those there are.
    """
    found, broken = all_imports(project)
    if name not in found:
        words = [f"{place} cannot be loaded: {why}" for place, why in broken.items()]
        if name not in broken:
            there = ", ".join(sorted(found)) or "none"
            words.insert(0, f"there is no import {name!r}{meant(name, list(found))}; there are: {there}")
        raise ImportFileError("\n".join(words))
    return found[name]


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
        from dagster import DagsterError

        if isinstance(error, DagsterError):
            raise ImportFileError(str(error)) from None
        raise
