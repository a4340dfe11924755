"""The two forms of `type: columns`, as an import file is described.

Belongs here: their JSON schema. Does not belong here: the forms themselves (`columns`, `several_events`).
"""

from __future__ import annotations

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from posthog_assets.dialects.columns import Columns
from posthog_assets.dialects.several_events import SeveralEvents


class ColumnForms(Columns):
    """The JSON schema of the two forms of `type: columns`: with one event, and with a list of them."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        one, several = (
            form.__get_pydantic_json_schema__(form.__pydantic_core_schema__, handler)
            for form in (Columns, SeveralEvents)
        )
        return {"if": {"required": ["events"]}, "then": several, "else": one}
