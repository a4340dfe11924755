"""HistoricalImport: one YAML file becomes the assets, checks and job of one import.

Belongs here: Dagster's side of the import file. Does not belong here: what its sections mean (`import_file`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import dagster as dg
from dagster.components import ComponentLoadContext
from dagster.components.resolved.context import ResolutionContext
from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, create_model
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from posthog_assets.assets.imported_batches import build_imported_batches
from posthog_assets.assets.landed_events import build_landed_events
from posthog_assets.assets.person_profiles import build_person_profiles
from posthog_assets.assets.posthog_events import build_posthog_events
from posthog_assets.assets.preview import build_preview_job
from posthog_assets.assets.prune import build_prune_job
from posthog_assets.assets.raw_export import build_raw_export
from posthog_assets.assets.staged_events import build_staged_events
from posthog_assets.checks import build_check_job, build_failed_days_check, check_key
from posthog_assets.history import job_name
from posthog_assets.import_file import Import
from posthog_assets.sensors import build_daily_schedule, build_sensors
from posthog_assets.trial import trial_import


class _Written(BaseModel):
    """The `attributes` of a defs.yaml as they are written: their values are checked once templates are filled in."""

    model_config = ConfigDict(extra="forbid")

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        written = Import.__get_pydantic_json_schema__(Import.__pydantic_core_schema__, handler)
        whole = handler.resolve_ref_schema(written)
        # What is there but empty is as if it were not.
        optional = {
            name: field if name in whole["required"] else {"if": {"type": "null"}, "else": field}
            for name, field in whole["properties"].items()
        }
        return whole | {"title": cls.__name__, "properties": optional}

    def filled_in(self, context: ResolutionContext) -> dict[str, Any]:
        """Return the attributes with their templates replaced; those that are empty are left out."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return {name: _filled_in(value, context) for name, value in given.items() if value is not None}


#: What Dagster and editors know of the import file: the fields of `Import`, and in its JSON schema all their types.
_FIELDS: Final[dict[str, Any]] = {
    name: (Any, ... if field.is_required() else None) for name, field in Import.model_fields.items()
}
HistoricalImportModel: Final[type[_Written]] = create_model("HistoricalImportModel", __base__=_Written, **_FIELDS)


class HistoricalImport(dg.Component):
    """Brings one source's history into one PostHog project, a day at a time."""

    def __init__(self, imp: Import) -> None:
        self.imp = imp

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return HistoricalImportModel

    @classmethod
    def load(cls, attributes: BaseModel | None, context: ComponentLoadContext) -> HistoricalImport:
        """Return the component of one import file.

        Raises:
            ImportFileError: a field is wrong; names the file, the field, what was found and what is allowed.
        """
        filled = attributes.filled_in(context.resolution_context) if isinstance(attributes, _Written) else {}
        return cls(Import.read(filled, where=str(context.path / "defs.yaml")))

    def build_defs(self, context: ComponentLoadContext) -> dg.Definitions:
        return dg.Definitions.merge(*[build_definitions(imp) for imp in self.imports])

    @property
    def imports(self) -> list[Import]:
        """The import, and its trial where there is one."""
        return [self.imp, trial_import(self.imp)] if self.imp.trial else [self.imp]


def build_definitions(imp: Import) -> dg.Definitions:
    """Return the assets, checks, jobs, sensors and schedules of *imp*, for use without a YAML file too.

    A trial has no raw export of its own, and nothing runs by itself.
    """
    is_trial = imp.raw_owner != imp.name
    partitions = dg.DailyPartitionsDefinition(
        start_date=imp.start_date.isoformat(),
        # Dagster's end is exclusive, the import file's is the last day.
        end_date=(imp.end_date + timedelta(days=1)).isoformat() if imp.end_date else None,
        timezone="UTC",
    )
    builders = (build_staged_events, build_posthog_events, build_imported_batches, build_landed_events)
    days = [build(imp, partitions) for build in (builders if is_trial else (build_raw_export, *builders))]
    # Profiles have no days, and the look at all days has a job of its own.
    selection = dg.AssetSelection.assets(*[asset.key for asset in days])
    job = dg.define_asset_job(
        job_name(imp.name),
        selection=selection if is_trial else selection - dg.AssetSelection.checks(check_key(imp)),
        executor_def=dg.in_process_executor,
        description=f"All steps of {imp.name} for one day, from its first asset to the look into PostHog",
    )
    preview = build_preview_job(imp, partitions)
    if is_trial:
        return dg.Definitions(assets=days, jobs=[job, preview])
    check_job, check_schedule = build_check_job(imp)
    daily = build_daily_schedule(imp, partitions, job)
    prune = build_prune_job(imp)
    return dg.Definitions(
        assets=[*days, *([build_person_profiles(imp)] if imp.people else [])],
        asset_checks=[build_failed_days_check(imp, partitions)],
        jobs=[job, check_job, preview, *([prune[0]] if prune else [])],
        sensors=build_sensors(imp, partitions, job),
        schedules=[check_schedule, *([daily] if daily else []), *([prune[1]] if prune else [])],
    )


def _filled_in(value: Any, context: ResolutionContext) -> Any:
    """Return *value* with its `{{ … }}` replaced; a section whose variables are not set keeps None there."""
    if isinstance(value, dict):
        return {key: _filled_in(item, context) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled_in(item, context) for item in value]
    return context.resolve_value(value) if isinstance(value, str) else value
