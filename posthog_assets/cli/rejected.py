"""The command `posthog-assets rejected`.

Belongs here: what is printed. Does not belong here: the rows (`pipeline.day_state.rejected`).
"""

from __future__ import annotations

import sys
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import orjson
from rich.table import Table

from posthog_assets.cli.terminal import open_console
from posthog_assets.core.markup import as_shown
from posthog_assets.core.rejection import reason_head
from posthog_assets.orchestration.find_imports import find_import
from posthog_assets.pipeline.day_state.rejected import rejections, was_staged
from posthog_assets.pipeline.verify import read_warnings


def show_rejected(name: str, day: date, project: Path | None, *, reason: str | None, limit: int) -> int:
    """Print the rejected and dropped events of a day, and how many there are by reason; returns the exit code."""
    imp = find_import(name, project)
    counts: Counter[tuple[str, str]] = Counter()
    shown: list[dict[str, Any]] = []
    for batch in rejections(imp.store, day):
        for row in batch.to_pylist():
            if reason and reason not in row["reason"]:
                continue
            counts[row["asset"], reason_head(row["reason"])] += 1
            if not limit:
                sys.stdout.write(orjson.dumps(row).decode() + "\n")
            elif len(shown) < limit:
                shown.append(row)
    if limit and not counts and not was_staged(imp.store, day):
        open_console().print(
            f"{day} of {imp.name} was never imported, or its files were pruned: nothing is known of rejected records. "
            f"posthog-assets preview {imp.name} --day {day} shows what it would become",
            soft_wrap=True,
        )
        return 1
    if limit:
        _print(imp.name, day, counts, shown)
        _print_warnings(read_warnings(imp.store, day))
    return 0


def _print_warnings(warnings: list[dict[str, str]]) -> None:
    """Print why PostHog does not have events that it acknowledged, or has them changed."""
    if not warnings:
        return
    table = Table("warning", "events", "meaning", "event", title="PostHog's ingestion warnings", title_justify="left")
    table.add_column("details", overflow="fold")
    for row in warnings:
        table.add_row(*(as_shown(row[key]) for key in ("warning", "events", "meaning", "event", "details")))
    console = open_console()
    console.print(table)
    console.print("One example of each: PostHog writes one warning for many events, so these are reasons, not counts.")


def _print(name: str, day: date, counts: Counter[tuple[str, str]], shown: list[dict[str, Any]]) -> None:
    console = open_console()
    if not counts:
        console.print(f"nothing of {name} was rejected or dropped on {day}")
        return
    summary = Table("asset", "reason", "events", title=f"{name}, {day}", title_justify="left")
    for (asset, reason), count in counts.most_common():
        summary.add_row(asset, as_shown(reason), f"{count:,}")
    console.print(summary)
    rows = Table("reason", "event", "distinct_id", "source id")
    rows.add_column("raw record", overflow="fold")
    for row in shown:
        place = f"{row['raw_part']}:{row['raw_line']}" if row["raw_part"] else ""
        rows.add_row(*(as_shown(str(row[key] or "")) for key in ("reason", "event", "distinct_id", "source_id")), place)
    console.print(rows)
    if counts.total() > len(shown):
        console.print(f"{len(shown):,} of {counts.total():,} shown; --limit 0 prints all as JSON lines")
