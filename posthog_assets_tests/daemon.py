"""Ticks as Dagster's daemon makes them: definitions in a file, a real instance on disk, runs launched for real.

Belongs here: what tests of sensors share. Does not belong here: what they expect.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus
from dagster._core.test_utils import InProcessTestWorkspaceLoadTarget, create_test_daemon_workspace_context
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._utils.log import get_dagster_logger

_AT_ONCE = {
    "run_launcher": {
        "module": "dagster._core.launcher.sync_in_memory_run_launcher",
        "class": "SyncInMemoryRunLauncher",
    },
    "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
}


@contextmanager
def instance_at(home: Path, *, queue: bool = False) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance on disk; open it again to restart.

    Its runs happen at once, in this process; with *queue* they stay queued, as before a daemon that is slow.
    """
    home.mkdir(exist_ok=True)
    overrides = {"telemetry": {"enabled": False}} | ({} if queue else _AT_ONCE)
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides)) as instance:
        yield instance


def definitions_file(folder: Path, attributes: dict[str, Any]) -> Path:
    """Write the definitions of one import as a file that Dagster loads."""
    file = folder / "definitions_of_the_test.py"
    file.write_text(
        "from posthog_assets.component import build_definitions\n"
        "from posthog_assets.import_file import Import\n"
        f"defs = build_definitions(Import.read({attributes!r}))\n"
    )
    return file


@dataclass
class Tick:
    """What one tick led to."""

    status: TickStatus
    days: list[str]
    skip_reason: str | None
    cursor: str | None
    error: str | None

    @property
    def failed(self) -> bool:
        return self.status is TickStatus.FAILURE


@dataclass
class Daemon:
    """Dagster's sensor daemon over the definitions in *file* (its attribute `defs`)."""

    instance: dg.DagsterInstance
    file: Path

    def tick(self, name: str) -> Tick:
        """Let the daemon evaluate its sensors once, with *name* switched on; return what became of that one."""
        # As in a process of its own.
        sys.modules.pop(self.file.stem, None)
        target = LoadableTargetOrigin(
            executable_path=None, python_file=str(self.file), attribute="defs", working_directory=str(self.file.parent)
        )
        origin = InProcessCodeLocationOrigin(target, location_name="tests")
        with create_test_daemon_workspace_context(InProcessTestWorkspaceLoadTarget(origin), self.instance) as context:
            location = next(iter(context.create_request_context().code_locations))
            sensor = next(iter(location.get_repositories().values())).get_sensor(name)
            self.instance.start_sensor(sensor)
            before = self._ticks(sensor)
            list(execute_sensor_iteration(context, get_dagster_logger("tests"), None, None))
            after = self._ticks(sensor)
            assert len(after) == len(before) + 1, "the sensor was not due: let more time pass between two ticks"
            return self._read(after[0])

    def _ticks(self, sensor: Any) -> list[InstigatorTick]:
        return list(self.instance.get_ticks(sensor.get_remote_origin_id(), sensor.selector_id))

    def _read(self, tick: InstigatorTick) -> Tick:
        runs = [self.instance.get_run_by_id(run_id) for run_id in tick.run_ids]
        days = [run.tags["dagster/partition"] for run in runs if run]
        error = tick.error.to_string() if tick.error else None
        return Tick(tick.status, days, tick.skip_reason, tick.cursor, error)
