"""What each command costs on a small project: processor time, the best of a few runs.

    python -m posthog_assets_tests.benchmarks.commands
    python -m posthog_assets_tests.benchmarks.commands --rounds 1 status check

Belongs here: whole commands as a shell runs them, start-up included. Does not belong here: what records cost
(`benchmark`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from posthog_assets_tests.fakes.capture_server import CaptureServer

DAYS: Final = ("2024-03-01", "2024-03-02", "2024-03-03")

#: The commands by name, in an order in which each finds what it needs.
COMMANDS: Final = {
    "help": ("--help",),
    "init": ("init", "small", "--from", "exports", "--force"),
    "list": ("list",),
    "preview": ("preview", "small", "--day", DAYS[0]),
    "check": ("check", "small"),
    "backfill": ("backfill", "small", "--from", DAYS[0], "--to", DAYS[0], "--jobs", "1", "--skip-check"),
    "status": ("status", "small"),
    "report": ("report", "small", "--html", "page.html"),
}


def write_days(folder: Path) -> None:
    """Write three files of 50 records each."""
    folder.mkdir()
    for day in DAYS:
        rows = [
            {"event": "page view", "user_id": f"u{n % 7}", "time": f"{day}T10:{n:02}:00Z", "plan": "pro", "amount": n}
            for n in range(50)
        ]
        (folder / f"{day}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def processor_time(arguments: tuple[str, ...], folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Run `posthog-assets` with *arguments*; returns seconds of processor time, of its processes too, and of the clock.

    Raises:
        RuntimeError: the command fails; its words are in it.
    """
    began, before = time.monotonic(), os.times()
    done = subprocess.run(
        [sys.executable, "-m", "posthog_assets", *arguments], cwd=folder, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    after, ended = os.times(), time.monotonic()
    if done.returncode:
        raise RuntimeError(f"{arguments}: {done.stdout}{done.stderr}")
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, ended - began


def measure(names: list[str], rounds: int) -> None:
    """Print a line for each of the commands called *names*; the others run once, since the next ones need them."""
    with tempfile.TemporaryDirectory(prefix="posthog-commands-") as base, CaptureServer() as server:
        folder = Path(base, "shop")
        folder.mkdir()
        write_days(folder / "exports")
        environment = {key: text for key, text in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | {
            "POSTHOG_HOST": server.url, "POSTHOG_PROJECT_API_KEY": "phc_any", "POSTHOG_PERSONAL_API_KEY": "",
            "POSTHOG_PROJECT_ID": "", "DAGSTER_HOME": str(folder / ".dagster_home"),
        }  # fmt: skip
        for name, arguments in COMMANDS.items():
            times = [processor_time(arguments, folder, environment) for _ in range(rounds if name in names else 1)]
            if name in names:
                processor, clock = (min(column) for column in zip(*times, strict=True))
                print(f"{name:10} {processor:6.2f} s of processor time {clock:7.2f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="COMMAND", help=f"default: all of {', '.join(COMMANDS)}")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(COMMANDS):
        parser.error(f"no such command: {', '.join(sorted(unknown))}")
    measure(arguments.names or list(COMMANDS), arguments.rounds)


if __name__ == "__main__":
    main()
