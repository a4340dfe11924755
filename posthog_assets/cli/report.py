"""The command `posthog-assets report`.

Belongs here: which days are on the page, and why some failed. Does not belong here: the page (`pipeline.report`).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from rich.console import Console

from posthog_assets.orchestration.local.report import import_report


def run_report(name: str, project: Path | None, first: date | None, last: date | None, *, html: Path) -> int:
    """Write the page about an import to *html*; returns the exit code."""
    text, days = import_report(name, project, first, last)
    html.write_text(text, encoding="utf-8")
    Console().print(f"{html}: {len(days):,} days of {name}", markup=False, soft_wrap=True)
    return 0
