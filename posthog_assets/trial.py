"""A trial: some persons' whole histories into a test project, before everybody's go into the real one.

Belongs here: the `trial` section of the import file, and the import that comes of it. Does not belong here: who is in
the sample (`mapping.steps.sample`).

The trial is an import of its own, `<import>_trial`, with its own events, ledger and project. It reads the raw export of
the import it tries out, so nothing is fetched twice, and promoting it is materializing the import itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from posthog_assets.capture.destination import Destination
from posthog_assets.mapping.steps.sample import Sample
from posthog_assets.overlay import SharedExport
from posthog_assets.settings import Settings

if TYPE_CHECKING:
    from posthog_assets.import_file import Import


class Trial(Settings):
    """Which persons, and which project gets their events."""

    persons: float = Field(gt=0, lt=1, description="Fraction of the persons, the same ones every day")
    seed: str = Field("", description="Another text chooses other persons")
    destination: Destination = Field(description="The test project; never the one of the import itself")


def trial_import(imp: Import) -> Import:
    """Return the import `<imp>_trial`; its raw export is that of *imp*."""
    assert imp.trial is not None, "the import has no section trial"
    name = f"{imp.name}_trial"
    sample = Sample(step="sample", fraction=imp.trial.persons, seed=imp.trial.seed)
    mapping = imp.mapping.model_copy(update={"steps": [sample, *imp.mapping.steps]})
    trial = imp.model_copy(
        update={
            "name": name,
            "mapping": mapping,
            "destination": imp.trial.destination,
            "people": None,
            "trial": None,
            # The raw export is another's.
            "retention": imp.retention.model_copy(update={"raw_export": "keep"}),
        }
    )
    return trial.stored_in(SharedExport(imp.storage_url, name, imp.storage_options, imp.store), imp.name)
