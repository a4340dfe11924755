"""The step that imports only some persons.

Belongs here: who is kept. Does not belong here: which ids are one person's (`linked_ids`).
"""

from __future__ import annotations

from typing import ClassVar, Final

import xxhash
from pydantic import Field

from posthog_assets.core.rejection import Rejected
from posthog_assets.mapping.steps.base import Event, Step

#: The end of the hash's range.
_END: Final = 2**64


class Sample(Step):
    """Import a fraction of the persons, with all their events; the others' are rejected as `sampled out`.

    Who is kept depends on the id and `seed` alone, so every day keeps the same persons, and a greater `fraction` keeps
    all of a smaller one. An anonymous id that the day links to a user is kept as that user is (to several: if one of
    them is); on a day that links it to no user, by itself: what a person did on earlier days, before they were known,
    may be missing from a sample, or belong to no person in it.

    `{step: sample, fraction: 0.1, seed: trial}`
    """

    fraction: float = Field(gt=0, lt=1, description="Share of the persons that are kept")
    seed: str = Field("", description="Another text chooses other persons")

    needs_links: ClassVar[bool] = True

    def apply(self, event: Event) -> None:
        # Groups belong to no person, and the events of those that are kept need them.
        if event.name == "$groupidentify" or event.distinct_id is None:
            return
        if not any(self._keeps(one) for one in event.linked_ids or (event.distinct_id,)):
            raise Rejected("sampled out")

    def _keeps(self, distinct_id: str) -> bool:
        return xxhash.xxh3_64_intdigest(f"{self.seed}\0{distinct_id}") < self.fraction * _END
