"""Recipes: an API that is known well enough to need a key only.

Belongs here: reading `posthog_assets/sources/recipes/*.yaml`, and what an import file says on top of one. Does not
belong here: any vendor, which is a file there.

A recipe has settings, a source, a dialect and a mapping, for all of its resources and for each. What the import file
says wins, field by field:

    source: {type: stripe, resource: charges, api_key: "{{ env.STRIPE_API_KEY }}", look_back_days: 30}
    dialect: {user_id: {column: billing_details.email}}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

import yaml

#: The same as `yaml.SafeLoader`, several times as fast where libyaml is there.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_SETTING: Final = re.compile(r"\{\{\s*settings\.(\w+)\s*\}\}")


@dataclass(frozen=True)
class Recipe:
    """One file of `posthog_assets/sources/recipes`. `settings` and `resources` are by name, in the file's order."""

    name: str
    title: str
    documentation: str
    settings: Mapping[str, Mapping[str, str]]
    resources: Mapping[str, Mapping[str, Any]]
    common: Mapping[str, Any]

    def section(self, name: str, resource: str) -> dict[str, Any]:
        """Return the recipe's own `source`, `dialect` or `mapping` for a resource."""
        return merged(self.common.get(name) or {}, self.resources[resource].get(name) or {})

    def resource_of(self, source: Mapping[str, Any]) -> str:
        """Return the resource a `source` section names, the only one where it names none; raises ValueError."""
        given = source.get("resource") or (next(iter(self.resources)) if len(self.resources) == 1 else None)
        if given not in self.resources:
            found = f" (found {given!r})" if given else ""
            raise ValueError(f"resource must be one of {', '.join(self.resources)} with type: {self.name}{found}")
        return str(given)

    def source(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of `source: rest` that a `source` section of this recipe means; raises ValueError."""
        resource = self.resource_of(given)
        settings = {name: given.get(name) for name in self.settings}
        own = {key: value for key, value in given.items() if key not in self.settings and key != "resource"}
        filled = _filled(self.section("source", resource), settings, self)
        return merged(filled, own)

    def with_defaults(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the import file's attributes with the recipe's dialect and mapping below what it says itself."""
        resource = self.resource_of(attributes["source"])
        dialect, mapping = attributes.get("dialect") or {}, attributes.get("mapping") or {}
        if not isinstance(dialect, dict) or not isinstance(mapping, dict):
            return dict(attributes)
        own = self.section("dialect", resource)
        if dialect.keys() & {"event", "timestamp"} and "events" in own:
            # One event instead of the recipe's several.
            del own["events"]
        return {
            **attributes,
            "dialect": dialect if "type" in dialect else merged(own, dialect),
            "mapping": merged(self.section("mapping", resource), mapping),
        }


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return *below* with what *above* says instead; sections are merged, all else is replaced."""
    both = dict(below)
    for key, value in above.items():
        old = both.get(key)
        both[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both


def recipes() -> dict[str, Recipe]:
    """Return all recipes by name."""
    return {name: found for name in _files() if (found := recipe_named(name))}


@cache
def recipe_named(name: str) -> Recipe | None:
    """Return one recipe, without reading the others; None where there is none of that name."""
    file = _files().get(name)
    if file is None:
        return None
    content = yaml.load(file.read_text(encoding="utf-8"), _LOADER)
    common = {key: content.get(key) for key in ("source", "dialect", "mapping")}
    return Recipe(name, content["title"], content["documentation"], content["settings"], content["resources"], common)


@cache
def _files() -> dict[str, Traversable]:
    found = sorted(files("posthog_assets.sources.recipes").iterdir(), key=lambda file: file.name)
    return {file.name.removesuffix(".yaml"): file for file in found if file.name.endswith(".yaml")}


def recipe_of(attributes: Mapping[str, Any]) -> Recipe | None:
    """Return the recipe that the import file's source names; None where it is no recipe."""
    source = attributes.get("source")
    kind = source.get("type") if isinstance(source, dict) else None
    return recipe_named(kind) if isinstance(kind, str) else None


def _filled(value: Any, settings: Mapping[str, Any], recipe: Recipe) -> Any:
    """Return *value* with `{{ settings.x }}` filled in: as it is where it stands alone, as text inside a text."""
    match value:
        case dict():
            return {key: _filled(item, settings, recipe) for key, item in value.items()}
        case list():
            return [_filled(item, settings, recipe) for item in value]
        case str() if whole := _SETTING.fullmatch(value):
            # A key may be absent until it is needed; what is asked for may not.
            found = settings[whole[1]]
            return _given(whole[1], settings, recipe) if found is None and _is_needed(whole[1], recipe) else found
        case str():
            return _SETTING.sub(lambda found: str(_given(found[1], settings, recipe)), value)
    return value


def _is_needed(name: str, recipe: Recipe) -> bool:
    return "env" not in recipe.settings[name]


def _given(name: str, settings: Mapping[str, Any], recipe: Recipe) -> Any:
    value = settings[name]
    if value is None or value == "":
        if not _is_needed(name, recipe):
            return ""
        setting = recipe.settings[name]
        example = setting.get("example", "")
        raise ValueError(f"{name} is missing, with type: {recipe.name}: {setting['about']}, such as {name}: {example}")
    return value.rstrip("/") if isinstance(value, str) else value


def sections(recipe: Recipe, resource: str) -> str:
    """Return the `source` section of an import file that uses a recipe, with what else it may say as comments."""
    lines = [f"# {recipe.documentation}", "source:", f"  type: {recipe.name}"]
    lines += [f"  # {name}: {one['about']}" for name, one in recipe.resources.items()]
    lines.append(f"  resource: {resource}")
    for key, setting in recipe.settings.items():
        value = f'"{{{{ env.{setting["env"]} }}}}"' if "env" in setting else setting["example"]
        lines += [f"  # {setting['about']}", f"  {key}: {value}"]
    lines.append("# The recipe brings dialect and mapping; what these sections say here wins, field by field.")
    return "\n".join(lines) + "\n"


def written_secrets(source: Mapping[str, Any]) -> list[str]:
    """Return the paths of credentials that a `source` section, as it stands in the file, writes out.

    For an API these must be expressions such as `{{ env.STRIPE_API_KEY }}`: import files are shared and versioned.
    """
    kind = source.get("type")
    recipe = recipe_named(kind) if isinstance(kind, str) else None
    if kind != "rest" and recipe is None:
        return []
    found = {name: source.get(name) for name in (recipe.settings if recipe else {}) if _is_secret(name)}
    client = source.get("client")
    for part in ("auth", "headers"):
        section = client.get(part) if isinstance(client, dict) else None
        if isinstance(section, dict):
            found |= {f"client.{part}.{name}": value for name, value in section.items() if _is_secret(name)}
    return [path for path, value in found.items() if isinstance(value, str) and value and "{{" not in value]


def _is_secret(name: str) -> bool:
    words = ("key", "token", "secret", "password", "authorization", "cookie")
    return any(word in name.lower() for word in words) and not name.endswith(("_url", "_data", "_expiration"))
