"""How bytes are fetched, one file per system.

Belongs here: sources, and finding the one an import file names. Does not belong here: what records mean (`dialects`).
"""

from __future__ import annotations

from typing import Any, Final

from posthog_assets.settings import load_by_type
from posthog_assets.sources.base import Source
from posthog_assets.sources.files import Files

__all__ = ["SOURCES", "Files", "Source", "load_source"]

SOURCES: Final[dict[str, type[Source]]] = {"files": Files}


def load_source(value: Any) -> Source:
    """Return the source that a `source` section describes; raises ValueError saying what is wrong."""
    return load_by_type(value, SOURCES, Source)
