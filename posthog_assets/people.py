"""People: what a source knows of its users besides their events.

Belongs here: the `people` section of the import file, and turning it into something the steps of a day can run. Does
not belong here: how profiles are fetched or read (`sources`, `dialects.profiles`).

Profiles have no days. They are taken through the same steps as a day of events, under the partition `people`, become
`$set` events with uuids of their own, and are delivered with a ledger like any day's, after the events: PostHog applies
what it is told of a person in the order in which it is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BeforeValidator, Field, SerializeAsAny

from posthog_assets.dialects.base import Dialect
from posthog_assets.dialects.mixpanel_profiles import MixpanelProfiles
from posthog_assets.dialects.profiles import Profiles
from posthog_assets.mapping.settings import PersonProperties
from posthog_assets.settings import Choices, Settings, load_by_type
from posthog_assets.sources.base import Source
from posthog_assets.sources.people_files import PeopleFiles
from posthog_assets.sources.people_mixpanel import MixpanelPeople
from posthog_assets.sources.people_sql import PeopleSql

if TYPE_CHECKING:
    from posthog_assets.import_file import Import

#: The partition of what has no days.
PEOPLE: Final = "people"

SOURCES: Final[dict[str, type[Source]]] = {"files": PeopleFiles, "mixpanel": MixpanelPeople, "sql": PeopleSql}
DIALECTS: Final[dict[str, type[Dialect]]] = {"columns": Profiles, "mixpanel": MixpanelProfiles}


def _source(value: Any) -> Source:
    return load_by_type(value, SOURCES, Source)  # type: ignore[type-abstract]


def _dialect(value: Any) -> Dialect:
    return load_by_type(value, DIALECTS, Dialect)


class People(Settings):
    """Where profiles are, how they read, and whether they overwrite what PostHog has."""

    source: Annotated[SerializeAsAny[Source], BeforeValidator(_source), Choices(SOURCES)]
    dialect: Annotated[SerializeAsAny[Dialect], BeforeValidator(_dialect), Choices(DIALECTS)]
    person_properties: PersonProperties | None = Field(None, description="Absent: as in mapping.person_properties")


def people_import(imp: Import) -> Import:
    """Return an import of *imp*'s profiles, to be run with the partition `PEOPLE`.

    It has the same name, storage and destination; `mapping.events` and the steps concern events and do not apply.
    """
    people = imp.people
    assert people is not None, "the import has no section people"
    dialect = people.dialect
    if "as_of" in type(dialect).model_fields and "as_of" not in dialect.model_fields_set:
        dialect = dialect.model_copy(update={"as_of": imp.start_date})
    mapping = type(imp.mapping).model_validate(
        {
            "person_properties": people.person_properties or imp.mapping.person_properties,
            "identity_map": imp.mapping.identity_map,
            "markers": imp.mapping.markers,
        }
    )
    return imp.model_copy(update={"source": people.source, "dialect": dialect, "mapping": mapping, "people": None})
