"""Import files for those who name their source: a commented template for each.

Belongs here: finding templates and recipes by name. Does not belong here: their text (`templates/*.yaml`, and
`sources.rest.recipes`).
"""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable

from posthog_assets.core.errors import ImportFileError
from posthog_assets.sources.rest.recipes import recipe_named, recipes, sections


def template_names() -> list[str]:
    """Return the names of all templates, those of recipes last."""
    return [*_found(files("posthog_assets.pipeline.sniffing") / "templates"), *recipes()]


def template(name: str) -> str:
    """Return the sections of the template or recipe called *name*; `stripe/invoices` names a resource of a recipe.

    Raises:
        ImportFileError: there is none; names those there are.
    """
    found = _found(files("posthog_assets.pipeline.sniffing") / "templates")
    if name in found:
        return found[name].read_text(encoding="utf-8")
    kind, _, resource = name.partition("/")
    recipe = recipe_named(kind)
    if recipe is None:
        raise ImportFileError(f"there is no template for the source {name!r}; there are: {', '.join(template_names())}")
    if resource and resource not in recipe.resources:
        raise ImportFileError(f"{kind} has no resource {resource!r}; it has: {', '.join(recipe.resources)}")
    return sections(recipe, resource or next(iter(recipe.resources)))


def _found(folder: Traversable) -> dict[str, Traversable]:
    if not folder.is_dir():
        return {}
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    return {entry.name.removesuffix(".yaml"): entry for entry in entries if entry.name.endswith(".yaml")}
