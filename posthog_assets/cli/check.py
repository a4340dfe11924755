"""The command `posthog-assets check`.

Belongs here: what is printed. Does not belong here: the questions (`destination.preflight`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from posthog_assets.destination.canary import canary
from posthog_assets.destination.preflight import OK, PROBLEM, WARNING, Finding, preflight
from posthog_assets.orchestration.local.project import find_import
from posthog_assets.pipeline.config.time_zones import time_zone_warning

_COLORS: Final = {OK: "green", WARNING: "yellow", PROBLEM: "red"}


def run_check(name: str, project: Path | None, *, canary: bool) -> int:
    """Print what is known of an import's destination, and what is in doubt; returns 1 where it would go wrong."""
    imp = find_import(name, project)
    findings = list(preflight(imp.destination, imp.start_date, imp.end_date))
    if words := time_zone_warning(imp.source, imp.dialect):
        findings.append(Finding(WARNING, "time zones", words))
    if canary and not any(finding.level == PROBLEM for finding in findings):
        findings.append(_canary(imp.destination, imp.start_date))
    table = Table("", "what", "found", title=f"{imp.name} → {imp.destination.host or 'nowhere'}", title_justify="left")
    for finding in findings:
        color = _COLORS[finding.level]
        table.add_row(f"[{color}]{finding.level}[/]", finding.subject, escape(finding.words))
    Console().print(table)
    return 1 if any(finding.level == PROBLEM for finding in findings) else 0


_canary = canary
