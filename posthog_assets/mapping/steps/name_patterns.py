"""Names in lists of the import file, `*` standing for any letters.

Belongs here: which property names a list means. Does not belong here: what is done with them.

Only `*` is a sign: brackets and question marks occur in real names (`[Amplitude] Page URL`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

#: What PostHog reads an event's person and groups from; a name with `*` never means them.
STRUCTURE: Final = frozenset({"$set", "$set_once", "$unset", "$groups", "$group_set"})


class Names:
    """The names that some patterns mean."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._exact = tuple(dict.fromkeys(name for name in patterns if "*" not in name))
        globs = [glob(name).pattern for name in patterns if "*" in name]
        found = re.compile("|".join(globs), re.DOTALL).fullmatch if globs else None
        exact = frozenset(self._exact)

        # Keys of open-ended objects may be many: the memory is bounded.
        @lru_cache(maxsize=20_000)
        def means(name: str) -> bool:
            return name in exact or (found is not None and name not in STRUCTURE and found(name) is not None)

        self.mean = means
        self._globs = bool(globs)

    def of(self, bag: Mapping[str, Any]) -> list[str]:
        """Return the keys of *bag* that are meant, in an order that depends on nothing else."""
        if self._globs:
            means = self.mean
            return [key for key in bag if means(key)]
        return [name for name in self._exact if name in bag]


def glob(pattern: str) -> re.Pattern[str]:
    """Return an expression for *pattern* with a group for each `*`."""
    return re.compile("(.*)".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)
