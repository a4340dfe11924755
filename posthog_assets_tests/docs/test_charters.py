"""What the charters of modules say of other modules."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import posthog_assets

PACKAGE = Path(posthog_assets.__file__).parent

#: The part of a charter that names where other things are done, and the names in it: (`store`, `formats.avro`).
ELSEWHERE = re.compile(r"Does\s+not\s+belong\s+here:(.*?)(?:\n\n|$)", re.DOTALL)
NAMES = re.compile(r"\((`[a-z_.]+`(?:,\s+`[a-z_.]+`)*)\)")


def module_paths() -> set[str]:
    """Return every module and package by its path and by each end of it: `formats.avro`, `avro`."""
    found = set()
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        found |= {".".join(parts[start:]) for start in range(len(parts))}
    return found


def test_a_charter_names_modules_that_there_are() -> None:
    known, wrong = module_paths(), []
    for file in sorted(PACKAGE.rglob("*.py")):
        charter = ELSEWHERE.search(ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "")
        for names in NAMES.findall(charter[1]) if charter else []:
            named = [name.strip("` \n") for name in names.split(",")]
            wrong += [f"{file.relative_to(PACKAGE)}: {name}" for name in named if name not in known]
    assert wrong == []
