"""What killed processes left behind, and caches that are not needed any more.

Belongs here: finding and deleting them. Does not belong here: files that mean something (`prune`).

A file that is being written changes all the time. One with a temporary name that has not changed for a day belongs to
no process; neither does a folder for sorting or downloads whose process is gone.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from posthog_assets.core.errors import PosthogAssetsError
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.storage import scratch
from posthog_assets.storage.layout import EXPORTS, SPLITS, export_folder
from posthog_assets.storage.store import Store

_AGE: Final = timedelta(days=1)

#: `Store.atomic_write` gives these names.
_TEMPORARY: Final = re.compile(r"\.tmp-[0-9a-f]{32}-.+")

_OLDER: Final = re.compile(r"posthog-assets-(\d+)-.+")


#: Before the name of the settings in the folder that holds all pages of an API (`sources.rest.whole`).
_WHOLE: Final = ".whole-"

#: What lists the other files of such folders.
_LISTS: Final = ("-index.json", "manifest.json")


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file or folder that is of no use; `place` is its path, `why` says what it was."""

    place: str
    why: str
    bytes: int


def leftovers(imp: Import, now: datetime, *, dry_run: bool) -> Iterator[Leftover]:
    """Delete, unless *dry_run*, what is left over in the import's storage and on this machine; yield each."""
    yield from _temporary(imp.store, now, dry_run=dry_run)
    yield from _scratch(now, dry_run=dry_run)
    yield from _splits(imp, dry_run=dry_run)


def _temporary(store: Store, now: datetime, *, dry_run: bool) -> Iterator[Leftover]:
    root = store.local_path("")
    # What goes to a store elsewhere is written on this machine first.
    found = root.rglob(".tmp-*") if root is not None else Path(tempfile.gettempdir()).glob(".tmp-*")
    for path in sorted(found):
        if _TEMPORARY.fullmatch(path.name) and path.is_file() and _is_old(path, now):
            yield Leftover(str(path), "temporary file of a killed process", path.stat().st_size)
            if not dry_run:
                path.unlink(missing_ok=True)


def _scratch(now: datetime, *, dry_run: bool) -> Iterator[Leftover]:
    for path in scratch.leftovers():
        files = [path, *path.rglob("*")] if path.is_dir() else [path]
        size = sum(file.stat().st_size for file in files if file.is_file())
        yield Leftover(str(path), "working folder of a killed process", size)
        if not dry_run:
            scratch.delete(path)
    yield from _older_scratch(now, dry_run=dry_run)


def _older_scratch(now: datetime, *, dry_run: bool) -> Iterator[Leftover]:
    """Yield the working folders of release 0.1, which stood beside everybody's and named their process."""
    for folder in sorted(Path(tempfile.gettempdir()).glob("posthog-assets-*")):
        found = _OLDER.fullmatch(folder.name)
        number = int(found[1]) if found else None
        files = [path for path in folder.rglob("*") if path.is_file()] if number else []
        if number is None or _lives(number) or not all(_is_old(path, now) for path in (folder, *files)):
            continue
        yield Leftover(str(folder), "working folder of a killed process", sum(path.stat().st_size for path in files))
        if not dry_run:
            shutil.rmtree(folder, ignore_errors=True)


def _splits(imp: Import, *, dry_run: bool) -> Iterator[Leftover]:
    """Yield the caches of files that were split into days and are no files of the source any more.

    Of an API that is read as a whole these are its pages, too, once it is asked for something else.
    """
    there = {f"{SPLITS}/{name}": name for name in imp.store.folders(SPLITS)}
    there |= {
        export_folder(name): name.removeprefix(_WHOLE) for name in imp.store.folders(EXPORTS) if name.startswith(_WHOLE)
    }
    if not there:
        return
    try:
        needed = imp.source.split_files(imp.start_date)
    except PosthogAssetsError:
        # Unknown; a cache that is kept costs nothing but room.
        return
    for folder, file in there.items():
        names = imp.store.names(folder) if file not in needed else []
        if names:
            sizes = [imp.store.size(f"{folder}/{name}") for name in names]
            yield Leftover(str(imp.store.path(folder)), "cache of a file the source no longer has", sum(sizes))
            # The list goes first: without it nothing is looked for in the others.
            for name in sorted(names, key=lambda name: not name.endswith(_LISTS)) if not dry_run else ():
                imp.store.delete(f"{folder}/{name}")


def _is_old(path: Path, now: datetime) -> bool:
    try:
        return now - datetime.fromtimestamp(path.stat().st_mtime, UTC) > _AGE
    except FileNotFoundError:
        return False


def _lives(process: int) -> bool:
    if os.name != "posix":
        # Elsewhere asking would end it.
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
