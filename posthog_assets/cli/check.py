"""The command `posthog-assets check`.

Belongs here: what is printed. Does not belong here: the questions (`destination.preflight`,
`pipeline.source_look`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from posthog_assets.cli.terminal import open_console
from posthog_assets.core.markup import as_shown
from posthog_assets.destination.canary import canary
from posthog_assets.destination.preflight import OK, PROBLEM, WARNING, Finding, preflight
from posthog_assets.orchestration.find_imports import all_imports, find_import
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.config.time_zones import time_zone_warning
from posthog_assets.pipeline.import_group_types import declared_group_types
from posthog_assets.pipeline.source_look import look_at_source

_COLORS: Final = {OK: "green", WARNING: "yellow", PROBLEM: "red"}


def run_check(name: str | None, project: Path | None, *, canary: bool) -> int:
    """Print what is known of an import's source and destination, of all imports without a name.

    Returns 1 where one of them would go wrong, or cannot be loaded.
    """
    console = open_console()
    if name is not None:
        return _check(find_import(name, project), console, canary=canary)
    found, broken = all_imports(project)
    codes = [_check(imp, console, canary=canary) for _, imp in sorted(found.items())]
    for place, why in broken.items():
        console.print(f"[red]{as_shown(place)} cannot be loaded: {as_shown(why)}[/red]", soft_wrap=True)
    if not found and not broken:
        console.print("This project has no import; posthog-assets init writes one.")
    return 1 if broken or any(codes) else 0


def _check(imp: Import, console: Console, *, canary: bool) -> int:
    with console.status(f"{as_shown(imp.name)}: looking at the source") as waiting:
        findings = [] if imp.raw_owner != imp.name else list(look_at_source(imp))
        waiting.update(f"{as_shown(imp.name)}: asking {as_shown(imp.destination.host or 'nothing')}")
        findings += preflight(
            imp.destination, imp.start_date, imp.end_date,
            group_types=declared_group_types(imp), events=[name for name in imp.mapping.events.values() if name],
        )  # fmt: skip
        if words := time_zone_warning(imp.source, imp.dialect):
            findings.append(Finding(WARNING, "time zones", words))
        if canary and not any(finding.level == PROBLEM for finding in findings):
            findings.append(_canary(imp.destination, imp.start_date))
    table = Table("", "what", "found", title=f"{imp.name} → {imp.destination.host or 'nowhere'}", title_justify="left")
    for finding in findings:
        color = _COLORS[finding.level]
        table.add_row(f"[{color}]{finding.level}[/]", finding.subject, as_shown(finding.words))
    console.print(table)
    return 1 if any(finding.level == PROBLEM for finding in findings) else 0


_canary = canary
