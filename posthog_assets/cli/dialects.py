"""The command `posthog-assets dialects`.

Belongs here: what it prints. Does not belong here: what a dialect does (`dialects.field_table`).
"""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from posthog_assets.cli.terminal import open_console
from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.markup import as_shown
from posthog_assets.dialects import DIALECTS
from posthog_assets.dialects.columns import Columns
from posthog_assets.dialects.field_table import Entry, as_markdown, mapping_table
from posthog_assets.dialects.straight import source_of
from posthog_assets.orchestration.find_imports import find_import


def show_dialects(
    name: str | None, project: Path | None = None, *, markdown: bool = False, source: bool = False
) -> int:
    """Print the dialects there are, the table of one, or with *source* what it is compiled to; return the exit code.

    With *source* the name may be that of an import in *project*: `columns` is compiled from its columns.

    Raises:
        ImportFileError: there is no dialect of that name.
    """
    if name is None:
        for known, dialect in sorted(DIALECTS.items()):
            print(f"{known:<14}{(dialect.__doc__ or '').strip().splitlines()[0]}")
        return 0
    if source:
        print(_source(name, project))
        return 0
    if name not in DIALECTS:
        raise ImportFileError(f"dialect {name!r} is unknown; there are: {', '.join(sorted(DIALECTS))}")
    entries = mapping_table(DIALECTS[name])
    if markdown:
        print(as_markdown(entries))
    else:
        _print(name, entries)
    return 0


def _source(name: str, project: Path | None) -> str:
    if name == "columns":
        raise ImportFileError(
            "dialect columns is compiled from the columns of an import: posthog-assets dialects IMPORT --source"
        )
    if name in DIALECTS:
        return source_of(DIALECTS[name])
    dialect = find_import(name, project).dialect
    return dialect.lines_source() if isinstance(dialect, Columns) else source_of(type(dialect))


def _print(name: str, entries: list[Entry]) -> None:
    table = Table("field", "becomes", "note", title=f"dialect {name}", title_justify="left")
    for entry in entries:
        table.add_row(*map(as_shown, entry))
    open_console().print(table)
