"""The command `posthog-assets compare`.

Belongs here: what it prints. Does not belong here: the comparison (`pipeline.source_counts`).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table

from posthog_assets.cli.terminal import open_console
from posthog_assets.core.markup import as_shown
from posthog_assets.orchestration.find_imports import find_import
from posthog_assets.pipeline.source_counts import Comparison, compare_with_source

_SHOWN: Final = 20
_COLUMNS: Final = ("source", "arrived", "rejected", "left_out", "repeated", "dropped", "owed", "unnamed", "unexplained")


def run_compare(name: str, project: Path | None, first: date | None, last: date | None) -> int:
    """Compare and print; returns 1 where something differs unexplained."""
    imp, console = find_import(name, project), open_console()
    with console.status(f"{as_shown(name)}: counting"):
        found = compare_with_source(imp, first, last)
    show(name, found, console)
    return 1 if found.differing else 0


def show(name: str, found: Comparison, console: Console) -> None:
    """Print what was found: the days and events that differ, or that none does."""
    console.print(f"{as_shown(name)}: {as_shown(found.words)}", soft_wrap=True)
    if found.not_asked:
        console.print(f"Not compared: {as_shown(', '.join(found.not_asked[:_SHOWN]))}", soft_wrap=True)
    if not found.differing:
        return
    table = Table("day", "event", box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for column in _COLUMNS:
        table.add_column(column, justify="right")
    for row in found.differing[:_SHOWN]:
        table.add_row(str(row.day), as_shown(row.event), *(f"{getattr(row, column):,}" for column in _COLUMNS))
    console.print(table)
    if len(found.differing) > _SHOWN:
        console.print(f"{len(found.differing) - _SHOWN:,} more")
