"""Steps that change the shape of properties: flatten, unpack, nulls.

Belongs here: objects, lists, and what is empty. Does not belong here: types of single values (`types`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal

import orjson
from pydantic import Field

from posthog_assets.mapping.steps.base import Bag, Event, OfProperties
from posthog_assets.mapping.steps.name_patterns import Names


class Flatten(OfProperties):
    """Make properties of the members of nested objects: `{"plan": {"name": "pro"}}` becomes `plan_name`.

    Below `depth` levels objects stay. `arrays` are kept, become JSON `text`, or have an `index` in the name. Where a
    name is taken already the whole object stays, so that no value is lost; so do empty ones.

    `{step: flatten, names: [context], separator: ".", depth: 2, arrays: keep}`
    """

    names: list[str] = Field(default_factory=lambda: ["*"], description="Properties to flatten")
    separator: str = Field("_", description="Stands between the names of the levels")
    depth: int | None = Field(None, ge=1, description="Most levels taken apart; absent: all")
    arrays: Literal["keep", "index", "text"] = Field(
        "keep", description="Lists stay, become a property an element, or JSON text"
    )

    def apply(self, event: Event) -> None:
        for bag in event.bags(self.scope):
            nested = [name for name, value in bag.items() if isinstance(value, self._taken_apart)]
            for name in filter(self._names.mean, nested):
                leaves = list(self._leaves(name, bag[name], self.depth))
                flat = dict(leaves)
                if len(flat) == len(leaves) and not any(leaf in bag and leaf != name for leaf in flat):
                    del bag[name]
                    bag.update(flat)

    def _leaves(self, name: str, value: Any, depth: int | None) -> Iterator[tuple[str, Any]]:
        below: Any = ()
        if isinstance(value, list) and self.arrays == "text":
            value = orjson.dumps(value).decode()
        elif depth is None or depth > 0:
            if isinstance(value, dict):
                below = value.items()
            elif isinstance(value, list) and self.arrays == "index":
                below = list(enumerate(value))
        if not below:
            yield name, value
        for key, inner in below:
            yield from self._leaves(f"{name}{self.separator}{key}", inner, None if depth is None else depth - 1)

    @cached_property
    def _taken_apart(self) -> tuple[type, ...]:
        return (dict,) if self.arrays == "keep" else (dict, list)

    @cached_property
    def _names(self) -> Names:
        return Names(self.names)


class Unpack(OfProperties):
    """Read properties that hold JSON as text; text that is no JSON object or list stays.

    `times` is for text that was packed more than once, as Heap's and some warehouses' is.

    `{step: unpack, names: [payload], times: 2}`
    """

    names: list[str] = Field(min_length=1, description="Properties that hold JSON as text")
    times: int = Field(1, ge=1, le=3, description="How often the text was packed")

    def apply(self, event: Event) -> None:
        for bag in event.bags(self.scope):
            for name in self._names.of(bag):
                value = bag[name]
                for _ in range(self.times):
                    value = _read(value)
                if isinstance(value, dict | list):
                    bag[name] = value

    @cached_property
    def _names(self) -> Names:
        return Names(self.names)


def _read(value: Any) -> Any:
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "[", '"'):
        return value
    try:
        return orjson.loads(value)
    except ValueError:
        return value


class Nulls(OfProperties):
    """Leave out properties without a value: null, and texts that mean nothing; `empty: true` also `{}` and `[]`.

    `{step: nulls, texts: ["", "EMPTY", "(not set)"], deep: true}`
    """

    texts: list[str] = Field(default_factory=lambda: [""], description="Texts that are no value")
    names: list[str] = Field(default_factory=lambda: ["*"], description="Properties that are looked at")
    empty: bool = Field(False, description="Objects and lists without members too")
    deep: bool = Field(False, description="Members of nested objects too")

    def apply(self, event: Event) -> None:
        for bag in event.bags(self.scope):
            if self.deep:
                for name in self._names.of(bag):
                    self._inside(bag[name])
            for name in filter(self._names.mean, self._without_value(bag)):
                del bag[name]

    def _inside(self, value: Any) -> None:
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            self._inside(item)
        if isinstance(value, dict):
            for key in self._without_value(value):
                del value[key]

    def _without_value(self, bag: Bag) -> list[str]:
        texts, empty = self._texts, self.empty
        return [
            name
            for name, value in bag.items()
            if value is None
            or (type(value) is str and value in texts)
            or (empty and isinstance(value, dict | list) and not value)
        ]

    @cached_property
    def _texts(self) -> frozenset[str]:
        return frozenset(self.texts)

    @cached_property
    def _names(self) -> Names:
        return Names(self.names)
