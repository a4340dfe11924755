"""A Dagster project of somebody's own with one import, `shop`, of a few small days.

Belongs here: making it, calling commands on it, and asking its Dagster instance. It shares no code with the product.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from click.testing import CliRunner, Result

from posthog_assets.cli.main import cli
from posthog_assets_tests.fakes.capture_server import Asked, CaptureServer, Reply

#: A hook that dies as a process dies whose machine has no memory left, on the day the file `deadly` names.
HOOKS = """
import os, pathlib, signal
def clean(frame):
    deadly = pathlib.Path(__file__).with_name("deadly")
    if deadly.exists() and str(frame["timestamp"].iloc[0])[:10] == deadly.read_text():
        os.kill(os.getpid(), signal.SIGKILL)
    return frame
"""


def days_of(count: int) -> list[str]:
    return [f"2024-03-{number:02d}" for number in range(1, count + 1)]


@dataclass
class Shop:
    """The project's folder, and the name of its package."""

    folder: Path
    package: str

    @classmethod
    def made(cls, folder: Path, days: int, *, events: int = 3) -> Shop:
        # Python keeps modules: each test's project has a name of its own.
        shop = cls(folder, f"shop_{folder.name}")
        (folder / "pyproject.toml").write_text(
            '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\n'
            f'root_module = "{shop.package}"\ndefs_module = "{shop.package}.defs"\n'
        )
        for name in (shop.package, f"{shop.package}/defs", f"{shop.package}/defs/shop"):
            (folder / name).mkdir()
            (folder / name / "__init__.py").touch()
        (folder / shop.package / "hooks.py").write_text(HOOKS)
        (folder / "exports").mkdir()
        for day in days_of(days):
            lines = [
                {"id": f"{day}-{n}", "user": f"u{n}", "at": f"{day}T10:00:0{n}Z", "what": "page"} for n in range(events)
            ]
            (folder / f"exports/{day}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return shop

    def write(self, url: str, days: int | None, *, source: Any = (), **destination: Any) -> None:
        """Write the import file: *days* days (None: without an end), to the PostHog at *url*."""
        attributes: dict[str, Any] = {
            "name": "shop",
            "start_date": "2024-03-01",
            "end_date": days_of(days)[-1] if days else None,
            "storage": str(self.folder / "data"),
            "source": {"type": "files", "path": str(self.folder / "exports/{day}.jsonl")} | dict(source),
            "dialect": {
                "type": "columns",
                "event": {"column": "what"},
                "user_id": {"column": "user"},
                "timestamp": {"column": "at"},
                "source_id": {"column": "id"},
            },
            "mapping": {"transform": f"{self.package}.hooks:clean"},
            "destination": {"host": url, "project_api_key": "phc_any"} | destination,
        }
        content = {"type": "posthog_assets.HistoricalImport", "attributes": attributes}
        (self.folder / self.package / "defs/shop/defs.yaml").write_text(yaml.safe_dump(content))

    def dies_on(self, day: str) -> None:
        (self.folder / self.package / "deadly").write_text(day)

    def heals(self) -> None:
        (self.folder / self.package / "deadly").unlink()

    def one_at_a_time(self) -> None:
        """Give every pool of Dagster's one place."""
        self.home.mkdir()
        (self.home / "dagster.yaml").write_text(
            "telemetry: {enabled: false}\nconcurrency: {pools: {default_limit: 1, granularity: op}}\n"
        )

    @property
    def home(self) -> Path:
        return self.folder / "dagster_home"

    def call(self, *arguments: str) -> Result:
        """Run a command in this process (its workers are processes of their own)."""
        if arguments[0] != "status" and "--jobs" not in arguments:
            # A process to load Dagster in is what costs time with days this small.
            arguments = (*arguments, "--jobs", "1")
        environment = {"COLUMNS": "250", "DAGSTER_HOME": str(self.home)}
        return CliRunner().invoke(cli, [*arguments, "--project", str(self.folder)], env=environment)

    def begun(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command as a terminal does: with a process group of its own."""
        path = [str(Path(__file__).resolve().parents[2]), str(self.folder)]
        return subprocess.Popen(
            [sys.executable, "-c", "from posthog_assets.cli import main; main()", *arguments, "--project", self.folder],
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            env=os.environ | {"DAGSTER_HOME": str(self.home), "PYTHONPATH": ":".join(path), "COLUMNS": "250"},
        )  # fmt: skip

    def runs(self) -> list[tuple[str, str, str]]:
        """Return (day, status, command) of every run in Dagster's record, by day and age."""
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            runs = sorted(instance.get_run_records(), key=lambda record: record.storage_id)
        return sorted(
            (
                (
                    record.dagster_run.tags["dagster/partition"],
                    record.dagster_run.status.value,
                    record.dagster_run.tags["posthog_assets/by"],
                )
                for record in runs
            ),
            key=lambda run: run[0],
        )

    def facts(self) -> dict[str, Any]:
        """Return what `status --json` says."""
        result = self.call("status", "shop", "--json")
        facts: dict[str, Any] = json.loads(result.stdout)
        assert result.exit_code == bool(facts["failed_days"] or facts["too_many_rejected"]), result.output
        return facts


def day_of(asked: Asked) -> str | None:
    """Return the day whose events a request carries; None for a question of the pre-flight."""
    batch = asked.body.get("batch")
    return batch[0]["properties"]["$import_day"] if batch else None


def refusing(day: str) -> Any:
    """Return a script that answers 401 to the events of *day*."""
    return lambda asked: Reply(401, b"unknown key") if day_of(asked) == day else None


def stored_by_day(server: CaptureServer) -> dict[str, int]:
    return dict(Counter(event["properties"]["$import_day"] for event in server.stored))
