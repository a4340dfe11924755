"""The code location that workspace.yaml names: every import file below `defs/`.

Belongs here: loading. Does not belong here: any definition.
"""

from pathlib import Path

import dagster as dg

from posthog_assets.orchestration.loading import load_imports


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions of all imports; steps run in the run's own process, since a day is a chain."""
    loaded = load_imports(Path(__file__).parent)
    return dg.Definitions.merge(loaded, dg.Definitions(executor=dg.in_process_executor))
