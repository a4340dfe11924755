"""The command `posthog-assets init`.

Belongs here: what it asks and prints, and where the file goes. Does not belong here: looking at the data
(`pipeline.sniffing`).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Final

import click
from rich import box
from rich.console import Console
from rich.table import Table

from posthog_assets.cli.preview import sample_panel
from posthog_assets.cli.terminal import open_console
from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.markup import as_shown
from posthog_assets.orchestration.project_folder import defs_folder, make_project
from posthog_assets.pipeline.config.json_schema import schema_text
from posthog_assets.pipeline.preview.markdown import LEGEND
from posthog_assets.pipeline.sniffing.draft import Draft, sniff_files
from posthog_assets.pipeline.sniffing.evidence import Certainty
from posthog_assets.pipeline.sniffing.preview import preview_draft
from posthog_assets.pipeline.sniffing.tables import database_url, sniff_database
from posthog_assets.pipeline.sniffing.templates import template, template_names
from posthog_assets.pipeline.sniffing.yaml_text import draft_text, template_text

_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,63}")
_COLORS: Final = {Certainty.SURE: "green", Certainty.LIKELY: "cyan", Certainty.UNSURE: "yellow"}
_LEAST_READ: Final = 0.5
#: Fields of a record that are shown.
_FIELDS: Final = 16


def run_init(
    name: str | None,
    project: Path | None,
    *,
    where: str | None,
    source: str | None,
    table: str | None,
    options: dict[str, Any],
    columns: dict[str, str],
    force: bool,
    dry_run: bool,
) -> int:
    """Write the import file of a new import and show what its records become; returns the exit code."""
    # A dry run's output is the file: what else there is to see goes beside it.
    console = open_console(stderr=dry_run)
    if where is None and source is None:
        where, source = _asked()
    name = name or _name_from(where or source or "")
    if not _NAME.fullmatch(name):
        raise ImportFileError(
            f"name {name!r} must be a letter followed by letters, digits and underscores (at most 64)"
        )
    draft = None
    if where:
        with console.status("looking at the data"):
            url = database_url(where)
            draft = sniff_database(name, url, table, columns) if url else sniff_files(name, where, options, columns)
        _show(draft, console)
    sections = None if draft else template(source or "")
    if dry_run:
        click.echo(draft_text(draft) if draft else template_text(name, sections or ""), nl=False)
        return 0
    path, made = _place(name, project, force=force)
    schema = _write_schema(path)
    path.write_text(draft_text(draft, schema) if draft else template_text(name, sections or "", schema), "utf-8")
    if made:
        console.print(f"made a Dagster project around it: {as_shown(str(made))}", soft_wrap=True)
    console.print(f"[bold]wrote[/bold] {as_shown(str(path))}", soft_wrap=True)
    _next(name, draft, console)
    return 0


def _asked() -> tuple[str | None, str | None]:
    if not sys.stdin.isatty():
        raise ImportFileError(
            "say where the data is, --from PATH_OR_URL (a file, a folder, a glob, s3://…, a database's URL), or which "
            f"source it is, --source {'|'.join(template_names())}"
        )
    where = click.prompt("Where is the data? A file, folder, glob or URL; empty: choose a source", default="",
                         show_default=False)  # fmt: skip
    if where:
        return where, None
    return None, click.prompt("Which source", type=click.Choice(template_names()))


def _name_from(where: str) -> str:
    """Return a name for the import of *where*: the file's or folder's own, without dates and suffixes."""
    last = re.split(r"[?#]", where.rstrip("/"))[0].rsplit("/", 1)[-1].split(".")[0]
    words = [word for word in re.split(r"[^A-Za-z0-9]+", last) if word and not word.isdigit()]
    return re.sub(r"^[0-9_]+", "", "_".join(words).lower())[:64] or "events"


def _show(draft: Draft, console: Console) -> None:
    table = Table("", "found", "because", box=box.SIMPLE_HEAD, title="What the data shows", title_justify="left")
    for found in draft.findings:
        value = "none" if found.value is None else str(found.value)
        color = _COLORS[found.certainty]
        table.add_row(f"[{color}]{found.certainty}[/]", f"{found.setting}: {as_shown(value)}", as_shown(found.evidence))
    console.print(table)
    lost = {reason: count for reason, count in draft.rejected.items() if not reason.startswith("left out")}
    words = f"{draft.read:,} records were tried, {sum(lost.values()):,} of them would be rejected"
    if lost:
        words += ": " + "; ".join(
            f"{reason} ({count:,})" for reason, count in sorted(lost.items(), key=lambda i: -i[1])[:3]
        )
    console.print(as_shown(words), highlight=False)
    if draft.read and sum(lost.values()) > _LEAST_READ * draft.read:
        console.print("[yellow]Most of them are rejected: the guess is probably wrong.[/yellow]")
    samples = preview_draft(draft)
    console.print(f"\n[bold]{len(samples)} records as events[/bold]   {LEGEND}")
    for sample in samples:
        title = sample.after["event"] if sample.after else "rejected"
        console.print(sample_panel(sample, str(title), console, _FIELDS))


def _place(name: str, project: Path | None, *, force: bool) -> tuple[Path, Path | None]:
    """Return the path of the new import file, and the project that was made for it, if one was."""
    folder = defs_folder(project)
    made = None
    if folder is None:
        made = (project or Path.cwd()).resolve()
        folder = make_project(made)
    path = folder / name / "defs.yaml"
    if path.exists() and not force:
        raise ImportFileError(f"{path} exists already; choose another name, or replace it with --force")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path, made


def _write_schema(path: Path) -> str:
    """Write the JSON Schema beside the imports, for editors; returns its path as seen from the import file."""
    place = path.parent.parent / "import-file.schema.json"
    place.write_text(schema_text(), "utf-8")
    return f"../{place.name}"


def _next(name: str, draft: Draft | None, console: Console) -> None:
    unsure = draft.unsure if draft else []
    if unsure:
        names = ", ".join(dict.fromkeys(found.setting for found in unsure))
        console.print(f"[yellow]look at what is marked UNSURE in it: {as_shown(names)}[/yellow]", soft_wrap=True)
    day = f" --day {draft.sample_day}" if draft and draft.sample_day else ""
    command = f"posthog-assets preview {name}{day}" if draft else f"posthog-assets check {name}"
    console.print(f"[bold]next:[/bold] {command}", soft_wrap=True, highlight=False)
