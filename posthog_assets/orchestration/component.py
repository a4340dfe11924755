"""HistoricalImport: one YAML file becomes the assets, checks and job of one import.

Belongs here: Dagster's side of the import file. Does not belong here: what its sections mean (`import_file`).
"""

from __future__ import annotations

from typing import Any, Final

import dagster as dg
from dagster.components import ComponentLoadContext
from dagster.components.resolved.context import ResolutionContext
from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, create_model
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from posthog_assets.orchestration.build import build_definitions
from posthog_assets.orchestration.scaffolding import ImportScaffolder
from posthog_assets.orchestration.yaml_lines import lines_of
from posthog_assets.pipeline.config.import_file import Import, refuse_written_secrets
from posthog_assets.pipeline.derived_imports import with_trial


class _Written(BaseModel):
    """The `attributes` of a defs.yaml as they are written: their values are checked once templates are filled in."""

    # What is unknown or missing is explained by `Import`, with its line and what was probably meant.
    model_config = ConfigDict(extra="allow")

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

    def written(self) -> dict[str, Any]:
        """Return the attributes with their templates as they stand."""
        return {name: getattr(self, name) for name in self.model_fields_set}

    def filled_in(self, context: ResolutionContext) -> dict[str, Any]:
        """Return the attributes with their templates replaced; those that are empty are left out."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return {name: _filled_in(value, context) for name, value in given.items() if value is not None}


#: What Dagster and editors know of the import file: the fields of `Import`, and in its JSON schema all their types.
_FIELDS: Final[dict[str, Any]] = dict.fromkeys(Import.model_fields, (Any, None))


HistoricalImportModel: Final[type[_Written]] = create_model("HistoricalImportModel", __base__=_Written, **_FIELDS)


@dg.scaffold_with(ImportScaffolder)
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
        path, filled = context.path / "defs.yaml", {}
        if isinstance(attributes, _Written):
            refuse_written_secrets(attributes.written(), str(path))
            filled = attributes.filled_in(context.resolution_context)
        return cls(Import.read(filled, where=str(path), line_of=lines_of(path)))

    def build_defs(self, context: ComponentLoadContext) -> dg.Definitions:
        return dg.Definitions.merge(*[build_definitions(imp) for imp in self.imports])

    @property
    def imports(self) -> list[Import]:
        """The import, and its trial where there is one."""
        return with_trial(self.imp)


def _filled_in(value: Any, context: ResolutionContext) -> Any:
    """Return *value* with its `{{ … }}` replaced; a section whose variables are not set keeps None there."""
    if isinstance(value, dict):
        return {key: _filled_in(item, context) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled_in(item, context) for item in value]
    return context.resolve_value(value) if isinstance(value, str) else value
