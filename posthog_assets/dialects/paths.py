"""Where values stand in a record: paths such as `context.page.url`.

Belongs here: finding values by path, one or a table of them. Does not belong here: which paths a vendor has (`vendor`),
the same as compiled code (`compiled`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from posthog_assets.dialects.record import Record, nested

Getter = Callable[[Record], Any]


def by_head(names: Mapping[str, str]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return the entries of a table whose path is one key, and those of each object by what follows in the path."""
    flat: dict[str, str] = {}
    inner: dict[str, dict[str, str]] = {}
    for path, name in names.items():
        head, _, rest = path.partition(".")
        if rest:
            inner.setdefault(head, {})[rest] = name
        else:
            flat[head] = name
    return flat, inner


class Table:
    """Field paths, `context.page.url`, and the properties they become."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = dict(names)
        flat, inner = by_head(self.names)
        self._flat = tuple(flat.items())
        self._inner = tuple((head, Table(below)) for head, below in inner.items())

    def read(self, record: Record, into: Record, nothing: tuple[str, ...]) -> None:
        """Set the properties *record* has a value for; texts in *nothing* are no value."""
        get = record.get
        for key, name in self._flat:
            value = get(key)
            # A tuple is looked through without hashing the text, which would take longer than the rest of the loop.
            if value is not None and value not in nothing:
                into[name] = value
        for key, below in self._inner:
            value = get(key)
            if type(value) is dict and value:
                below.read(value, into, nothing)


def has_path(record: Record, path: str) -> bool:
    value: Any = record
    for key in path.split("."):
        if type(value) is str and key != path:
            # CSV holds objects as text.
            value = nested(value)
        if type(value) is not dict or key not in value:
            return False
        value = value[key]
    return True


def first_of(paths: Iterable[str]) -> Getter:
    """Return a function from a record to the first value at *paths* that is neither null nor empty text."""
    keys = tuple(tuple(path.split(".")) for path in paths)
    if len(keys) == 1 and len(keys[0]) == 1:
        key = keys[0][0]

        def only(record: Record) -> Any:
            value = record.get(key)
            return value if value != "" else None

        return only

    if all(len(path) == 1 for path in keys):
        flat = tuple(path[0] for path in keys)

        def first_flat(record: Record) -> Any:
            get = record.get
            for key in flat:
                value = get(key)
                if value is not None and value != "":
                    return value
            return None

        return first_flat

    def first(record: Record) -> Any:
        for path in keys:
            value: Any = record
            for key in path:
                value = value.get(key) if type(value) is dict else None
            if value is not None and value != "":
                return value
        return None

    return first
