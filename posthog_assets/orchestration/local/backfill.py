"""Running many days in processes of this machine.

Belongs here: the progress bar, and what became of the days. Does not belong here: which days run (`cli.backfill`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from posthog_assets.core.markup import as_shown
from posthog_assets.orchestration.local.instance import BY, CALL, call_in_progress
from posthog_assets.orchestration.local.processes import Processes, Task
from posthog_assets.orchestration.local.project import ImportJob
from posthog_assets.orchestration.local.workers import DayRun, StopRequests, Workers

#: Exit codes: everything ran and succeeded, a day failed (or nothing could be begun), a person stopped it.
FINE: Final = 0


FAILED: Final = 1


STOPPED: Final = 130


@dataclass
class Ran:
    """The days that were run, oldest first, and how many were not begun because somebody stopped it."""

    days: list[DayRun] = field(default_factory=list)
    left: int = 0

    @property
    def failed(self) -> list[DayRun]:
        return [run for run in self.days if run.failure]

    @property
    def exit_code(self) -> int:
        return STOPPED if self.left else FAILED if self.failed else FINE


def run_days(
    job: ImportJob,
    instance: dg.DagsterInstance,
    project: Path | None,
    tasks: Sequence[Task],
    processes: Processes,
    by: str,
    console: Console,
) -> Ran:
    """Run *tasks* in *processes* under a progress bar; Ctrl-C lets the days under way end."""
    ran = Ran()
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with call_in_progress() as call, Progress(*columns, console=console) as bar:
        line = bar.add_task("starting", total=len(tasks))

        def finishing() -> None:
            bar.update(line, description="finishing (Ctrl-C: at once)")

        with (
            StopRequests(finishing) as stop,
            Workers(instance, job.imp.name, project, processes, {BY: by, CALL: call}) as workers,
        ):
            for run in workers.run(tasks, stop):
                ran.days.append(run)
                if run.failure:
                    bar.console.print(f"[red]{run.day}: {as_shown(reason_of(run))}[/red]", soft_wrap=True)
                if not stop.count:
                    bar.update(line, description=f"days, {len(ran.failed)} failed" if ran.failed else "days")
                bar.advance(line)
    ran.days.sort(key=lambda run: run.day)
    ran.left = len(tasks) - len(ran.days)
    return ran


def reason_of(run: DayRun) -> str:
    assert run.failure is not None
    return f"{run.failure.asset}: {run.failure.words}" if run.failure.asset else run.failure.words
