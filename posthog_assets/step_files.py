"""How the mapping's steps get at files.

Belongs here: opening them, on a disk or wherever fsspec reaches. Does not belong here: what steps do with them
(`mapping.steps`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from posthog_assets.errors import ImportFileError, SourceError
from posthog_assets.sources.locations import Location


class StepFiles:
    """Opens the files of one run (`mapping.steps.Files`); what was opened is closed by `open_step_files`."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def read(self, path: str) -> bytes:
        """Return the bytes at *path*; raises ImportFileError where there is no such file."""
        location, found = _find(path)
        with location.open(found) as file:
            return file.read()

    def ip_lookup(self, path: str) -> Callable[[str], Mapping[str, Any] | None]:
        """Return the lookup of the MaxMind database at *path*, which is mapped into memory, not read."""
        import maxminddb

        location, found = _find(path)
        local = Path(found.path)
        # The reader wants a file on this machine.
        if not found.url.startswith(("file://", "local://", "python-package://")):
            local = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="posthog-assets-"))) / "ip.mmdb"
            with location.open(found) as source, local.open("wb") as sink:
                shutil.copyfileobj(source, sink, 4 << 20)
        try:
            reader = self._stack.enter_context(maxminddb.open_database(local))
        except maxminddb.InvalidDatabaseError as error:
            raise ImportFileError(f"mapping.steps: {location.shown} is no MaxMind database: {error}") from None
        return reader.get  # type: ignore[return-value]


@contextmanager
def open_step_files() -> Iterator[StepFiles]:
    """Give steps their files, and close them at the end."""
    with ExitStack() as stack:
        yield StepFiles(stack)


def _find(path: str) -> tuple[Location, Any]:
    location = Location(path, {})
    try:
        found = location.find()
    except (ImportFileError, SourceError) as error:
        # Locations speak of the source; this one is a step's.
        raise type(error)(str(error).replace("source.path ", "mapping.steps: ")) from None
    if len(found) != 1:
        raise ImportFileError(
            f"mapping.steps: there are {len(found)} files at {location.shown}; a step needs one"
            if found
            else f"mapping.steps: there is no file at {location.shown}"
        )
    return location, found[0]
