"""The command `posthog-assets`.

Belongs here: arguments and exit codes. Does not belong here: work; heavy modules are imported by the command that
needs them, so that `--help` answers at once.
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import click

from posthog_assets.cli import options
from posthog_assets.cli.garbage import garbage_looked_for_seldom
from posthog_assets.core.errors import PosthogAssetsError
from posthog_assets.core.markup import visible_lines


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="posthog_assets", prog_name="posthog-assets")
def cli() -> None:
    """Bring historical product-analytics data into PostHog."""


@cli.command()
@click.option(
    "--days", default=31, show_default=True, type=click.IntRange(1, 366), help="Days to import, from 2013-01-01 on."
)
@click.option("--port", default=8010, show_default=True, help="Port of the sandbox.")
def demo(days: int, port: int) -> None:
    """Import a real data set into a PostHog on this machine.

    A table at the end says what became of every record. Each day is a Dagster run of its own, recorded so that
    `dagster dev` shows it. Run it again: nothing is sent twice.
    """
    from posthog_assets.cli.demo import run_demo

    sys.exit(run_demo(days, port))


@cli.command()
@click.option("--port", default=8010, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option(
    "--data", type=click.Path(path_type=Path), default=None, help="Folder for the events; default ./data/sandbox."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--project-key", default=None, help="The one key whose events are stored; default: any phc_… key.")
@click.option(
    "--v1", type=click.Choice(["on", "unconfigured", "absent"]), default="on", show_default=True,
    help="How /i/v1/analytics/events behaves.",
)  # fmt: skip
def sandbox(port: int, data: Path | None, host: str, project_key: str | None, v1: str) -> None:
    """Run a PostHog on this machine, to try things out.

    It has the capture and query endpoints, over embedded ClickHouse. Its start page shows the events it has.
    """
    from posthog_assets.sandbox import serve

    sys.exit(serve(port=port, data=data or Path("data/sandbox"), project_key=project_key, host=host, v1=v1))


@cli.command()
@click.argument("name", metavar="[IMPORT]", required=False)
@click.option(
    "--from",
    "where",
    metavar="PATH_OR_URL",
    default=None,
    help="Where the data is: a file, a folder, a glob, s3://… and the like, or a database (URL, or SQLite file).",
)
@click.option(
    "--source",
    default=None,
    shell_complete=options.complete_sources,
    help="Write the commented template of this source instead.",
)
@click.option("--table", default=None, help="Of a database: this table, instead of the one that looks like events.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="ROLE=COLUMN",
    help="Which column is event, user_id, anonymous_id, timestamp or source_id, as in user_id=who; may be repeated.",
)
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="Passed to fsspec; may be repeated.")
@click.option("--force", is_flag=True, help="Replace an import file that exists.")
@click.option("--dry-run", is_flag=True, help="Print the file, write nothing.")
@options.project
def init(
    name: str | None,
    where: str | None,
    source: str | None,
    table: str | None,
    columns: tuple[str, ...],
    options: tuple[str, ...],
    force: bool,
    dry_run: bool,
    project: Path | None,
) -> None:
    """Write the import file for data that you point it at.

    It looks at the data, finds out whose records they are, and shows what five of them become. Without a Dagster
    project around the current folder it makes one.
    """
    from posthog_assets.cli.init import run_init
    from posthog_assets.pipeline.sniffing.columns import roles_of

    if where and source:
        raise click.UsageError("--from looks at data, --source writes a template: give one of them")
    if bad := next((option for option in options if "=" not in option), None):
        raise click.BadParameter(f"{bad!r} is not NAME=VALUE", param_hint="--option")
    try:
        roles = roles_of(columns)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--column") from None
    if roles and not where:
        raise click.UsageError("--column names columns of the data that --from points at: give both")
    chosen = dict(option.split("=", 1) for option in options)
    sys.exit(
        run_init(
            name, project, where=where, source=source, table=table, options=chosen, columns=roles, force=force,
            dry_run=dry_run,
        )
    )  # fmt: skip


@cli.command()
@options.any_import_name
@click.option("--canary", is_flag=True, help="Also send one event, which stays in the project, and look for it.")
@options.project
def check(name: str | None, canary: bool, project: Path | None) -> None:
    """Say what would go wrong, before anything is sent.

    It looks at the source's days and records, and at the destination's key, protocol and project. Without a name it
    checks all imports of the project. Exit code 1: one of them would go wrong.
    """
    from posthog_assets.cli.check import run_check

    sys.exit(run_check(name, project, canary=canary))


@cli.command()
@options.import_name
@options.partition
@click.option("--reason", default=None, help="Only reasons that contain this text.")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(0), help="Most rows; 0: all, as JSON lines."
)
@options.project
def rejected(name: str, day: date, reason: str | None, limit: int, project: Path | None) -> None:
    """Show which records of a day did not reach PostHog, and why.

    Each row has the reason and, as far as there is one, the place of the raw record: its file and line.
    """
    from posthog_assets.cli.rejected import show_rejected

    sys.exit(show_rejected(name, day, project, reason=reason, limit=limit))


@cli.command()
@options.import_name
@options.partition
@click.option("--events", default=10, show_default=True, type=click.IntRange(0, 10_000), help="Records to show.")
@options.page_option(default=None, help="Write a page instead.")
@click.option("--markdown", is_flag=True, help="Print Markdown instead.")
@options.project
def preview(name: str, day: date, events: int, html: Path | None, markdown: bool, project: Path | None) -> None:
    """Show what a day would become in PostHog. Sends nothing.

    It sets records beside their events, and says what sending the day would take.
    """
    from posthog_assets.cli.preview import run_preview

    sys.exit(run_preview(name, day, project, events=events, html=html, markdown=markdown))


@cli.command()
@options.import_name
@options.day_option("--from", "first", help="First day to look at.")
@options.day_option("--to", "last", help="Last day to look at.")
@click.option("--every", is_flag=True, help="Also days that this very version of the mapping has imported.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a day.")
@options.project
def changes(name: str, first: date | None, last: date | None, every: bool, as_json: bool, project: Path | None) -> None:
    """Show what a changed mapping would do to imported days. Sends and changes nothing."""
    from posthog_assets.cli.changes import show_changes

    sys.exit(show_changes(name, project, first, last, every=every, as_json=as_json))


@cli.command()
@click.argument("name", metavar="[DIALECT]", required=False, shell_complete=options.complete_dialects)
@click.option("--markdown", is_flag=True, help="As a Markdown table.")
@click.option(
    "--source",
    is_flag=True,
    help="Print the Python that reads its records, compiled from its tables; of the dialect columns name an import.",
)
@options.project
def dialects(name: str | None, markdown: bool, source: bool, project: Path | None) -> None:
    """List the dialects, or show what one makes of each field."""
    from posthog_assets.cli.dialects import show_dialects

    sys.exit(show_dialects(name, project, markdown=markdown, source=source))


@cli.command("list")
@options.as_json
@options.project
def list_imports(as_json: bool, project: Path | None) -> None:
    """List the imports of the project. Each with its days, source and dialect, and whether it can be loaded."""
    from posthog_assets.cli.list_imports import show_imports

    sys.exit(show_imports(project, as_json=as_json))


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the import file, for editors."""
    from posthog_assets.pipeline.config.json_schema import schema_text

    click.echo(schema_text(), nl=False)


