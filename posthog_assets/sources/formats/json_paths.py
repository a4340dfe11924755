"""Paths into JSON, as dlt and PostHog write them: `data`, `data.-1.id`, `data[-1].id`, `$.paging.next`.

Belongs here: finding and setting the value at a path. Does not belong here: which path holds what.
"""

from __future__ import annotations

import re
from copy import deepcopy
from functools import lru_cache
from typing import Any, Final

#: Nothing stands at the path, in contrast to null.
NOTHING: Final = object()

_INDEX: Final = re.compile(r"-?\d+", re.ASCII)
_STEP: Final = re.compile(r"\.?(?:\[(?:'([^']*)'|\"([^\"]*)\"|(-?\d+|\*))\]|([^.\[\]]+))")


@lru_cache(1_000)
def steps_of(path: str) -> tuple[str, ...]:
    """Return the keys and indices along *path*; none where it is the whole (`$` or empty).

    Raises:
        ValueError: it is no path.
    """
    rest = path.strip().removeprefix("$").removesuffix("[*]")
    steps: list[str] = []
    at = 0
    while at < len(rest):
        found = _STEP.match(rest, at)
        if found is None or "*" in (found[3], found[4]):
            raise ValueError(f"{path!r} is no path; write it as in data, data.-1.id or paging.next.after")
        steps.append(next(group for group in found.groups() if group is not None))
        at = found.end()
    return tuple(steps)


def find(value: Any, path: str) -> Any:
    """Return what stands at *path* in *value*, `NOTHING` where nothing does; -1 is the last member of a list."""
    if isinstance(value, dict) and path in value:
        return value[path]
    for step in steps_of(path):
        if isinstance(value, dict):
            value = value.get(step, NOTHING)
        elif isinstance(value, list) and _INDEX.fullmatch(step) and -len(value) <= int(step) < len(value):
            value = value[int(step)]
        else:
            return NOTHING
    return value


def with_value(value: Any, path: str, new: Any) -> Any:
    """Return a copy of *value* with *new* at *path*; objects on the way that are missing are made."""
    copy = deepcopy(value) if value is not None else {}
    steps = steps_of(path)
    inner = copy
    for step in steps[:-1]:
        inner = inner[int(step)] if isinstance(inner, list) else inner.setdefault(step, {})
    inner[steps[-1]] = new
    return copy
