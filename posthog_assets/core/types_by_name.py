"""Classes by the names that import files have for them, of which only those are imported that are asked for.

Belongs here: looking up a class, and importing its module then. Does not belong here: any class.

An import file names one source and one dialect of some thirty. Each has libraries of its own, so that importing all of
them took a quarter of the time in which a command starts, and the same of every process that stages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")

#: Where a class is, `package.module:Name`, or what makes it.
Place = str | Callable[[], type[T]]


class TypesByName(Mapping[str, type[T]], Generic[T]):
    """Classes by name, imported when they are asked for; the names alone import nothing."""

    def __init__(self, places: Mapping[str, Place[T]]) -> None:
        self._places = dict(places)
        self._found: dict[str, type[T]] = {}

    def __getitem__(self, name: str) -> type[T]:
        """Return a class; raises KeyError where there is none of that name."""
        found = self._found.get(name)
        if found is None:
            place = self._places[name]
            found = self._found[name] = cast("type[T]", imported(place)) if isinstance(place, str) else place()
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def imported(place: str) -> Any:
    """Return what `package.module:Name` names."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
