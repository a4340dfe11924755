"""The command `posthog-assets changes`.

Belongs here: what is printed. Does not belong here: the comparison (`pipeline.preview.impact`).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final

import orjson
from rich import box
from rich.console import Console
from rich.table import Table

from posthog_assets.cli.terminal import open_console
from posthog_assets.core.markup import as_shown
from posthog_assets.orchestration.find_imports import find_import
from posthog_assets.pipeline.preview.dry_run import imported_versions
from posthog_assets.pipeline.preview.impact import DayChange, day_change, imported_days

_COLUMNS: Final = ("unchanged", "in_place", "duplicated", "new", "gone")


def show_changes(
    name: str, project: Path | None, first: date | None, last: date | None, *, every: bool, as_json: bool
) -> int:
    """Print what the present mapping changes; returns 1 where something would be duplicated or could not be mapped.

    Days imported by this very version of the mapping are passed over, unless *every*.
    """
    imp = find_import(name, project)
    version, console = imp.mapping_version, open_console()
    days = imported_days(imp, first, last)
    same = [day for day in days if not every and imported_versions(imp, day) == [version]]
    changes = []
    with console.status("comparing") as waiting:
        for day in days:
            if day not in same:
                waiting.update(f"mapping {day} as the import file says now")
                changes.append(day_change(imp, day))
    if as_json:
        for change in changes:
            print(orjson.dumps(change, option=orjson.OPT_NON_STR_KEYS).decode())
    else:
        console.print(f"{name}: mapping {version}; {len(same):,} of {len(days):,} imported days are of this version")
        if changes:
            console.print("Events by what importing the day again would do:", highlight=False)
            console.print(_table(changes))
            console.print(_LEGEND, highlight=False)
            _advise(console, changes)
    return 1 if any(change.duplicated or change.failure for change in changes) else 0


_LEGEND: Final = (
    "unchanged: as PostHog has them; in place: replace what PostHog has; new: not sent yet; gone: PostHog has them, "
    "the mapping makes them no more; duplicated: would be there twice"
)


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
            table.add_row(str(change.day), versions, f"[red]{as_shown(change.failure)}[/red]")
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
