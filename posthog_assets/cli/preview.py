"""The command `posthog-assets preview`.

Belongs here: a preview in a terminal and as HTML. Does not belong here: any number (`pipeline.preview`).
"""

from __future__ import annotations

import io
from typing import Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from posthog_assets.pipeline.preview.field_changes import Kind
from posthog_assets.pipeline.preview.markdown import LEGEND, _title, sample_lines, sentences
from posthog_assets.pipeline.preview.preview import Preview

_COLORS: Final = {Kind.KEPT: "", Kind.RENAMED: "cyan", Kind.CHANGED: "yellow", Kind.ADDED: "green", Kind.DROPPED: "red"}


def show(preview: Preview, console: Console) -> None:
    """Print a preview."""
    console.print(f"[bold]{preview.import_name}, {preview.day}[/bold]: nothing is sent\n")
    for sentence in sentences(preview):
        console.print(escape(sentence), highlight=False)
    console.print()
    console.print(_counts("event", "rows", preview.events_by_name))
    if preview.rejected:
        console.print(_counts("rejected because", "rows", preview.rejected))
    if preview.samples:
        console.print(LEGEND)
    for sample in preview.samples:
        console.print(Panel(sample_lines(sample), title=escape(_title(sample)), title_align="left", box=box.ROUNDED))


def _counts(name: str, number: str, counts: dict[str, int]) -> Table:
    table = Table(name, box=box.SIMPLE_HEAD)
    table.add_column(number, justify="right")
    for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(escape(key), f"{count:,}")
    return table


def html(preview: Preview) -> str:
    """Return a preview as a page."""
    console = Console(record=True, width=140, file=io.StringIO())
    show(preview, console)
    return console.export_html()
