"""The fields that a dialect knows, as a tree: finds those of a record that no table names.

Belongs here: which members of an object are known, and objects that came as JSON text. Does not belong here: what
becomes of a field (`vendor`), or any vendor's field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from posthog_assets.dialects.record import Record, nested


class Members:
    """The known members of an object; those that are objects themselves have known members of their own."""

    def __init__(self, paths: Iterable[str], whole: Iterable[str], path: str = "") -> None:
        """Take *paths*, `context.page.url`; an object in *whole* is not looked into.

        Members below a name in *whole* count as known, whatever they are called.
        """
        kept = frozenset(whole)
        below: dict[str, list[str]] = {}
        known = set(kept)
        for name in paths:
            head, dot, rest = name.partition(".")
            known.add(head)
            if dot:
                below.setdefault(head, []).append(rest)
        self._prefix = f"{path}." if path else ""
        self._known = frozenset(known)
        #: Which names are not known among those of a record: most records have the names of one before them.
        self._unknown: dict[tuple[str, ...], tuple[str, ...]] = {}
        #: Members that are objects and kept whole, and those that are looked into.
        self.whole = tuple(sorted(name for name in kept if "." not in name))
        self.objects = tuple(
            (head, Members(rests, _below(head, kept), f"{self._prefix}{head}"))
            for head, rests in below.items()
            if head not in kept
        )

    def unknown(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return which of *names* are not known."""
        found = self._unknown.get(names)
        if found is None:
            found = tuple(name for name in names if name not in self._known)
            if len(self._unknown) < _MOST_SHAPES:
                self._unknown[names] = found
        return found

    def unknown_paths(self, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """Return which of *names* are not known, each with its path in the whole record."""
        return tuple((name, self._prefix + name) for name in self.unknown(names))

    def left_out(self, record: Record, is_known: Callable[[str], bool]) -> list[str] | None:
        """Return the paths of *record* that have a value and are not known; None where there are none.

        An object that stands there as JSON text is put in the text's place. What is something else in an object's place
        is not known either, unless the object is kept whole.
        """
        found: list[str] | None = None
        if unknown := self.unknown(tuple(record)):
            found = [self._prefix + name for name in unknown if record[name] not in NOTHING and not is_known(name)]
        for name in self.whole:
            if type(text := record.get(name)) is str and text:
                record[name] = nested(text)
        for name, members in self.objects:
            value = record.get(name)
            if value and type(value) is not dict:
                value = record[name] = nested(value)
            inner: list[str] | None = None
            if type(value) is dict:
                inner = members.left_out(value, never)
            elif value not in NOTHING:
                inner = [self._prefix + name]
            if inner:
                found = found + inner if found else inner
        return found or None


#: Records of more different names are looked at one by one.
_MOST_SHAPES: Final = 10_000

#: What has nothing in it; compared by value, since 0 and false are something.
NOTHING: Final[tuple[Any, ...]] = (None, "", [], {})


def _below(head: str, names: Iterable[str]) -> list[str]:
    return [name[len(head) + 1 :] for name in names if name.startswith(f"{head}.")]


def never(name: str) -> bool:
    """Whether a name is known that no table names: below the record itself none is."""
    return False
