"""Finding an import by its name, for the command line.

Belongs here: which import files a project has. Does not belong here: anything done with an import.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from posthog_assets.component import HistoricalImport
from posthog_assets.errors import ImportFileError
from posthog_assets.import_file import Import


def find_import(name: str, project: Path | None = None) -> Import:
    """Return the import called *name* of the Dagster project that holds *project* (default: this repository's own).

    Raises:
        ImportFileError: there is none; names those there are.
    """
    tree = dg.ComponentTree.for_project(project or Path(__file__).parent)
    found = {component.imp.name: component.imp for component in tree.get_all_components(of_type=HistoricalImport)}
    if name not in found:
        raise ImportFileError(f"there is no import {name!r}; there are: {', '.join(sorted(found)) or 'none'}")
    return found[name]
