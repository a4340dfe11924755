"""Dagster's own record of runs: opening it, and runs whose process is gone.

Belongs here: questions to one instance about single runs. Does not belong here: what an import's days amount to
(`day_states`), starting runs (`workers`).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import dagster as dg
from dagster import DagsterInstance, RunsFilter
from filelock import FileLock, Timeout

from posthog_assets.core.errors import ImportFileError

#: The run's tag that names the command which started it.
BY: Final = "posthog_assets/by"


#: The run's tag that names one call of a command.
CALL: Final = "posthog_assets/call"


_FOLDER: Final = "posthog_assets"


_UNFINISHED: Final = [
    status for status in dg.DagsterRunStatus if status.name in ("NOT_STARTED", "STARTING", "STARTED", "CANCELING")
]


def home() -> Path:
    """Return the folder of Dagster's history: $DAGSTER_HOME, else .dagster_home in the working folder."""
    return Path(os.environ.get("DAGSTER_HOME") or ".dagster_home").absolute()


@contextmanager
def opened_instance(*, create: bool = False) -> Iterator[DagsterInstance]:
    """Yield the instance of `home()`.

    Raises:
        ImportFileError: there is none, and it is not to be created.
    """
    folder = home()
    if not folder.is_dir():
        if not create:
            raise ImportFileError(
                f"there is no Dagster history in {folder}: set DAGSTER_HOME, or go to the folder with .dagster_home"
            )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    os.environ["DAGSTER_HOME"] = str(folder)
    (folder / _FOLDER).mkdir(exist_ok=True)
    # Two processes that create Dagster's database at the same moment break each other.
    with FileLock(folder / _FOLDER / "open"):
        instance = DagsterInstance.get()
        # The first question creates what is missing.
        instance.get_runs_count()
        instance.event_log_storage.get_maximum_record_id()
    with instance:
        yield instance


def mark_failed(instance: DagsterInstance, run_id: str, words: str) -> None:
    """End a run whose process is gone, and free its places in Dagster's pools; a finished run stays as it is."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return
    instance.report_run_failed(run, words)
    if instance.event_log_storage.supports_global_concurrency_limits:
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)


@contextmanager
def call_in_progress() -> Iterator[str]:
    """Yield a new name for this call of a command; while the block runs others can see that its process lives.

    The lock dies with the process, so runs of a call that was killed are known for what they are.
    """
    call = uuid.uuid4().hex[:12]
    path = home() / _FOLDER / f"{call}.call"
    with FileLock(path):
        try:
            yield call
        finally:
            path.unlink(missing_ok=True)


def sweep(instance: DagsterInstance) -> int:
    """Mark the unfinished runs of calls that were killed as failed, so that they can be found; returns how many."""
    count = 0
    for path in sorted((home() / _FOLDER).glob("*.call")):
        with suppress(FileNotFoundError, Timeout), FileLock(path, timeout=0):
            for run in instance.get_runs(RunsFilter(tags={CALL: path.stem}, statuses=_UNFINISHED)):
                mark_failed(instance, run.run_id, "The process that ran this day was killed; run the day again")
                count += 1
            path.unlink(missing_ok=True)
    return count