@cli.command()
@options.import_name
@options.first_day
@options.last_day
@options.jobs
@click.option("--assets", multiple=True, metavar="NAME[,NAME]", help="Only these assets; default: all of them.")
@click.option("--missing", is_flag=True, help="Only days that are not complete: missing, failed, behind or owing.")
@options.skip_check
@options.project
def backfill(
    name: str,
    first: date | None,
    last: date | None,
    jobs: int,
    assets: tuple[str, ...],
    missing: bool,
    skip_check: bool,
    project: Path | None,
) -> None:
    """Import a range of days, each as a Dagster run of its own.

    A day that fails does not stop the others. Days that are imported already are looked at and nothing is sent twice.
    """
    from posthog_assets.cli.backfill import run_backfill

    sys.exit(
        run_backfill(
            name, project, first=first, last=last, jobs=jobs, assets=assets, missing=missing,
            check=not skip_check,
        )
    )  # fmt: skip


@cli.command("retry-failed")
@options.import_name
@options.first_day
@options.last_day
@options.jobs
@click.option("--dry-run", is_flag=True, help="Say what would run again, and why; start nothing.")
@options.skip_check
@options.project
def retry_failed(
    name: str,
    first: date | None,
    last: date | None,
    jobs: int,
    dry_run: bool,
    skip_check: bool,
    project: Path | None,
) -> None:
    """Run again what failed or owes events. What is made from it runs again too; nothing else does."""
    from posthog_assets.cli.backfill import run_retry

    sys.exit(
        run_retry(
            name, project, first=first, last=last, jobs=jobs, dry_run=dry_run, check=not skip_check
        )
    )  # fmt: skip


