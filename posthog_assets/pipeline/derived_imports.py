"""Imports that come of another import: its profiles, and its trial.

Belongs here: what they share with it and what differs. Does not belong here: their sections (`config`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthog_assets.mapping.steps.sample import Sample
from posthog_assets.storage.overlays import SharedExport

if TYPE_CHECKING:
    from posthog_assets.pipeline.config.import_file import Import


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
    return imp.model_copy(
        update={
            "source": people.source,
            "dialect": dialect,
            "mapping": mapping,
            "people": None,
            # A profile is no event of some moment, and sent again because it has changed.
            "since": None,
            "until": None,
            "destination": imp.destination.model_copy(update={"resend_persons": True}),
        }
    )


def with_trial(imp: Import) -> list[Import]:
    """Return the imports of one import file: *imp*, and its trial where it has one."""
    return [imp, trial_import(imp)] if imp.trial else [imp]


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
            # These are of all persons.
            "source_counts": None,
            # The raw export is another's.
            "retention": imp.retention.model_copy(update={"raw_export": "keep"}),
        }
    )
    return trial.stored_in(SharedExport(imp.storage_url, name, imp.storage_options, imp.store), imp.name)
