"""A process that dies by SIGKILL at one exact point of a day's run: before or after its n-th call that leaves a trace.

Belongs here: which calls are points, counting them, and the runs. Does not belong here: what must be true afterwards.

Points are calls that make, sync, rename or delete a file or folder, open one for writing, or send bytes to a server.
Each run is forked from a process that has imported everything and started no thread, so that it takes little time.
That one reads lines `<folder> <url> <point> <before|after>` and answers each with the points that the run passed, or -1
where it was killed; point 0 kills nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

DAY: Final = date(2024, 3, 1)

_CALLS: Final = ("mkdir", "rename", "replace", "unlink", "remove", "rmdir", "fsync", "link", "write")


class _Points:
    """Counts the points of this process, and kills it at one of them."""

    def __init__(self, wanted: int, side: str) -> None:
        self.passed = 0
        self._wanted = wanted
        self._side = side

    def watch(self) -> None:
        for name in _CALLS:
            setattr(os, name, self._counted(getattr(os, name)))
        for name in ("send", "sendall"):
            setattr(socket.socket, name, self._counted(getattr(socket.socket, name)))
        sys.addaudithook(self._opened)

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.passed += 1
            here = self.passed == self._wanted
            if here and self._side == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return function(*arguments, **options)
            finally:
                if here and self._side == "after":
                    os.kill(os.getpid(), signal.SIGKILL)

        return call

    def _opened(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            self.passed += 1
            if self.passed == self._wanted:
                os.kill(os.getpid(), signal.SIGKILL)


def run_day(folder: str, url: str) -> None:
    """Take the day of the small import in *folder* through all steps that write."""
    from posthog_assets.pipeline.deliver import deliver_day
    from posthog_assets.pipeline.export import export_day
    from posthog_assets.pipeline.stage import stage_day
    from posthog_assets.pipeline.transform import transform_day
    from posthog_assets_tests.conftest import small_import

    imp = small_import(
        Path(folder),
        processes=1,
        destination={"host": url, "project_api_key": "phc_any", "batch_events": 10, "concurrency": 1},
    )
    export_day(imp, DAY)
    stage_day(imp, DAY)
    transform_day(imp, DAY)
    deliver_day(imp, DAY)


def _forked(folder: str, url: str, point: int, side: str) -> int:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        points = _Points(point, side)
        points.watch()
        run_day(folder, url)
        os.write(writer, str(points.passed).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        passed = answer.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return -1
    return int(passed) if status == 0 else -2


class KillPoints:
    """The process from which runs are forked; use as a context manager."""

    def __enter__(self) -> KillPoints:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "posthog_assets_tests.fakes.kill_points"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.wait()
        for end in (self._process.stdin, self._process.stdout):
            if end is not None:
                end.close()

    def run(self, folder: Path, url: str, point: int = 0, side: str = "before") -> int:
        """Run the day; return the points it passed, -1 where it was killed, -2 where it failed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{folder} {url} {point} {side}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def _lines() -> Iterator[list[str]]:
    for line in sys.stdin:
        yield line.split()


def main() -> None:
    for name in ("deliver", "export", "stage", "transform"):
        importlib.import_module(f"posthog_assets.pipeline.{name}")
    importlib.import_module("posthog_assets_tests.conftest")
    with contextlib.suppress(BrokenPipeError):
        for folder, url, point, side in _lines():
            print(_forked(folder, url, int(point), side), flush=True)


if __name__ == "__main__":
    main()
