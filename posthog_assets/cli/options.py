"""Arguments and options that several commands have, and what a shell completes them with.

Belongs here: their names, types and help. Does not belong here: options of a single command (`main`).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import click


class _Day(click.ParamType):  # type: ignore[type-arg] - older releases of click know no arguments
    """A calendar day, as in 2024-03-01."""

    name = "day"
    _moment = click.DateTime(["%Y-%m-%d"])

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        return self._moment.get_metavar(param, ctx)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        return self._moment.convert(value, param, ctx).date()


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


DAY = _Day()

import_name = click.argument("name", metavar="IMPORT", shell_complete=_imports)
any_import_name = click.argument("name", metavar="[IMPORT]", required=False, shell_complete=_imports)
project = click.option(
    "--project", type=click.Path(path_type=Path), default=None,
    help="A folder in the Dagster project with the import; default: the current one, else the demo's.",
)  # fmt: skip
partition = click.option("--day", required=True, type=DAY, help="The partition.")
first_day = click.option("--from", "first", type=DAY, help="First day; default: the import's.")
last_day = click.option("--to", "last", type=DAY, help="Last day; default: the import's.")
jobs = click.option(
    "--jobs", default=2, show_default=True, type=click.IntRange(1, 64), help="Days that run at the same time."
)
skip_check = click.option("--skip-check", is_flag=True, help="Begin in spite of what `check` finds.")
as_json = click.option("--json", "as_json", is_flag=True, help="For machines.")
