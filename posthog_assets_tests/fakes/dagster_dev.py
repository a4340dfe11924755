"""`dagster dev` on a project of its own, and the questions the UI itself asks of it.

Belongs here: starting, asking, stopping. It knows nothing about events.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

import orjson
import urllib3

ROOT = Path(__file__).resolve().parents[2]

_PROJECT = """
[build-system]
requires = ["hatchling"]
[project]
name = "shop_project"
version = "0"
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "shop_project"
"""
_DEFINITIONS = """
from pathlib import Path
import dagster as dg

@dg.definitions
def defs():
    loaded = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    return dg.Definitions.merge(loaded, dg.Definitions(executor=dg.in_process_executor))
"""

#: Settings that Dagster does not have, for tests to wait less: its daemons look every two seconds instead of every 30,
#: Python does not look for garbage while it loads modules, the processes of runs are forked from one that has loaded
#: the libraries, instead of loading them each, and its history is not forced to the disk after every entry (processes
#: are killed here, the machine is not).
_SITECUSTOMIZE = """
import gc
import multiprocessing
import sqlite3
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from multiprocessing import forkserver

gc.set_threshold(50_000)

def look_often(module):
    init = module.IntervalDaemon.__init__

    def often(self, interval_seconds, **more):
        init(self, min(interval_seconds, 2), **more)

    module.IntervalDaemon.__init__ = often

def look_often_for_backfills(module):
    module.DEFAULT_DAEMON_INTERVAL_SECONDS = 2

def fork_runs(module):
    init = module.DagsterApiServer.__init__

    def forking(self, *arguments, **more):
        init(self, *arguments, **more)
        self._mp_ctx = multiprocessing.get_context("forkserver")
        self._mp_ctx.set_forkserver_preload(PRELOADED)
        forkserver.ensure_running()

    module.DagsterApiServer.__init__ = forking

PRELOADED = [
    "dagster._grpc.impl", "dagster._grpc.server", "dagster._core.storage.sqlite_storage", "pandas", "pyarrow.acero",
    "posthog_assets.orchestration.component",
]
CHANGED = {
    "dagster._daemon.daemon": look_often,
    "dagster._daemon.controller": look_often_for_backfills,
    "dagster._grpc.server": fork_runs,
}

class Changes(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        change = CHANGED.pop(name, None)
        if change is None:
            return None
        spec = PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            change(module)

        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Changes())

class Unforced(sqlite3.Connection):
    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.execute("PRAGMA synchronous=OFF").close()

connect = sqlite3.connect
sqlite3.connect = sqlite3.dbapi2.connect = lambda *given, **more: connect(*given, **{"factory": Unforced} | more)
"""

T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what: str, ask: Callable[[], T | None], seconds: float = 300) -> T:
    """Return the first answer of *ask* that is true; fails after *seconds*."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.25)
    return answer


@dataclass(frozen=True)
class Run:
    """A run as the UI lists it; `steps` None: all of the assets."""

    id: str
    status: str
    day: str
    assets: list[tuple[str, ...]]
    steps: list[str] | None

    @classmethod
    def read(cls, found: dict[str, Any]) -> Run:
        tags = {tag["key"]: tag["value"] for tag in found["tags"]}
        chosen = found["assetSelection"] or [asset["key"] for asset in found["assets"]]
        return cls(
            found["runId"], found["status"], tags.get("dagster/partition", ""),
            sorted(tuple(key["path"]) for key in chosen), found["stepKeysToExecute"],
        )  # fmt: skip

    @property
    def ended(self) -> bool:
        return self.status in ("SUCCESS", "FAILURE", "CANCELED")


