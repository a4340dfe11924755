"""Reading what the step before stored.

Belongs here: opening it, and the error where it is absent. Does not belong here: what a step does with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import IO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from posthog_assets.core.errors import MissingUpstream
from posthog_assets.core.partitions import Partition, key_of
from posthog_assets.core.schemas import POSTHOG_EVENTS, STAGED_EVENTS
from posthog_assets.pipeline.day_state.settled import Settled
from posthog_assets.sources.manifest import RawExport
from posthog_assets.storage.layout import events_path, staged_path
from posthog_assets.storage.parquet import damage_named, groups_where, read_batches
from posthog_assets.storage.store import Store


def stored_events(
    store: Store, day: Partition, columns: list[str] | None = None, names: Iterable[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the events of *day*; with *names* those parts of it that have events so called."""
    with store.open(events_path(day)) as file:
        yield from events_in(file, columns, names)


def events_in(
    file: IO[bytes], columns: list[str] | None = None, names: Iterable[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the events of a day's open file, like `stored_events`."""
    groups = None
    if names is not None:
        wanted = pa.array(names, pa.string())
        groups = groups_where(file, "event", lambda events: bool(pc.any(pc.is_in(events, wanted)).as_py()))
    yield from read_batches(file, columns, groups=groups)


#: Columns that a file has, whatever release wrote it. Checksums are of its pages, not of the names in its end.
_COLUMNS: Final = {
    "staged_events": frozenset(STAGED_EVENTS.names) - {"group_set"},
    "posthog_events": frozenset(POSTHOG_EVENTS.names) - {"raw_part", "raw_line"},
}


def open_upstream(store: Store, relative: str, asset: str, name: str, day: Partition) -> IO[bytes]:
    """Open what *asset* of import *name* stored of *day*.

    Raises:
        MissingUpstream: it stored nothing, or that was pruned.
        DamagedFile: it is not a whole Parquet file, or lacks a column.
    """
    try:
        file = store.open(relative)
    except FileNotFoundError:
        raise absent_upstream(store, asset, name, day) from None
    with ExitStack() as stack:
        stack.callback(file.close)
        with damage_named(store.path(relative), f"materialize {asset} for {key_of(day)} again"):
            if lacks := _COLUMNS[asset] - set(pq.read_metadata(file).schema.names):
                raise pa.ArrowInvalid(f"it has no column {', '.join(sorted(lacks))}")
        file.seek(0)
        stack.pop_all()
    return file


def absent_upstream(store: Store, asset: str, name: str, day: Partition) -> MissingUpstream:
    """Return the error that says why *asset* has no partition, and what brings it back."""
    key = key_of(day)
    if Settled.read(store, day) is None:
        return MissingUpstream(materialize_first(asset, name, day))
    again = [asset]
    if asset == "posthog_events" and not store.exists(staged_path(day)):
        again.insert(0, "staged_events")
    if again[0] == "staged_events" and RawExport(store, day).is_pruned:
        again.insert(0, "raw_export")
    return MissingUpstream(
        f"{name}/{asset} of {key} was pruned after it had been imported: materialize {', '.join(again)} for {key} again"
    )


def materialize_first(asset: str, name: str, day: Partition) -> str:
    return f"{name}/{asset} has no partition {key_of(day)} yet: materialize {asset} for {key_of(day)} first"
