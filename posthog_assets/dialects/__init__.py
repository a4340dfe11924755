"""How one vendor's record reads.

Belongs here: dialects, and finding the one an import file names. Does not belong here: fetching (`sources`), or what
the record is to be in PostHog (`mapping`).

Only the dialect that is asked for is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from posthog_assets.core.sections import load_by_type
from posthog_assets.core.types_by_name import Place, TypesByName, imported

if TYPE_CHECKING:
    from posthog_assets.dialects.amplitude import Amplitude
    from posthog_assets.dialects.base import Dialect
    from posthog_assets.dialects.columns import Columns
    from posthog_assets.dialects.mixpanel import Mixpanel
    from posthog_assets.dialects.posthog import PostHogEvents

__all__ = ["DIALECTS", "Amplitude", "Columns", "Dialect", "Mixpanel", "PostHogEvents", "load_dialect"]

_PLACES: Final[dict[str, Place[Dialect]]] = {
    "columns": f"{__name__}.columns:Columns",
    "amplitude": f"{__name__}.amplitude:Amplitude",
    "ga4": f"{__name__}.ga4:GA4",
    "heap": f"{__name__}.heap:Heap",
    "matomo": f"{__name__}.matomo:Matomo",
    "mixpanel": f"{__name__}.mixpanel:Mixpanel",
    "pendo": f"{__name__}.pendo:Pendo",
    "posthog": f"{__name__}.posthog:PostHogEvents",
    "rudderstack": f"{__name__}.rudderstack:RudderStack",
    "segment": f"{__name__}.segment:Segment",
    "snowplow": f"{__name__}.snowplow:Snowplow",
    "umami": f"{__name__}.umami:Umami",
}

#: The dialects by their names in import files.
DIALECTS: Final[TypesByName[Dialect]] = TypesByName(_PLACES)

#: The classes whose JSON schema describes each type.
DIALECT_SCHEMAS: Final[TypesByName[Dialect]] = TypesByName(
    _PLACES | {"columns": f"{__name__}.column_forms:ColumnForms"}
)

#: What else this package offers.
_OTHERS: Final = {"Dialect": f"{__name__}.base:Dialect"}


def load_dialect(value: Any) -> Dialect:
    """Return the dialect that a `dialect` section describes; raises ValueError saying what is wrong."""
    from posthog_assets.dialects.base import Dialect

    if isinstance(value, dict) and value.get("type") == "columns" and "events" in value:
        from posthog_assets.dialects.several_events import SeveralEvents

        return SeveralEvents.model_validate(value)
    return load_by_type(value, DIALECTS, Dialect)  # type: ignore[type-abstract]


def __getattr__(name: str) -> Any:
    places = {place.partition(":")[2]: place for place in _PLACES.values() if isinstance(place, str)} | _OTHERS
    if name not in places:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = imported(places[name])
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
