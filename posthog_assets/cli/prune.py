"""The command `posthog-assets prune`.

Belongs here: what it prints. Does not belong here: what goes and what stays (`prune`).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from posthog_assets.cli.terminal import open_console
from posthog_assets.core.markup import as_shown
from posthog_assets.orchestration.find_imports import find_import
from posthog_assets.pipeline.config.retention import PRUNABLE
from posthog_assets.pipeline.upkeep.prune import Pruning, prune


def run_prune(name: str, project: Path | None, *, dry_run: bool) -> int:
    """Prune an import by its policy, or say what would go; returns the exit code."""
    imp = find_import(name, project)
    console = open_console()
    if not imp.retention.prunes:
        console.print(
            f"{name} keeps everything: its import file has no retention, such as retention: {{raw_export: 90}}. Only "
            "what killed processes left is looked for"
        )
    show(name, prune(imp, dry_run=dry_run), console, dry_run=dry_run)
    return 0


def show(name: str, done: Pruning, console: Console, *, dry_run: bool) -> None:
    """Print what went, or would go, and why other days stay."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for column in ("asset", "days", "first", "last", "bytes"):
        table.add_column(column, justify="left" if column == "asset" else "right")
    for asset in PRUNABLE:
        some = [item for item in done.pruned if item.asset == asset]
        if some:
            days = [item.day for item in some]
            size = sum(item.bytes for item in some)
            table.add_row(asset, f"{len(some):,}", str(min(days)), str(max(days)), f"{size:,}")
    if table.row_count:
        console.print(table)
    for leftover in done.leftovers:
        console.print(f"{leftover.why}: {as_shown(leftover.place)}, {leftover.bytes:,} bytes", soft_wrap=True)
    for why, days in done.left.items():
        console.print(f"{len(days):,} {'day stays' if len(days) == 1 else 'days stay'}: {as_shown(why)}: {_few(days)}")
    console.print(f"{name}: {done.bytes:,} bytes {'would be freed' if dry_run else 'freed'}")


def _few(days: list[date]) -> str:
    shown = ", ".join(day.isoformat() for day in days[:3])
    return f"{shown} and {len(days) - 3:,} more" if len(days) > 3 else shown