class DagsterDev:
    """A running `dagster dev` with the import files *imports* (name -> YAML), its history in a folder of its own.

    Use as a context manager; `seconds` says how long it took until the code location was loaded.
    """

    def __init__(
        self,
        folder: Path,
        imports: dict[str, str],
        environment: dict[str, str] | None = None,
        settings: Path = ROOT / ".dagster_home/dagster.yaml",
    ) -> None:
        self.folder = folder
        self.home = folder / "dagster_home"
        self.home.mkdir(parents=True)
        # The settings this repository ships.
        shutil.copy(settings, self.home / "dagster.yaml")
        package = folder / "shop_project"
        for name, text in imports.items():
            (package / "defs" / name).mkdir(parents=True)
            (package / "defs" / name / "defs.yaml").write_text(text)
        for inside in (package, package / "defs"):
            (inside / "__init__.py").touch()
        (package / "definitions.py").write_text(_DEFINITIONS)
        (folder / "pyproject.toml").write_text(_PROJECT)
        (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)
        (folder / "workspace.yaml").write_text("load_from: [{python_module: shop_project.definitions}]\n")
        self._environment = environment or {}
        self._pool = urllib3.PoolManager()
        self.log = folder / "dagster-dev.log"
        self.url = ""
        self.seconds = 0.0

    def __enter__(self) -> Self:
        port, began = free_port(), time.monotonic()
        environment = self.environment()
        self.url = f"http://127.0.0.1:{port}"
        with self.log.open("wb") as log:
            # Dagster keeps what its parent does with SIGINT, so a session of its own; and all of it must end together.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dagster", "dev", "-p", str(port), "-h", "127.0.0.1"],
                cwd=self.folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            until("dagster dev loads its code location", self._is_ready)
        except BaseException:
            self._stop()
            raise
        self.seconds = time.monotonic() - began
        return self

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a process that belongs to this project, with *more*."""
        found = {k: v for k, v in os.environ.items() if not k.startswith(("POSTHOG_", "DAGSTER_"))}
        return found | {"DAGSTER_HOME": str(self.home), "PYTHONPATH": str(self.folder)} | self._environment | more

    def __exit__(self, *exc: object) -> None:
        self._stop()

    def _stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        # What it started must not outlive it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._pool.clear()

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        try:
            found = self.graphql("{ assetNodes { id } }")["assetNodes"]
        except (urllib3.exceptions.HTTPError, ConnectionError):
            return False
        return bool(found)

    def graphql(self, query: str, **variables: Any) -> Any:
        """Return the data of a GraphQL answer, as the UI gets it."""
        response = self._pool.request(
            "POST", f"{self.url}/graphql", json={"query": query, "variables": variables}, retries=False, timeout=60
        )
        answer = orjson.loads(response.data)
        assert not answer.get("errors"), answer["errors"]
        return answer["data"]

    def launch(self, asset: tuple[str, ...], day: str) -> str:
        """Materialize an asset, or with (import,) all of an import, for *day*, as the UI does; returns the run's id."""
        job = f"import_{asset[0]}"
        selector: dict[str, Any] = {
            "repositoryLocationName": "shop_project.definitions",
            "repositoryName": "__repository__",
            "pipelineName": job if len(asset) == 1 else "__ASSET_JOB",
        }
        if len(asset) > 1:
            selector |= {"assetSelection": [{"path": list(asset)}]}
        started = self.graphql(
            """mutation($it: ExecutionParams!) { launchPipelineExecution(executionParams: $it) {
                __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
            it={
                "selector": selector, "mode": "default", "runConfigData": "{}",
                "executionMetadata": {"tags": [{"key": "dagster/partition", "value": day}]},
            },
        )["launchPipelineExecution"]  # fmt: skip
        assert started["__typename"] == "LaunchRunSuccess", started
        return started["run"]["runId"]

    def re_execute(self, run: str) -> str:
        """Do what the run page's *From failure* does; returns the new run's id."""
        started = self.graphql(
            """mutation($it: ReexecutionParams!) { launchPipelineReexecution(reexecutionParams: $it) {
                __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
            it={"parentRunId": run, "strategy": "FROM_FAILURE"},
        )["launchPipelineReexecution"]
        assert started["__typename"] == "LaunchRunSuccess", started
        return started["run"]["runId"]

    def backfill(self, assets: list[tuple[str, str]], days: list[str], **tags: str) -> str:
        """Launch a backfill of *assets* over *days*, its runs tagged `dagster/<name>`; returns its id."""
        return self._backfill(
            "launchPartitionBackfill(backfillParams: $it)", "LaunchBackfillParams",
            {
                "assetSelection": [{"path": list(asset)} for asset in assets], "partitionNames": days,
                "tags": [{"key": f"dagster/{name}", "value": value} for name, value in tags.items()],
            },
        )  # fmt: skip

    def re_execute_backfill(self, backfill: str) -> str:
        """Do what the backfill page's *Re-execute from failure* does; returns the new backfill's id."""
        return self._backfill(
            "reexecutePartitionBackfill(reexecutionParams: $it)", "ReexecutionParams",
            {"parentRunId": backfill, "strategy": "FROM_FAILURE"},
        )  # fmt: skip

    def _backfill(self, mutation: str, kind: str, it: dict[str, Any]) -> str:
        answer = self.graphql(
            f"mutation($it: {kind}!) {{ started: {mutation} {{ __typename "
            "... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }",
            it=it,
        )["started"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        return answer["backfillId"]

    def finished_run(self, run: str) -> Run:
        """Return a run once it has ended."""
        return until(f"run {run} ends", lambda: next((it for it in self._runs(runIds=[run]) if it.ended), None))

    def finished_backfill(self, backfill: str) -> tuple[str, list[Run]]:
        """Return a backfill's status and runs once all have ended."""

        def status() -> str | None:
            found = self.graphql(
                """query($it: String!) { partitionBackfillOrError(backfillId: $it) {
                    ... on PartitionBackfill { status } } }""",
                it=backfill,
            )["partitionBackfillOrError"]["status"]
            return None if found in ("REQUESTED", "CANCELING", "FAILING") else found

        said = until(f"backfill {backfill} ends", status)
        return said, self._runs(tags=[{"key": "dagster/backfill", "value": backfill}])

    def runs(self, name: str) -> list[Run]:
        """Return all runs of import *name*, newest first."""
        return [run for run in self._runs() if any(asset[0] == name for asset in run.assets)]

    def _runs(self, **which: Any) -> list[Run]:
        found = self.graphql(
            """query($it: RunsFilter!) { runsOrError(filter: $it) { ... on Runs { results {
                runId status tags { key value } assetSelection { path } assets { key { path } }
                stepKeysToExecute } } } }""",
            it=which,
        )["runsOrError"]["results"]
        return [Run.read(run) for run in found]

    def failure(self, run: str) -> str:
        """Return the words of a failed step, as the run page shows them."""
        events = self.graphql(
            """query($it: ID!) { logsForRun(runId: $it) { ... on EventConnection { events {
                ... on ExecutionStepFailureEvent { failureMetadata { description } error { message } } } } } }""",
            it=run,
        )["logsForRun"]["events"]
        return "\n".join(event["error"]["message"] for event in events if event.get("error"))

    def days(self, name: str, asset: str) -> dict[str, list[str]]:
        """Return the days of an asset by their colour in the UI: MATERIALIZED, FAILED."""
        ranges = self.graphql(
            """query($it: AssetKeyInput!) { assetNodeOrError(assetKey: $it) { ... on AssetNode {
                assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } } } } }""",
            it={"path": [name, asset]},
        )["assetNodeOrError"]["assetPartitionStatuses"]["ranges"]
        found: dict[str, list[str]] = {}
        for span in ranges:
            first, last = date.fromisoformat(span["startKey"]), date.fromisoformat(span["endKey"])
            days = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
            found.setdefault(span["status"], []).extend(days)
        return found
