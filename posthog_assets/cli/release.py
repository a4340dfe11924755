"""The command `posthog-assets release`.

Belongs here: what is printed. Does not belong here: the ledger (`pipeline.upkeep.release`).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from posthog_assets.cli.terminal import open_console
from posthog_assets.core.counted import counted
from posthog_assets.core.markup import as_shown
from posthog_assets.orchestration.find_imports import find_import
from posthog_assets.pipeline.upkeep.release import release_day


def run_release(name: str, day: date, project: Path | None, *, reason: str | None, dry_run: bool) -> int:
    """Make dropped events of a day owed again; returns 1 where there are none."""
    imp, console = find_import(name, project), open_console()
    released = release_day(imp, day, reason, dry_run=dry_run)
    if not released:
        which = f" for a reason that contains {reason!r}" if reason else ""
        console.print(as_shown(f"{name}: PostHog dropped no event of {day}{which}"), soft_wrap=True)
        return 1
    for words, count in released.most_common():
        # PostHog's words, and what they quote of events.
        console.print(f"{count:>9,}  {as_shown(words)}", soft_wrap=True)
    total = counted(released.total(), "event")
    if dry_run:
        console.print(f"{total} would be owed again; nothing was changed")
    else:
        console.print(
            f"{total} {'is' if released.total() == 1 else 'are'} owed again. To send "
            f"{'it' if released.total() == 1 else 'them'}: posthog-assets backfill {name} --from {day} --to {day} "
            "--assets imported_batches,landed_events",
            soft_wrap=True,
        )
    return 0
