"""Several machines' worth of Dagster on one: PostgreSQL, Redis, an S3 server, and Celery workers.

Belongs here: starting and killing them. Does not belong here: what they work on. A worker shares nothing with the rest
but what machines of their own would share: its settings, temporary files and working folder are its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson
import pytest
import yaml

from posthog_assets_tests.fakes.dagster_dev import ROOT, DagsterDev, free_port, until
from posthog_assets_tests.fakes.object_store import options, s3_server
from posthog_assets_tests.fakes.postgres import Postgres

SETTINGS = ROOT / "deploy/celery/dagster.yaml"

COMPOSE = ROOT / "deploy/compose.yaml"

#: Exports and storage are both in it.
BUCKET = "history"


def service_command(service: str, changes: dict[str, str]) -> list[str]:
    """Return the command of a service in compose.yaml, with *changes* (each must apply) to its text."""
    text = yaml.safe_load(COMPOSE.read_text())["services"][service]["command"]
    for old, new in changes.items():
        assert old in text, (service, old)
        text = text.replace(old, new)
    program, *arguments = text.split()
    return [str(Path(sys.executable).parent / program), *arguments]


class Redis:
    """A Redis of the tests' own that keeps nothing; use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        program = shutil.which("redis-server")
        if program is None:
            words = "needs Redis (Debian's package redis-server)"
            if os.environ.get("CI") == "true":
                pytest.fail(words)
            pytest.skip(words)
        settings = f"--port {self.port} --bind 127.0.0.1 --appendonly no --dir {self._folder} --save".split()
        with (self._folder / "redis.log").open("wb") as log:
            self._process = subprocess.Popen([program, *settings, ""], stdout=log, stderr=log)
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.wait()


class Worker:
    """A machine with one Celery worker that executes one run at a time; use as a context manager."""

    def __init__(self, folder: Path, project: DagsterDev) -> None:
        self._folder = folder
        self.log = folder / "worker.log"
        home, temporary = folder / "dagster_home", folder / "tmp"
        for inside in (home, temporary):
            inside.mkdir(parents=True)
        shutil.copy(project.home / "dagster.yaml", home)
        self._environment = project.environment(DAGSTER_HOME=str(home), TMPDIR=str(temporary))

    def __enter__(self) -> Self:
        command = service_command("worker", {"--concurrency 2": "--concurrency 1"})
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "-n", f"{self._folder.name}@here"],
                cwd=self._folder, env=self._environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    @property
    def ready(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        return " ready." in self.log.read_text()

    @property
    def runs(self) -> int:
        """How many runs it was given."""
        return self.log.read_text().count("Task execute_job[")

    def has(self, process: int) -> bool:
        return os.getpgid(process) == self._process.pid

    def kill(self) -> None:
        """End it as a machine ends that loses its power."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@dataclass
class Cluster:
    """Machines that reach the same PostgreSQL, Redis and bucket."""

    dagster: DagsterDev
    workers: list[Worker]
    postgres: Postgres
    files: Any

    def worker_of(self, name: str, day: str) -> Worker:
        """Return the worker that is sending *day* of import *name*, as the day's lease says."""
        lease = orjson.loads(self.files.cat_file(f"{BUCKET}/data/{name}/.locks/imported_batches-{day}.json"))
        return next(worker for worker in self.workers if worker.has(lease["process"]))


@contextmanager
def cluster(folder: Path, attributes: dict[str, Any], exports: dict[str, str], workers: int = 2) -> Iterator[Cluster]:
    """Run an import on several machines; *exports* (day -> JSON lines) are put into the bucket they read from.

    Where *attributes* say nothing else, source and storage of the import are that bucket.
    """
    import s3fs

    with ExitStack() as stack:
        postgres = stack.enter_context(Postgres())
        redis = stack.enter_context(Redis(folder))
        store = options(stack.enter_context(s3_server()))
        files = s3fs.S3FileSystem(**store, use_listings_cache=False)
        for day, lines in exports.items():
            files.pipe_file(f"{BUCKET}/exports/{day}.jsonl", lines.encode())
        attributes = {
            "storage": f"s3://{BUCKET}/data", "storage_options": store,
            "source": {
                "type": "files", "path": f"s3://{BUCKET}/exports/{{day}}.jsonl", "storage_options": store,
            },
        } | attributes  # fmt: skip
        component = {"type": "posthog_assets.HistoricalImport", "attributes": attributes}
        environment = {
            "DAGSTER_POSTGRES_HOST": "127.0.0.1", "DAGSTER_POSTGRES_PORT": str(postgres.port),
            "DAGSTER_POSTGRES_USER": "test", "DAGSTER_POSTGRES_PASSWORD": postgres.password,
            "DAGSTER_POSTGRES_DB": "postgres",
            "CELERY_BROKER_URL": redis.url, "CELERY_RESULT_BACKEND": redis.url,
        }  # fmt: skip
        project = DagsterDev(folder / "project", {attributes["name"]: yaml.safe_dump(component)}, environment, SETTINGS)
        stack.enter_context(project)
        machines = [
            stack.enter_context(Worker(folder / f"machine{number}", project)) for number in range(1, workers + 1)
        ]
        until("the workers are ready", lambda: all(machine.ready for machine in machines))
        yield Cluster(project, machines, postgres, files)
