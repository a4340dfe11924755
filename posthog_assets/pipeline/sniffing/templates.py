"""Import files for those who name their source: a commented template for each.

Belongs here: finding templates and recipes by name. Does not belong here: their text (`templates/*.yaml`, and
`recipes/*.yaml` of the package).
"""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable

from posthog_assets.core.errors import ImportFileError


def template_names() -> list[str]:
    """Return the names of all templates, those of recipes last."""
    return [
        *_found(files("posthog_assets.pipeline.sniffing") / "templates"),
        *_found(files("posthog_assets") / "recipes"),
    ]


def template(name: str) -> str:
    """Return the sections of the template or recipe called *name*.

    Raises:
        ImportFileError: there is none; names those there are.
    """
    for folder in (files("posthog_assets.pipeline.sniffing") / "templates", files("posthog_assets") / "recipes"):
        if name in _found(folder):
            return _found(folder)[name].read_text(encoding="utf-8")
    raise ImportFileError(f"there is no template for the source {name!r}; there are: {', '.join(template_names())}")


def _found(folder: Traversable) -> dict[str, Traversable]:
    if not folder.is_dir():
        return {}
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    return {entry.name.removesuffix(".yaml"): entry for entry in entries if entry.name.endswith(".yaml")}
