"""Paths that name a day: `exports/{day:%Y/%m/%d}/*.jsonl.gz`.

Belongs here: what stands in a path for the day, and what it becomes. Does not belong here: finding files (`locations`).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Final

_DAY: Final = re.compile(r"\{day(?::([^}]*))?\}")
_PLACEHOLDER: Final = re.compile(r"\{[A-Za-z_]\w*(?:[:!.][^}]*)?\}")


def names_day(path: str) -> bool:
    """Return whether *path* names the day, so that each file holds one."""
    return bool(_DAY.search(path))


def path_flaw(path: str) -> str | None:
    """Return what is wrong with the placeholders of *path*; None if nothing is."""
    for match in _DAY.finditer(path):
        if match.group(1) is not None and "%" not in match.group(1):
            return f"{match.group()} must hold a date pattern such as {{day:%Y-%m-%d}}"
    if stray := _PLACEHOLDER.search(_DAY.sub("", path)):
        return f"{stray.group()} is unknown; the only placeholder is {{day}}, as in {{day:%Y-%m-%d}}"
    return None


def path_of_day(path: str, day: date) -> str:
    """Return *path* with *day* filled in."""
    return _DAY.sub(lambda match: _written(day, match.group(1) or "%Y-%m-%d"), path)


def glob_nearby(path: str) -> str:
    """Return *path* with `*` in the place of every day: what files there are near a day that has none."""
    return _DAY.sub("*", path)


def glob_of_days(path: str) -> str:
    """Return a glob that all days match, with `*` for every piece of a day: `{day:%Y/%m}` becomes `*/*`."""
    marked = _DAY.sub(lambda match: re.sub("[^/]+", "\0", match.group(1) or "%Y-%m-%d"), path)
    # Two stars in a row would mean any number of folders.
    return re.sub("[*]?\0+[*]?", "*", marked)


def _written(day: date, form: str) -> str:
    """Return *day* as `strftime` writes it; `%s` are the seconds of its midnight in UTC, wherever this runs."""
    seconds = int(datetime.combine(day, time(), UTC).timestamp())
    return day.strftime(re.sub(r"(%%)|%s", lambda match: match.group(1) or str(seconds), form))
