"""How one vendor's record reads.

Belongs here: dialects, and finding the one an import file names. Does not belong here: fetching (`sources`), or what
the record is to be in PostHog (`mapping`).
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from posthog_assets.core.sections import load_by_type
from posthog_assets.dialects.amplitude import Amplitude
from posthog_assets.dialects.base import Dialect
from posthog_assets.dialects.columns import Columns
from posthog_assets.dialects.ga4 import GA4
from posthog_assets.dialects.heap import Heap
from posthog_assets.dialects.matomo import Matomo
from posthog_assets.dialects.mixpanel import Mixpanel
from posthog_assets.dialects.pendo import Pendo
from posthog_assets.dialects.posthog import PostHogEvents
from posthog_assets.dialects.rudderstack import RudderStack
from posthog_assets.dialects.segment import Segment
from posthog_assets.dialects.several_events import SeveralEvents
from posthog_assets.dialects.snowplow import Snowplow
from posthog_assets.dialects.umami import Umami

__all__ = ["DIALECTS", "Amplitude", "Columns", "Dialect", "Mixpanel", "PostHogEvents", "load_dialect"]

DIALECTS: Final[dict[str, type[Dialect]]] = {
    "columns": Columns,
    "amplitude": Amplitude,
    "ga4": GA4,
    "heap": Heap,
    "matomo": Matomo,
    "mixpanel": Mixpanel,
    "pendo": Pendo,
    "posthog": PostHogEvents,
    "rudderstack": RudderStack,
    "segment": Segment,
    "snowplow": Snowplow,
    "umami": Umami,
}


def load_dialect(value: Any) -> Dialect:
    """Return the dialect that a `dialect` section describes; raises ValueError saying what is wrong."""
    if isinstance(value, dict) and value.get("type") == "columns" and "events" in value:
        return SeveralEvents.model_validate(value)
    return load_by_type(value, DIALECTS, Dialect)  # type: ignore[type-abstract]


class _ColumnsForms(Columns):
    """The JSON schema of the two forms of `type: columns`: with one event, and with a list of them."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        one, several = (
            form.__get_pydantic_json_schema__(form.__pydantic_core_schema__, handler)
            for form in (Columns, SeveralEvents)
        )
        return {"if": {"required": ["events"]}, "then": several, "else": one}


#: The classes whose JSON schema describes each type.
DIALECT_SCHEMAS: Final[dict[str, type[Dialect]]] = DIALECTS | {"columns": _ColumnsForms}
