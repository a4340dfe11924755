"""Steps that move properties: rename, drop, keep, add.

Belongs here: changes of names and whole properties. Does not belong here: their values (`types`, `shape`).
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from functools import cached_property, lru_cache
from typing import Any

from pydantic import Field, model_validator

from posthog_assets.core.markers import MARKERS
from posthog_assets.mapping.steps.base import Event, OfProperties
from posthog_assets.mapping.steps.name_patterns import STRUCTURE, Names, glob


class Rename(OfProperties):
    """Give properties other names; `*` takes what it stood for along. The renamed one replaces its like.

    `{step: rename, names: {cityName: $geoip_city_name, "utm*": "utm_*"}}`
    """

    names: dict[str, str] = Field(min_length=1, description="Old name: new name")

    @model_validator(mode="after")
    def _can_be_done(self) -> Rename:
        _leave_markers(self.names.values())
        for old, new in self.names.items():
            if new.count("*") > old.count("*"):
                raise ValueError(f"names: {new!r} has more * than {old!r}, so it is not known what they stand for")
        return self

    def apply(self, event: Event) -> None:
        for bag in event.bags(self.scope):
            moved = {new: bag.pop(old) for old, new in self._exact if old in bag}
            if self._globs:
                for old in list(bag):
                    new = self._renamed(old)
                    if new != old:
                        moved[new] = bag.pop(old)
            bag.update(moved)

    @cached_property
    def _exact(self) -> list[tuple[str, str]]:
        return [(old, new) for old, new in self.names.items() if "*" not in old]

    @cached_property
    def _globs(self) -> list[tuple[Any, str]]:
        return [(glob(old), new) for old, new in self.names.items() if "*" in old]

    @cached_property
    def _renamed(self) -> Any:
        globs = self._globs

        @lru_cache(maxsize=20_000)
        def renamed(name: str) -> str:
            for pattern, new in globs:
                if name not in STRUCTURE and (found := pattern.fullmatch(name)):
                    first, *rest = new.split("*")
                    return first + "".join(part + text for part, text in zip(found.groups(), rest, strict=False))
            return name

        return renamed


class Drop(OfProperties):
    """Leave properties out.

    `{step: drop, names: [internal_note, "debug_*"], scope: all}`
    """

    names: list[str] = Field(min_length=1, description="Properties to leave out; * stands for any text")

    def apply(self, event: Event) -> None:
        for bag in event.bags(self.scope):
            for name in self._names.of(bag):
                del bag[name]

    @cached_property
    def _names(self) -> Names:
        return Names(self.names)


class Keep(OfProperties):
    """Leave all other properties out; `$set`, `$set_once`, `$unset` and `$groups` stay.

    `{step: keep, names: [plan, "$*"], events: [signed_up]}`
    """

    names: list[str] = Field(description="The only properties to keep; * stands for any text")

    def apply(self, event: Event) -> None:
        means = self._names.mean
        for bag in event.bags(self.scope):
            for name in [name for name in bag if name not in STRUCTURE and not means(name)]:
                del bag[name]

    @cached_property
    def _names(self) -> Names:
        return Names(self.names)


class Add(OfProperties):
    """Add constants, and copies of other properties of the event; `overwrite: false` keeps a value that is there.

    `{step: add, values: {origin: shop}, copy: {$current_url: page_url}}`
    """

    values: dict[str, Any] = Field(default_factory=dict, description="Name: constant")
    copies: dict[str, str] = Field(default_factory=dict, alias="copy", description="New name: name to copy from")
    overwrite: bool = Field(True, description="Whether a value that is there is replaced")

    @model_validator(mode="after")
    def _adds_something(self) -> Add:
        _leave_markers([*self.values, *self.copies])
        if not self.values and not self.copies:
            raise ValueError("needs values or copy: it would add nothing")
        if self.scope == "all":
            raise ValueError("scope: all is not known here; name event, person or group")
        return self

    def apply(self, event: Event) -> None:
        bag = _BAGS[self.scope](event)
        found = {new: event.properties[old] for new, old in self.copies.items() if old in event.properties}
        for name, value in (self.values | found).items():
            if self.overwrite or name not in bag:
                # An object of two owners would be changed twice.
                bag[name] = deepcopy(value) if isinstance(value, dict | list) else value


#: Where what is added goes.
_BAGS = {
    "event": lambda event: event.properties,
    "person": lambda event: event.set,
    "group": lambda event: event.group_set,
}


def _leave_markers(names: Iterable[str]) -> None:
    taken = sorted(set(names) & set(MARKERS))
    if taken:
        raise ValueError(f"{', '.join(taken)} cannot be set: every imported event carries it")
