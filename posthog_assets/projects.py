"""Finding an import by its name, for the command line.

Belongs here: which import files a project has. Does not belong here: anything done with an import.
"""

from __future__ import annotations

from pathlib import Path

from posthog_assets.component import HistoricalImport
from posthog_assets.errors import ImportFileError
from posthog_assets.import_file import Import
from posthog_assets.loading import components


def find_import(name: str, project: Path | None = None) -> Import:
    """Return the import called *name* of the Dagster project that holds *project* (default: this repository's own).

    Raises:
        ImportFileError: there is none; names those there are.
    """
    good, broken = components(project or Path(__file__).parent, HistoricalImport)
    found = {component.imp.name: component.imp for component in good}
    if name not in found:
        said = [f"there is no import {name!r}; there are: {', '.join(sorted(found)) or 'none'}"]
        said += [f"{place} cannot be loaded: {why}" for place, why in broken.items()]
        raise ImportFileError("\n".join(said))
    return found[name]
