"""`posthog-assets changes`: what the present mapping would do to days that are imported already.

Belongs here: the days concerned, and the table. Does not belong here: mapping a day without a trace (`dry_run`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import orjson
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from posthog_assets.dry_run import dry_run, imported_versions
from posthog_assets.errors import PosthogAssetsError
from posthog_assets.import_file import Import
from posthog_assets.projects import find_import


@dataclass(frozen=True, slots=True)
class DayChange:
    """One imported day under the present mapping: numbers of events.

    `unchanged` are not sent again; `in_place` are sent again and replaced; `duplicated` would be a permanent second
    version, and stop the day; `new` were not imported before; `gone` stay in PostHog, which cannot delete them.
    """

    day: date
    versions: tuple[str | None, ...]
    unchanged: int = 0
    in_place: int = 0
    duplicated: int = 0
    examples: tuple[str, ...] = ()
    new: int = 0
    gone: int = 0
    failure: str | None = None


def imported_days(imp: Import, first: date | None = None, last: date | None = None) -> list[date]:
    """Return the days with a ledger, in order, from *first* to *last* (both included)."""
    days = []
    for name in imp.store.folders("imported_batches"):
        try:
            day = date.fromisoformat(name)
        except ValueError:
            continue
        if (first is None or day >= first) and (last is None or day <= last):
            days.append(day)
    return sorted(days)


def day_change(imp: Import, day: date) -> DayChange:
    """Return what the present settings would change of an imported *day*; nothing is sent or stored."""
    versions = tuple(imported_versions(imp, day))
    try:
        with dry_run(imp, day) as run:
            report = run.delivery()
    except PosthogAssetsError as error:
        return DayChange(day, versions, failure=str(error))
    settled = report.already_acknowledged + report.dropped
    return DayChange(
        day, versions, settled, report.changed, report.moved, tuple(report.moved_examples),
        report.events - settled - report.changed - report.moved, report.orphaned,
    )  # fmt: skip


_COLUMNS: Final = ("unchanged", "in_place", "duplicated", "new", "gone")


def show_changes(
    name: str, project: Path | None, first: date | None, last: date | None, *, every: bool, as_json: bool
) -> int:
    """Print what the present mapping changes; returns 1 where something would be duplicated or could not be mapped.

    Days imported by this very version of the mapping are passed over, unless *every*.
    """
    imp = find_import(name, project)
    version, console = imp.mapping_version, Console()
    days = imported_days(imp, first, last)
    same = [day for day in days if not every and imported_versions(imp, day) == [version]]
    changes = [day_change(imp, day) for day in days if day not in same]
    if as_json:
        for change in changes:
            print(orjson.dumps(change, option=orjson.OPT_NON_STR_KEYS).decode())
    else:
        console.print(f"{name}: mapping {version}; {len(same):,} of {len(days):,} imported days are of this version")
        if changes:
            console.print(_table(changes))
            _advise(console, changes)
    return 1 if any(change.duplicated or change.failure for change in changes) else 0


def _table(changes: list[DayChange]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, padding=0, pad_edge=False)
    table.add_column("day", footer="all", no_wrap=True)
    table.add_column("imported by", no_wrap=True)
    for column in _COLUMNS:
        total = sum(getattr(change, column) for change in changes)
        table.add_column(column.replace("_", " "), justify="right", footer=f"{total:,}")
    for change in changes:
        versions = ", ".join(version or "?" for version in change.versions)
        if change.failure:
            table.add_row(str(change.day), versions, f"[red]{escape(change.failure)}[/red]")
        else:
            table.add_row(str(change.day), versions, *(f"{getattr(change, column):,}" for column in _COLUMNS))
    return table


def _advise(console: Console, changes: list[DayChange]) -> None:
    examples = [uuid for change in changes for uuid in change.examples][:3]
    if examples:
        console.print(
            "[red]duplicated[/red]: PostHog would keep two versions for ever, because day, name or distinct_id change "
            f"(for example {', '.join(examples)}). Importing these days stops before anything is sent. Undo that part "
            "of the change, or give the import a new name in a new project"
        )
    if any(change.in_place or change.new for change in changes):
        console.print("To bring PostHog up to date: materialize staged_events, posthog_events, imported_batches again.")
