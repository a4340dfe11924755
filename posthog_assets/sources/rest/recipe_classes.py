"""The class of each recipe, as which an import file's `source` section is described.

Belongs here: the JSON schema of a recipe's own settings. Does not belong here: what a recipe says (`recipes`), fetching
(`source`).
"""

from __future__ import annotations

from types import new_class

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from posthog_assets.sources.rest.recipes import recipe_named
from posthog_assets.sources.rest.source import Rest


def recipe_class(name: str) -> type[Rest]:
    """Return the class of a recipe's sources: `Rest`, with a JSON schema of the recipe's own settings."""
    recipe = recipe_named(name)
    if recipe is None:
        raise KeyError(name)

    def schema(cls: type[Rest], core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        own = {name: {"description": setting["about"]} for name, setting in recipe.settings.items()}
        resources = [*recipe.resources]
        about = "; ".join(f"{name}: {one['about']}" for name, one in recipe.resources.items())
        return {
            "type": "object",
            "properties": {
                "type": {"const": recipe.name},
                "resource": {"enum": resources, "description": about},
                **own,
            },
            "required": ["resource"] if len(resources) > 1 else [],
        }

    members = {"__module__": __name__, "__doc__": recipe.title, "__get_pydantic_json_schema__": classmethod(schema)}
    return new_class(f"{recipe.title}Source", (Rest,), exec_body=lambda namespace: namespace.update(members))
