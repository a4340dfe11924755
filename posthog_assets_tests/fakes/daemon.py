"""Ticks as Dagster's daemon makes them: definitions in a file, a real instance on disk, runs launched for real.

Belongs here: what tests of sensors share. Does not belong here: what they expect.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import time_machine
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.scheduler.instigation import InstigatorTick, SensorInstigatorData, TickStatus
from dagster._core.test_utils import InProcessTestWorkspaceLoadTarget, create_test_daemon_workspace_context
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._utils.log import get_dagster_logger

from posthog_assets_tests.conftest import small_attributes

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
        "from posthog_assets.orchestration.component import build_definitions\n"
        "from posthog_assets.pipeline.config.import_file import Import\n"
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


NOON = datetime(2024, 3, 5, 12, tzinfo=UTC)


class World:
    """A folder of exports, a clock that only the test moves, and a daemon that can be restarted."""

    def __init__(self, folder: Path, host: str, **automation: Any) -> None:
        self.folder = folder
        self.now = NOON
        self.queue = False
        self.attributes = small_attributes(
            folder,
            destination={"host": host, "project_api_key": "phc_any"},
            automation=automation,
        )

    def write(self, day: str, *users: str, age: timedelta = timedelta(hours=1)) -> None:
        """Write the day's export as it would look had it been written *age* ago."""
        records = [{"id": f"{day}-{user}", "user": user, "at": f"{day}T10:00:00Z", "what": "visit"} for user in users]
        file = self.folder / f"exports/{day}.jsonl"
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(json.dumps(record) + "\n" for record in records))
        moment = (self.now - age).timestamp()
        os.utime(file, (moment, moment))

    @contextmanager
    def daemon(self) -> Iterator[Daemon]:
        with instance_at(self.folder / "home", queue=self.queue) as instance:
            yield Daemon(instance, definitions_file(self.folder, self.attributes))

    def tick(self, sensor: str, after: timedelta = timedelta(minutes=10)) -> Tick:
        """Let time pass and the daemon, started again, evaluate the sensor `small_<sensor>` once."""
        self.now += after
        with time_machine.travel(self.now, tick=True), self.daemon() as daemon:
            return daemon.tick(f"small_{sensor}")

    def set_cursor(self, text: str) -> None:
        """Put *text* in the place of the sensor's cursor, as a person or another version could."""
        with self.daemon() as daemon:
            (state,) = daemon.instance.all_instigator_state()
            assert isinstance(state.instigator_data, SensorInstigatorData)
            daemon.instance.update_instigator_state(state.with_data(state.instigator_data._replace(cursor=text)))

    def sent(self, day: str) -> int:
        """Return how many events the last run of the day sent."""
        with self.daemon() as daemon:
            record = daemon.instance.get_latest_materialization_event(dg.AssetKey(["small", "imported_batches"]))
            assert record
            assert record.asset_materialization
            assert record.asset_materialization.partition == day
            return int(record.asset_materialization.metadata["sent"].value)  # type: ignore[arg-type]
