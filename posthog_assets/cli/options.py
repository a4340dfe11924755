"""Arguments and options that several commands have, and what a shell completes them with.

Belongs here: their names, types and help. Does not belong here: options of a single command (`main`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


class _Day(click.DateTime):
    """A day that a calendar has."""

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is no day of the calendar, written as 2024-03-01", param, ctx)


def _date(context: click.Context, option: click.Parameter, moment: datetime | None) -> date | None:
    return moment.date() if moment else None


def day_option(*names: str, **settings: Any) -> Callable[[Command], Command]:
    """Return an option whose value is a day, as in 2024-03-01; None where it is not given."""
    return click.option(*names, type=_Day(), metavar="YYYY-MM-DD", callback=_date, **settings)


def _writable(context: click.Context, option: click.Parameter, page: Path | None) -> Path | None:
    if page is not None and not page.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {page.absolute().parent}: make it, or name another one")
    return page


def page_option(**settings: Any) -> Callable[[Command], Command]:
    """Return the option `--html`, a file that can be written: refused before anything is read for it."""
    kind = click.Path(path_type=Path, dir_okay=False, writable=True)
    return click.option("--html", type=kind, callback=_writable, **settings)


def _imports(context: click.Context, argument: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of imports that begin so: their folders, since loading a project takes seconds."""
    from posthog_assets.orchestration.project_folder import import_folders

    return [name for name in import_folders(context.params.get("project")) if name.startswith(incomplete)]


def complete_dialects(context: click.Context, argument: click.Parameter, incomplete: str) -> list[str]:
    from posthog_assets.dialects import DIALECTS

    return [name for name in sorted(DIALECTS) if name.startswith(incomplete)]


def complete_sources(context: click.Context, argument: click.Parameter, incomplete: str) -> list[str]:
    from posthog_assets.pipeline.sniffing.templates import template_names

    return [name for name in template_names() if name.startswith(incomplete)]


import_name = click.argument("name", metavar="IMPORT", shell_complete=_imports)
any_import_name = click.argument("name", metavar="[IMPORT]", required=False, shell_complete=_imports)
project = click.option(
    "--project", type=click.Path(path_type=Path), default=None,
    help="A folder in the Dagster project with the import; default: the current one, else the demo's.",
)  # fmt: skip
partition = day_option("--day", required=True, help="The partition.")
first_day = day_option("--from", "first", help="First day; default: the import's.")
last_day = day_option("--to", "last", help="Last day; default: the import's.")
jobs = click.option(
    "--jobs", default=2, show_default=True, type=click.IntRange(1, 64), help="Days that run at the same time."
)
skip_check = click.option("--skip-check", is_flag=True, help="Begin in spite of what `check` finds.")
as_json = click.option("--json", "as_json", is_flag=True, help="For machines.")
