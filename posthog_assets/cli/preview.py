"""The command `posthog-assets preview`.

Belongs here: a preview in a terminal. Does not belong here: any number, Markdown or HTML (`pipeline.preview`).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final

import click
from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from posthog_assets.cli.terminal import open_console
from posthog_assets.core.errors import shorten
from posthog_assets.core.markup import as_shown, visible
from posthog_assets.orchestration.find_imports import find_import
from posthog_assets.pipeline.preview import page
from posthog_assets.pipeline.preview.field_changes import Kind
from posthog_assets.pipeline.preview.markdown import LEGEND, difference_line, json_text, sample_title, sentences
from posthog_assets.pipeline.preview.markdown import markdown as as_markdown
from posthog_assets.pipeline.preview.preview import Preview, Sample, preview_day

_COLORS: Final = {Kind.KEPT: "", Kind.RENAMED: "cyan", Kind.CHANGED: "yellow", Kind.ADDED: "green", Kind.DROPPED: "red"}


def run_preview(name: str, day: date, project: Path | None, *, events: int, html: Path | None, markdown: bool) -> int:
    """Print a preview of *events* records of a day, or write it as a page."""
    console = open_console()
    with console.status(f"reading {as_shown(name)}, {day}") as waiting:
        imp = find_import(name, project)
        if imp.source.type == "files" and getattr(imp.source, "day_column", None):
            waiting.update(f"reading {as_shown(name)}, {day}; the first time, files of all days are split by day")
        seen = preview_day(imp, day, events)
    if html:
        html.write_text(page.html(seen), encoding="utf-8")
        click.echo(f"{html}: {name}, {seen.day}")
    elif markdown:
        click.echo(as_markdown(seen))
    else:
        show(seen, console)
    return 0


def show(preview: Preview, console: Console) -> None:
    """Print a preview."""
    console.print(f"[bold]{preview.import_name}, {preview.day}[/bold]: nothing is sent\n")
    for sentence in sentences(preview):
        console.print(as_shown(sentence), highlight=False)
    console.print()
    console.print(_counts("event", "rows", preview.events_by_name))
    if preview.rejected:
        console.print(_counts("rejected because", "rows", preview.rejected))
    if preview.fields_left_out:
        console.print(_counts("field left out", "records", preview.fields_left_out))
    if preview.remarks:
        console.print(_counts("remark", "records", preview.remarks))
    if preview.samples:
        console.print(LEGEND)
    for sample in preview.samples:
        console.print(sample_panel(sample, sample_title(sample), console))


def _counts(name: str, number: str, counts: dict[str, int]) -> Table:
    table = Table(name, box=box.SIMPLE_HEAD)
    table.add_column(number, justify="right")
    for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(as_shown(key), f"{count:,}")
    return table


def sample_panel(sample: Sample, title: str, console: Console, most: int | None = None) -> Panel:
    """Return a sample in a frame: as wide as a terminal, elsewhere no wider than its lines."""
    lines = sample_lines(sample, most)
    # A title that is a str would have pictures in place of `:package:`.
    name = Text(visible(title))
    return Panel(lines, title=name, title_align="left", box=box.ROUNDED, expand=console.is_terminal)


def sample_lines(sample: Sample, most: int | None = None) -> RenderableType:
    """Return a record beside what it becomes, a line a field (at most *most*), or why it is rejected."""
    if sample.after is None:
        return Group(f"[red]{as_shown(sample.reason or '')}[/red]", as_shown(shorten(json_text(sample.before), 1000)))
    found = sample.differences
    lines = [
        f"[{_COLORS[item.kind]}]{line}[/]" if _COLORS[item.kind] else line
        for item in found[:most]
        for line in [as_shown(difference_line(item))]
    ]
    more = [f"  … and {len(found) - most:,} fields more"] if most is not None and len(found) > most else []
    return Group(*lines, *more)
