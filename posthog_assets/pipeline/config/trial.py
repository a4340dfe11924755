"""A trial: some persons' whole histories into a test project, before everybody's go into the real one.

Belongs here: the `trial` section of the import file, and the import that comes of it. Does not belong here: who is in
the sample (`mapping.steps.sample`).

The trial is an import of its own, `<import>_trial`, with its own events, ledger and project. It reads the raw export of
the import it tries out, so nothing is fetched twice, and promoting it is materializing the import itself.
"""

from __future__ import annotations

from pydantic import Field

from posthog_assets.core.sections import Section
from posthog_assets.destination.settings import Destination


class Trial(Section):
    """Which persons, and which project gets their events."""

    persons: float = Field(gt=0, lt=1, description="Fraction of the persons, the same ones every day")
    seed: str = Field("", description="Another text chooses other persons")
    destination: Destination = Field(description="The test project; never the one of the import itself")
