"""How bytes are fetched, one file per system.

Belongs here: sources, and finding the one an import file names. Does not belong here: what records mean (`dialects`).

Only the source that is asked for is imported: each has libraries of its own.
"""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from posthog_assets.core.sections import load_by_type
from posthog_assets.core.types_by_name import Place, TypesByName, imported

if TYPE_CHECKING:
    from posthog_assets.sources.amplitude import Amplitude
    from posthog_assets.sources.base import DayFingerprint, NaiveTimes, Source, ZoneStrength
    from posthog_assets.sources.dlt_resource import Dlt
    from posthog_assets.sources.files.source import Files
    from posthog_assets.sources.manifest import Manifest, Part, RawExport
    from posthog_assets.sources.mixpanel.events import Mixpanel
    from posthog_assets.sources.posthog import PostHog
    from posthog_assets.sources.rest.source import Rest
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

#: The module of each name of this package.
_MODULES: Final = {
    "Amplitude": "amplitude",
    "DayFingerprint": "base",
    "Dlt": "dlt_resource",
    "Files": "files.source",
    "Manifest": "manifest",
    "Mixpanel": "mixpanel.events",
    "NaiveTimes": "base",
    "Part": "manifest",
    "PostHog": "posthog",
    "RawExport": "manifest",
    "Rest": "rest.source",
    "Source": "base",
    "Sql": "sql.source",
    "ZoneStrength": "base",
}


def _place(name: str) -> str:
    return f"{__name__}.{_MODULES[name]}:{name}"


def _of_recipe(name: str) -> type[Source]:
    from posthog_assets.sources.rest.recipe_classes import recipe_class

    return recipe_class(name)


def _places() -> dict[str, Place[Source]]:
    names = ("Files", "Amplitude", "Mixpanel", "PostHog", "Sql", "Rest", "Dlt")
    own: dict[str, Place[Source]] = {name.lower(): _place(name) for name in names}
    found = sorted(file.name for file in files(f"{__name__}.recipes").iterdir())
    recipes = [name.removesuffix(".yaml") for name in found if name.endswith(".yaml")]
    return own | {name: partial(_of_recipe, name) for name in recipes}


#: What `type` may say; besides, the dotted path of anybody's own subclass of `Source`.
SOURCES: Final[TypesByName[Source]] = TypesByName(_places())


def load_source(value: Any) -> Source:
    """Return the source that a `source` section describes; raises ValueError saying what is wrong."""
    from posthog_assets.sources.base import Source
    from posthog_assets.sources.rest.recipes import recipe_of

    recipe = recipe_of({"source": value})
    if recipe is not None:
        value = recipe.source(value)
    try:
        return load_by_type(value, SOURCES, Source)  # type: ignore[type-abstract]
    except TypeError as error:
        # A subclass that does not define `export` or `fingerprint` cannot be made.
        raise ValueError(f"type {value.get('type')!r} is not a whole source: {error}") from error


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = imported(_place(name))
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