@cli.command()
@options.import_name
@options.as_json
@options.project
def status(name: str, as_json: bool, project: Path | None) -> None:
    """Show the state of an import's days, and what to do next.

    It says why days failed and which events are owed. Exit code 1: a day has failed or has too many rejected records.
    """
    from posthog_assets.cli.status import run_status

    sys.exit(run_status(name, project, as_json=as_json))


@cli.command()
@options.import_name
@options.project
def history(name: str, project: Path | None) -> None:
    """Find first times and persons' links over all staged days.

    It also finds merges that PostHog will refuse, and large persons. Materializes `history_facts`, of which the
    mapping takes `first_time` and `since_previous`. Sends nothing.
    """
    from posthog_assets.cli.history import run_history

    sys.exit(run_history(name, project))


@cli.command()
@options.import_name
@click.option("--dry-run", is_flag=True, help="Say what would go, and what stays and why; delete nothing.")
@options.project
def prune(name: str, dry_run: bool, project: Path | None) -> None:
    """Delete stored files of imported days, to free space.

    What goes is what the import file's `retention` says, and what killed processes left. Never what is owed, failed
    or not imported; never the ledger, manifests and tables of rejected events.
    """
    from posthog_assets.cli.prune import run_prune

    sys.exit(run_prune(name, project, dry_run=dry_run))


@cli.command()
@options.import_name
@options.first_day
@options.last_day
@options.page_option(required=True, help="The page to write.")
@options.project
def report(name: str, first: date | None, last: date | None, html: Path, project: Path | None) -> None:
    """Write a page about an import, to read in a browser.

    It shows days, events, rejects, what landed, and what needs attention.
    """
    from posthog_assets.cli.report import run_report

    sys.exit(run_report(name, project, first, last, html=html))


@cli.command()
@options.import_name
@options.first_day
@options.last_day
@options.project
def compare(name: str, first: date | None, last: date | None, project: Path | None) -> None:
    """Compare an import with the numbers of its source.

    It counts per day and event, as the import file's `source_counts` says. Sends nothing. Exit code 1: something
    differs, and what the import knows of its records does not explain it.
    """
    from posthog_assets.cli.compare import run_compare

    sys.exit(run_compare(name, project, first, last))


@cli.command()
@options.import_name
@options.project
def traces(name: str, project: Path | None) -> None:
    """Leave an annotation or a cohort of an import in PostHog.

    The import file's `traces` says what: an annotation, a cohort of the imported persons, descriptions of events.
    """
    from posthog_assets.cli.traces import run_traces

    sys.exit(run_traces(name, project))


@cli.command()
@options.import_name
@options.first_day
@options.last_day
@click.option(
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder of the query and the list of uuids; default: this one.",
)
@click.option("--mark", is_flag=True, help="PostHog has deleted them: owe them again, so that they can be imported.")
@options.project
def undo(name: str, first: date | None, last: date | None, folder: Path, mark: bool, project: Path | None) -> None:
    """Take an import back: have PostHog delete its events.

    It writes the query by which PostHog deletes them, and counts what PostHog still has. It deletes nothing itself.
    """
    from posthog_assets.cli.undo import run_undo

    sys.exit(run_undo(name, project, first, last, folder=folder, mark=mark))


@cli.command()
@options.import_name
@options.partition
@click.option("--reason", default=None, help="Only events whose reason contains this text; default: all of them.")
@click.option("--dry-run", is_flag=True, help="Say what would be released; change nothing.")
@options.project
def release(name: str, day: date, reason: str | None, dry_run: bool, project: Path | None) -> None:
    """Have events sent again that PostHog dropped.

    Run it once the cause is gone: the events are owed again, and the next delivery sends them.
    """
    from posthog_assets.cli.release import run_release

    sys.exit(run_release(name, day, project, reason=reason, dry_run=dry_run))


def main() -> None:
    """Run the command line; our own errors become one sentence and exit code 1."""
    try:
        with garbage_looked_for_seldom():
            cli(standalone_mode=False)
    except PosthogAssetsError as error:
        click.echo(f"posthog-assets: {visible_lines(str(error))}", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; running the same command again goes on from here", err=True)
        sys.exit(130)
