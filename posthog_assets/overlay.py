"""A store laid over another one: reads through, writes apart.

Belongs here: runs that must leave no trace, or share what another import has fetched. Does not belong here: stores
themselves (`storage`).
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

from posthog_assets.storage import Store


class Overlay(Store):
    """A store that reads what it does not have from another one, and writes only into itself."""

    def __init__(self, below: Store, folder: Path) -> None:
        """Lay *folder*, an empty local one, over *below*."""
        super().__init__(str(folder), below.root.name)
        self._below = below

    def exists(self, relative: str) -> bool:
        return super().exists(relative) or self._below.exists(relative)

    def size(self, relative: str) -> int:
        return super().size(relative) if super().exists(relative) else self._below.size(relative)

    def names(self, relative: str) -> list[str]:
        return sorted({*super().names(relative), *self._below.names(relative)})

    def open(self, relative: str) -> IO[bytes]:
        return super().open(relative) if super().exists(relative) else self._below.open(relative)

    def read_bytes(self, relative: str) -> bytes:
        return super().read_bytes(relative) if super().exists(relative) else self._below.read_bytes(relative)
