"""The command `posthog-assets undo`.

Belongs here: the two files it writes, and what is printed. Does not belong here: which events are concerned
(`pipeline.upkeep.undo`).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from posthog_assets.cli.terminal import open_console
from posthog_assets.core.errors import VerificationError
from posthog_assets.core.markup import as_shown
from posthog_assets.orchestration.find_imports import find_import
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.preview.impact import imported_days
from posthog_assets.pipeline.upkeep.undo import Undo, deletion_query, mark_undone, plan_undo, still_there


def run_undo(
    name: str, project: Path | None, first: date | None, last: date | None, *, folder: Path, mark: bool
) -> int:
    """Write what PostHog's deletion of events takes, and with *mark* make the ledger owe those events again.

    Returns 1 where there is nothing to take back, or where *mark* is asked for while PostHog still has the events.
    """
    imp, console = find_import(name, project), open_console()
    days = imported_days(imp, first, last)
    folder.mkdir(parents=True, exist_ok=True)
    uuids = folder / f"{name}-undo-uuids.txt"
    with uuids.open("w", encoding="ascii") as file:
        undo = plan_undo(imp, days, file)
    if not undo.total:
        uuids.unlink()
        console.print(
            f"{as_shown(name)}: PostHog has acknowledged nothing of these days; there is nothing to take back"
        )
        return 1
    query = folder / f"{name}-undo.sql"
    query.write_text(deletion_query(imp, undo.days), encoding="utf-8")
    console.print(_table(name, undo))
    left = _left(imp, undo, console)
    if mark:
        return _mark(imp, undo, left, console)
    console.print(
        f"{query}: the query of uuids that PostHog deletes by\n{uuids}: the acknowledged uuids, one a line\n"
        "1. Ask PostHog to delete the events of the query.\n"
        "2. Run this command again: it says how many PostHog still has.\n"
        f"3. To import the days again, run posthog-assets undo {name} --mark with the same days, then backfill them.",
        markup=False,
        soft_wrap=True,
    )
    return 0


def _table(name: str, undo: Undo) -> Table:
    days = f"{undo.days[0]} to {undo.days[-1]}" if len(undo.days) > 1 else str(undo.days[0])
    table = Table(
        "event", box=box.SIMPLE_HEAD, show_footer=True, title=f"{as_shown(name)}, {days}", title_justify="left"
    )
    table.columns[0].footer = "all"
    table.add_column("acknowledged", justify="right", footer=f"{undo.total:,}")
    for event, count in undo.events.most_common():
        table.add_row(as_shown(event), f"{count:,}")
    return table


def _left(imp: Import, undo: Undo, console: Console) -> int | None:
    """Return how many of the events PostHog has now; None where that cannot be known."""
    if not imp.destination.verifies:
        console.print("Without destination.personal_api_key and project_id PostHog cannot be asked what it still has.")
        return None
    try:
        with console.status(f"asking {as_shown(imp.destination.app_host())}"):
            left = still_there(imp, undo.days)
    except VerificationError as error:
        console.print(f"PostHog could not be asked what it still has: {error}", markup=False, soft_wrap=True)
        return None
    console.print(f"PostHog has {left:,} events of these days now." if left else "PostHog has none of them any more.")
    return left


def _mark(imp: Import, undo: Undo, left: int | None, console: Console) -> int:
    if left:
        console.print(
            f"Nothing was marked: PostHog still has {left:,} of the events, and would get them a second time with what "
            "has changed since. Have them deleted first."
        )
        return 1
    marked = mark_undone(imp, undo.days)
    console.print(
        f"{marked:,} events are owed again. To send them: posthog-assets backfill {imp.name} --from {undo.days[0]} "
        f"--to {undo.days[-1]}",
        soft_wrap=True,
    )
    return 0
