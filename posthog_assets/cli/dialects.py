"""The command `posthog-assets dialects`.

Belongs here: what it prints. Does not belong here: what a dialect does (`dialects.field_table`).
"""

from __future__ import annotations

from rich.table import Table

from posthog_assets.cli.terminal import open_console
from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.markup import as_shown
from posthog_assets.dialects import DIALECTS
from posthog_assets.dialects.field_table import Entry, as_markdown, mapping_table
from posthog_assets.dialects.straight import source_of


def show_dialects(name: str | None, *, markdown: bool = False, source: bool = False) -> int:
    """Print the dialects there are, the table of one, or with *source* what it is compiled to; return the exit code.

    Raises:
        ImportFileError: there is no dialect of that name.
    """
    if name is None:
        for known, dialect in sorted(DIALECTS.items()):
            print(f"{known:<14}{(dialect.__doc__ or '').strip().splitlines()[0]}")
        return 0
    if name not in DIALECTS:
        raise ImportFileError(f"dialect {name!r} is unknown; there are: {', '.join(sorted(DIALECTS))}")
    if source:
        print(source_of(DIALECTS[name]))
        return 0
    entries = mapping_table(DIALECTS[name])
    if markdown:
        print(as_markdown(entries))
    else:
        _print(name, entries)
    return 0


def _print(name: str, entries: list[Entry]) -> None:
    table = Table("field", "becomes", "note", title=f"dialect {name}", title_justify="left")
    for entry in entries:
        table.add_row(*map(as_shown, entry))
    open_console().print(table)
