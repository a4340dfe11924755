"""Commands of `posthog-assets`, each in a process of its own that is forked from one which has loaded the libraries.

Belongs here: that process and its two ends. A command costs what it does, and not the seconds that every start of
Python takes to load Dagster. The file is run by the Python of the environment under test, so it imports nothing but the
package and the standard library.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

#: What most commands load; what the environment does not have, they miss by themselves.
LOADED = (
    "posthog_assets.orchestration.local.processes", "posthog_assets.cli.report", "posthog_assets.cli.preview",
    "posthog_assets.cli.check", "posthog_assets.cli.init", "sqlalchemy", "alembic.command", "pandas",
    "matplotlib.figure",
)  # fmt: skip


class ForkedCommands:
    """The process, and how a test asks it; use as a context manager."""

    def __init__(self, python: Path, environment: dict[str, str]) -> None:
        self._environment = environment
        self._process = subprocess.Popen(
            [python, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __enter__(self) -> ForkedCommands:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, arguments: list[str], folder: Path) -> tuple[int, str]:
        """Run `posthog-assets` with *arguments* in *folder*; returns its exit code and what it printed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        printed = folder / ".printed"
        order = {"arguments": arguments, "folder": str(folder), "printed": str(printed)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline()), printed.read_text()


def serve() -> None:
    """Read orders, one a line, and answer each with the exit code of its command."""
    for name in LOADED:
        with suppress(ImportError):
            import_module(name)
    assert threading.active_count() == 1
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            carry_out(json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def carry_out(order: dict[str, Any]) -> NoReturn:
    code = 70
    try:
        os.chdir(order["folder"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(order["printed"], os.O_CREAT | os.O_TRUNC | os.O_WRONLY), 1)
        os.dup2(1, 2)
        sys.argv = ["posthog-assets", *order["arguments"]]
        from posthog_assets.cli import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
