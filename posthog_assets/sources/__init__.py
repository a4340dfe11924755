"""How bytes are fetched, one file per system.

Belongs here: sources, and finding the one an import file names. Does not belong here: what records mean (`dialects`).
"""

from __future__ import annotations

from typing import Any, Final

from posthog_assets.core.sections import load_by_type
from posthog_assets.sources.amplitude import Amplitude
from posthog_assets.sources.base import DayFingerprint, NaiveTimes, Source, ZoneStrength
from posthog_assets.sources.dlt_resource import Dlt
from posthog_assets.sources.files.source import Files
from posthog_assets.sources.manifest import Manifest, Part, RawExport
from posthog_assets.sources.mixpanel.events import Mixpanel
from posthog_assets.sources.posthog import PostHog
from posthog_assets.sources.rest import Rest
from posthog_assets.sources.rest.recipes import recipe_class, recipe_of, recipes
from posthog_assets.sources.sql.source import Sql

__all__ = [
    "SOURCES",
    "Amplitude",
    "DayFingerprint",
    "Dlt",
    "Files",
    "Manifest",
    "Mixpanel",
    "NaiveTimes",
    "Part",
    "PostHog",
    "RawExport",
    "Rest",
    "Source",
    "Sql",
    "ZoneStrength",
    "load_source",
]

#: What `type` may say; besides, the dotted path of anybody's own subclass of `Source`.
SOURCES: Final[dict[str, type[Source]]] = {
    "files": Files,
    "amplitude": Amplitude,
    "mixpanel": Mixpanel,
    "posthog": PostHog,
    "sql": Sql,
    "rest": Rest,
    "dlt": Dlt,
    **{name: recipe_class(recipe) for name, recipe in recipes().items()},
}


def load_source(value: Any) -> Source:
    """Return the source that a `source` section describes; raises ValueError saying what is wrong."""
    recipe = recipe_of({"source": value})
    if recipe is not None:
        value = recipe.source(value)
    try:
        return load_by_type(value, SOURCES, Source)  # type: ignore[type-abstract]
    except TypeError as error:
        # A subclass that does not define `export` or `fingerprint` cannot be made.
        raise ValueError(f"type {value.get('type')!r} is not a whole source: {error}") from error
