"""Finding the line of a field in a defs.yaml.

Belongs here: places in the text of the file. Does not belong here: what is wrong there (`core.field_errors`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from posthog_assets.core.field_errors import Path as FieldPath


def lines_of(file: Path) -> Callable[[FieldPath], int | None]:
    """Return a function from a field below `attributes` to its line, counted from 1; None where that is unknown.

    A field that is missing has the line of the section it is missing in. Several imports in one file are not kept
    apart.
    """

    def line_of(path: FieldPath) -> int | None:
        try:
            documents = list(yaml.compose_all(file.read_text("utf-8"), Loader=yaml.SafeLoader))
        except (OSError, yaml.YAMLError, UnicodeDecodeError):
            return None
        return _line(documents[0], ("attributes", *path)) if len(documents) == 1 else None

    return line_of


def _line(node: yaml.Node, path: FieldPath) -> int:
    line = node.start_mark.line + 1
    for part in path:
        found = _below(node, part)
        if found is None:
            break
        line, node = found
    return line


def _below(node: yaml.Node, part: str | int) -> tuple[int, yaml.Node] | None:
    """Return the line and the value of a member."""
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark.line + 1, value) for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line + 1, node.value[part]
    return None
