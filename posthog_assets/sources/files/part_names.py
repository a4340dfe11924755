"""Names of the parts that files become: safe, unique, and the same when other files appear.

Belongs here: names. Does not belong here: which files are a day's (`source`), how they are read (`formats`).
"""

from __future__ import annotations

import re

from posthog_assets.sources.files.locations import Found
from posthog_assets.sources.formats import SUFFIXES


def part_name(file: Found) -> str:
    """Return the name of a copy of the file: its own, and eight letters that files of the same name do not share.

    `exports/2013/a b.jsonl.gz` becomes `a_b-5f3a9c01.jsonl.gz`.
    """
    return f"{_stem(file)}-{file.id}{_suffixes(base_name(file))}"


def extract_name(file: Found, label: str, suffix: str) -> str:
    """Return the name of an extract of a file of all days; *label* is its day and kind, as in `2013-01-01.1`."""
    return f"{_stem(file)}-{file.id}.{label}{suffix}"


def base_name(file: Found) -> str:
    """Return the last piece of the file's path, without the query of an address."""
    path = file.path.split("?")[0] if "://" in file.path else file.path
    return path.rstrip("/").rsplit("/", 1)[-1]


def _stem(file: Found) -> str:
    base = base_name(file)
    stem = base.removesuffix(_suffixes(base))
    return re.sub(r"[^A-Za-z0-9._-]|^[.]", "_", stem)[:100] or "part"


def _suffixes(base: str) -> str:
    """Return those last suffixes that say how the file is framed, `.jsonl.gz`."""
    pieces = base.split(".")
    count = 0
    while count < len(pieces) - 1 and pieces[-1 - count].lower() in SUFFIXES:
        count += 1
    return "".join(f".{piece}" for piece in pieces[len(pieces) - count :])
