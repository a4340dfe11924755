"""Deleting the files of days that are imported, when the `retention` section says so.

Belongs here: which files may go, and letting them go. Does not belong here: the setting (`retention`), what killed
processes left (`leftovers`), what is printed (`cli.prune`).

A file goes only where a note in the ledger's folder (`settled`) says that PostHog has answered for every event of the
day, that note speaks of exactly the files that are stored, and the time is over. The ledger, manifests, the tables of
rejected events and what a query found always stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final

from posthog_assets.core.errors import BrokenPart, MissingUpstream, PartitionBusy
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.config.retention import PRUNABLE
from posthog_assets.pipeline.day_state.settled import Settled
from posthog_assets.pipeline.upkeep.leftovers import Leftover, leftovers
from posthog_assets.sources.manifest import RawExport
from posthog_assets.storage.layout import EXPORTS, events_path, staged_path
from posthog_assets.storage.parquet import digest_of
from posthog_assets.storage.store import Store

_LOCKS: Final = (*PRUNABLE, "imported_batches")


@dataclass(frozen=True, slots=True)
class Pruned:
    """Files of one asset of one day that went, or would go."""

    day: date
    asset: str
    bytes: int


@dataclass
class Pruning:
    """What pruning did, or would do; `left` has the days whose files stay, by the reason."""

    pruned: list[Pruned] = field(default_factory=list)
    left: dict[str, list[date]] = field(default_factory=dict)
    leftovers: list[Leftover] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return sum(item.bytes for item in self.pruned) + sum(item.bytes for item in self.leftovers)


class _Stays(Exception):
    """A day's files stay; says why."""


def prune(imp: Import, *, dry_run: bool, now: datetime | None = None) -> Pruning:
    """Delete what the policy of *imp* lets go, and what killed processes left; with *dry_run*, only say what.

    *now* (UTC) decides what is old enough.
    """
    now = now or datetime.now(UTC)
    done = Pruning()
    if imp.retention.prunes:
        for day in stored_days(imp.store):
            try:
                done.pruned += _prune_day(imp, day, now, dry_run=dry_run)
            except (_Stays, BrokenPart) as why:
                done.left.setdefault(str(why), []).append(day)
    done.leftovers = list(leftovers(imp, now, dry_run=dry_run))
    return done


def stored_days(store: Store) -> list[date]:
    """Return the days of which any file may be stored, in order; what has no days is not among them."""
    names = [*store.folders(EXPORTS), *store.names("staged_events"), *store.names("posthog_events")]
    return sorted({day for name in names if (day := _day(name.removesuffix(".parquet"))) is not None})


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None


def _prune_day(imp: Import, day: date, now: datetime, *, dry_run: bool) -> list[Pruned]:
    stored = {asset: size for asset, size in _stored(imp, day) if imp.retention.of(asset) is not None}
    if not stored:
        return []
    due = _due(imp, day, list(stored), now)
    if dry_run:
        _check_unchanged(imp.store, day, _settled(imp, day))
    else:
        with ExitStack() as held:
            try:
                holdings = [held.enter_context(imp.store.lock(asset, day.isoformat())) for asset in _LOCKS]
                # It cannot be made again from here on.
                _check_unchanged(imp.store, day, _settled(imp, day))
                for asset in due:
                    for holding in holdings:
                        holding.confirm()
                    _delete(imp.store, day, asset)
            except PartitionBusy:
                raise _Stays("a run works on it") from None
    return [Pruned(day, asset, stored[asset]) for asset in due]


def _stored(imp: Import, day: date) -> Iterator[tuple[str, int]]:
    """Yield the assets of which *day* has files that could go, and their bytes."""
    if raw := sum(RawExport(imp.store, day).stored().values()):
        yield "raw_export", raw
    for asset, path in (("staged_events", staged_path(day)), ("posthog_events", events_path(day))):
        if imp.store.exists(path):
            yield asset, imp.store.size(path)


def _settled(imp: Import, day: date) -> Settled:
    note = Settled.read(imp.store, day)
    if note is None:
        raise _Stays("not imported completely (or by an older version: materialize imported_batches)")
    if imp.destination.verifies and note.landed_at is None:
        raise _Stays("not found in PostHog by a query yet (materialize landed_events)")
    return note


def _due(imp: Import, day: date, assets: list[str], now: datetime) -> list[str]:
    note = _settled(imp, day)
    since = datetime.fromisoformat((note.landed_at if imp.destination.verifies else None) or note.acknowledged_at)
    age = now - since
    due = [asset for asset in assets if (keep := imp.retention.of(asset)) is not None and age >= keep]
    if not due:
        raise _Stays("not old enough")
    return due


def _check_unchanged(store: Store, day: date, note: Settled) -> None:
    """Raise where a stored file is not the one that was imported."""
    again = "was made again and not imported since (materialize what comes after it)"
    try:
        manifest = RawExport(store, day).manifest()
    except MissingUpstream:
        raise _Stays("raw_export is not complete (materialize it)") from None
    if manifest.fetched_at != note.fetched_at:
        raise _Stays(f"raw_export {again}")
    for asset, path, noted in (
        ("staged_events", staged_path(day), note.staged),
        ("posthog_events", events_path(day), note.events),
    ):
        if store.exists(path):
            with store.open(path) as file:
                if digest_of(file) != noted:
                    raise _Stays(f"{asset} {again}")


def _delete(store: Store, day: date, asset: str) -> None:
    match asset:
        case "raw_export":
            RawExport(store, day).prune()
        case "staged_events":
            store.delete(staged_path(day))
        case "posthog_events":
            store.delete(events_path(day))
