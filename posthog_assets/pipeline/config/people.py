"""People: what a source knows of its users besides their events.

Belongs here: the `people` section of the import file, and turning it into something the steps of a day can run. Does
not belong here: how profiles are fetched or read (`sources`, `dialects.people`).

Profiles have no days. They are taken through the same steps as a day of events, under the partition `people`, become
`$set` events with uuids of their own, and are delivered with a ledger like any day's, after the events: PostHog applies
changes of a person in the order in which they arrive.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, SerializeAsAny

from posthog_assets.core.sections import Choices, Section, load_by_type
from posthog_assets.core.types_by_name import TypesByName
from posthog_assets.dialects.base import Dialect
from posthog_assets.mapping.settings import PersonProperties
from posthog_assets.sources.base import Source

#: The partition of what has no days.
PEOPLE: Final = "people"


_SOURCE: Final = "posthog_assets.sources.people"
_DIALECT: Final = "posthog_assets.dialects.people"

SOURCES: Final[TypesByName[Source]] = TypesByName(
    {"files": f"{_SOURCE}:PeopleFiles", "mixpanel": f"{_SOURCE}:MixpanelPeople", "sql": f"{_SOURCE}:PeopleSql"}
)

DIALECTS: Final[TypesByName[Dialect]] = TypesByName(
    {"columns": f"{_DIALECT}:Profiles", "mixpanel": f"{_DIALECT}:MixpanelProfiles"}
)


def _source(value: Any) -> Source:
    return load_by_type(value, SOURCES, Source)  # type: ignore[type-abstract]


def _dialect(value: Any) -> Dialect:
    return load_by_type(value, DIALECTS, Dialect)  # type: ignore[type-abstract]


class People(Section):
    """Where profiles are, how they read, and whether they overwrite what PostHog has."""

    source: Annotated[SerializeAsAny[Source], BeforeValidator(_source), Choices(SOURCES)] = Field(
        description="Where the profiles are; `type` chooses the source"
    )
    dialect: Annotated[SerializeAsAny[Dialect], BeforeValidator(_dialect), Choices(DIALECTS)] = Field(
        description="How a profile reads; `type` chooses the dialect"
    )
    person_properties: PersonProperties | None = Field(None, description="Absent: as in mapping.person_properties")
