"""The command `posthog-assets list`.

Belongs here: what is printed. Does not belong here: loading (`orchestration.find_imports`).
"""

from __future__ import annotations

import sys
from pathlib import Path

import orjson
from rich.table import Table

from posthog_assets.cli.terminal import open_console
from posthog_assets.core.markup import as_shown
from posthog_assets.orchestration.find_imports import all_imports
from posthog_assets.orchestration.project_folder import find_project


def show_imports(project: Path | None, *, as_json: bool) -> int:
    """Print the imports of a project; returns 1 where one cannot be loaded."""
    found, broken = all_imports(project)
    rows = [
        {
            "import": name,
            "first_day": imp.start_date.isoformat(),
            "last_day": imp.end_date.isoformat() if imp.end_date else None,
            "source": imp.source.type,
            "dialect": imp.dialect.type.rsplit(".", 1)[-1],
            "destination": imp.destination.host,
        }
        for name, imp in sorted(found.items())
    ]
    if as_json:
        sys.stdout.write(orjson.dumps({"imports": rows, "broken": broken}, option=orjson.OPT_INDENT_2).decode() + "\n")
        return 1 if broken else 0
    console = open_console()
    table = Table("import", "first day", "last day", "source", "dialect", "destination")
    for row in rows:
        table.add_row(*(as_shown(str(value or "")) for value in row.values()))
    console.print(table)
    for place, why in broken.items():
        console.print(f"[red]{as_shown(place)} cannot be loaded: {as_shown(why)}[/red]", soft_wrap=True)
    console.print(f"project: {as_shown(str(find_project(project)))}", soft_wrap=True, highlight=False)
    return 1 if broken else 0
