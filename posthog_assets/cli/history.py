"""The command `posthog-assets history`.

Belongs here: what it prints. Does not belong here: what is found (`history_facts`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from posthog_assets.cli.terminal import open_console
from posthog_assets.core.markup import as_shown
from posthog_assets.orchestration.find_imports import find_import
from posthog_assets.pipeline.history_facts import HistoryReport, find_history_facts


def run_history(name: str, project: Path | None) -> int:
    """Find the facts of all staged days of an import, and print what stands out; returns the exit code."""
    imp, console = find_import(name, project), open_console()
    report = find_history_facts(imp, lambda step: console.print(f"[dim]{step}[/dim]"))
    show(name, report, console, asks=imp.mapping.asks_history)
    return 0


def show(name: str, report: HistoryReport, console: Console, *, asks: bool) -> None:
    """Print a report."""
    console.print(
        f"{name}: {report.events:,} events of {report.persons:,} persons on {report.days:,} staged days; "
        f"{report.links:,} pairs of ids, of which PostHog will refuse to merge {report.refused_merges:,}; "
        f"{report.shared_devices:,} devices of several users ({report.seconds:,.1f} s)"
    )
    _table(console, "largest persons", report.largest_persons)
    _table(console, "persons of very many anonymous ids", report.persons_with_many_ids)
    _table(console, "devices of the most users", report.most_shared_devices)
    if report.changed_days:
        console.print(
            f"{len(report.changed_days):,} mapped days were made of other facts; materialize posthog_events and "
            f"imported_batches of them again: {', '.join(report.changed_days)}",
            soft_wrap=True,
        )
    elif asks:
        console.print("every mapped day was made of these facts")


def _table(console: Console, title: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for name in rows[0]:
        table.add_column(name)
    for row in rows:
        table.add_row(*(as_shown(f"{value:,}" if isinstance(value, int) else str(value)) for value in row.values()))
    console.print(table)
