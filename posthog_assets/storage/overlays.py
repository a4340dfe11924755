"""A store laid over another one: reads through, writes apart.

Belongs here: runs that must leave no trace, or share what another import has fetched. Does not belong here: stores
themselves (`store`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from posthog_assets.storage.layout import EXPORTS
from posthog_assets.storage.store import Store


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

    @contextmanager
    def peek(self, relative: str) -> Iterator[IO[bytes]]:
        with super().peek(relative) if super().exists(relative) else self._below.peek(relative) as file:
            yield file

    def read_bytes(self, relative: str) -> bytes:
        return super().read_bytes(relative) if super().exists(relative) else self._below.read_bytes(relative)


class SharedExport(Store):
    """A store of its own whose raw export is another import's."""

    def __init__(self, url: str, import_name: str, options: Mapping[str, Any], of: Store) -> None:
        """Open *import_name*'s folder below *url*, with the raw export of *of*."""
        super().__init__(url, import_name, options, of._timing)
        self._shared = of
        self.raw_owner = of.root.name

    def _holder(self, relative: str) -> Store | None:
        return self._shared if relative.split("/")[0] == EXPORTS else None

    def exists(self, relative: str) -> bool:
        return holder.exists(relative) if (holder := self._holder(relative)) else super().exists(relative)

    def size(self, relative: str) -> int:
        return holder.size(relative) if (holder := self._holder(relative)) else super().size(relative)

    def names(self, relative: str) -> list[str]:
        return holder.names(relative) if (holder := self._holder(relative)) else super().names(relative)

    def open(self, relative: str) -> IO[bytes]:
        return holder.open(relative) if (holder := self._holder(relative)) else super().open(relative)

    @contextmanager
    def peek(self, relative: str) -> Iterator[IO[bytes]]:
        with holder.peek(relative) if (holder := self._holder(relative)) else super().peek(relative) as file:
            yield file

    def read_bytes(self, relative: str) -> bytes:
        return holder.read_bytes(relative) if (holder := self._holder(relative)) else super().read_bytes(relative)
