"""The JSON Schema of the import file.

Belongs here: the schema of the whole file, as editors and `posthog-assets schema` show it. Does not belong here: the
fields (the model of each section has them, with their descriptions).
"""

from __future__ import annotations

import json
from typing import Any, Final

from posthog_assets.pipeline.config.import_file import Import

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"

#: What Dagster itself takes beside `type` and `attributes`: https://docs.dagster.io/guides/build/components
_OF_DAGSTER: Final = ("requirements", "template_vars_module", "post_processing")


def file_schema() -> dict[str, Any]:
    """Return the JSON Schema of a defs.yaml with one import."""
    attributes = Import.model_json_schema()
    definitions = attributes.pop("$defs", {})
    return {
        "$schema": _DRAFT,
        "title": "Import file of posthog_assets",
        "type": "object",
        "properties": {
            "type": {"const": "posthog_assets.HistoricalImport", "description": "The Dagster component"},
            "attributes": attributes,
            **{name: {"description": "Dagster's own; see its documentation of components"} for name in _OF_DAGSTER},
        },
        "required": ["type", "attributes"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def schema_text() -> str:
    """Return the JSON Schema of a defs.yaml as text."""
    return json.dumps(file_schema(), indent=1, ensure_ascii=False) + "\n"
