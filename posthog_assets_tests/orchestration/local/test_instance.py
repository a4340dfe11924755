"""Dagster's own record of runs: opening it, and runs whose process is gone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.orchestration.local.instance import (
    CALL,
    call_in_progress,
    home,
    mark_failed,
    opened_instance,
    sweep,
)

Status = dg.DagsterRunStatus


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that is Dagster's home; it does not exist yet."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def add_run(instance: dg.DagsterInstance, call: str, status: dg.DagsterRunStatus) -> str:
    run = dg.DagsterRun("import_small", status=status, tags={CALL: call})
    return instance.add_run(run).run_id


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_home_it_is_a_folder_beside_the_project(
    value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if value is None:
        monkeypatch.delenv("DAGSTER_HOME")
    else:
        monkeypatch.setenv("DAGSTER_HOME", value)
    assert home() == tmp_path / ".dagster_home"


def test_a_home_that_is_not_to_be_created_is_refused_and_nothing_is_written(folder: Path) -> None:
    with pytest.raises(ImportFileError, match=f"^there is no Dagster history in {folder}: set DAGSTER_HOME, or go to"):
        with opened_instance():
            pass
    assert not folder.exists()


def test_a_new_home_reports_nothing_to_dagster_and_one_with_settings_keeps_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("DAGSTER_HOME", "home")
    with opened_instance(create=True) as first:
        assert first.root_directory == str(folder)
    settings = folder / "dagster.yaml"
    assert settings.read_text() == "telemetry:\n  enabled: false\n"
    # What the command starts finds the same one, wherever it is.
    assert os.environ["DAGSTER_HOME"] == str(folder)
    settings.write_text("telemetry:\n  enabled: true\n")
    with opened_instance(create=True) as second:
        assert second.telemetry_enabled


def test_runs_of_a_call_that_was_killed_are_failed_and_those_of_one_that_lives_go_on(
    instance: dg.DagsterInstance, folder: Path
) -> None:
    with call_in_progress() as living:
        (folder / "posthog_assets/dead.call").touch()
        dead = [add_run(instance, "dead", one) for one in (Status.STARTED, Status.NOT_STARTED, Status.SUCCESS)]
        alive = add_run(instance, living, Status.STARTED)
        assert sweep(instance) == 2
        assert [status(instance, run) for run in (*dead, alive)] == [
            Status.FAILURE, Status.FAILURE, Status.SUCCESS, Status.STARTED,
        ]  # fmt: skip
        assert [path.stem for path in folder.glob("posthog_assets/*.call")] == [living]
    assert list(folder.glob("posthog_assets/*.call")) == []
    assert sweep(instance) == 0


def test_a_run_that_is_finished_or_unknown_is_left_as_it_is(instance: dg.DagsterInstance) -> None:
    done = add_run(instance, "any", Status.CANCELED)
    mark_failed(instance, done, "gone")
    mark_failed(instance, "00000000-0000-0000-0000-000000000000", "gone")
    assert status(instance, done) is Status.CANCELED
