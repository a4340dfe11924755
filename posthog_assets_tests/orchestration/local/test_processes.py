"""The processes that run days: forked from the command where that is safe, and gone when it is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are forked from the command on Linux only"),
]

#: Prints the two processes of a command, and does what follows.
TWO = """
import os, signal, sys, time
from posthog_assets.orchestration.local.processes import Processes
with Processes(2) as processes:
    (first, to_first), (second, to_second) = taken = [processes.take() for _ in range(2)]
    print(type(first).__name__, first.pid, second.pid, flush=True)
"""


@contextmanager
def command(tmp_path: Path, does: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run `TWO` and *does* in a process; yields it with the words of its first line."""
    script = tmp_path / "command.py"
    script.write_text(TWO + does)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().split()
        finally:
            process.kill()


def is_gone(pid: int) -> bool:
    """Return whether a process has ended, or ends within ten seconds."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_processes_that_were_forked_and_not_needed_end_with_the_command(tmp_path: Path) -> None:
    with command(tmp_path, "    processes._ready = taken\n") as (process, (kind, *pids)):
        assert process.wait(20) == 0
        assert (kind, [is_gone(int(pid)) for pid in pids]) == ("ForkProcess", [True, True])


def test_no_process_outlives_a_command_that_was_killed(tmp_path: Path) -> None:
    with command(tmp_path, "    time.sleep(60)\n") as (process, (_, *pids)):
        process.kill()
        assert [is_gone(int(pid)) for pid in pids] == [True, True]


def test_the_death_of_one_is_noticed_at_once_though_its_neighbour_lives(tmp_path: Path) -> None:
    does = """
    for victim, connection in ((first, to_first), (second, to_second)):
        victim.kill()
        try:
            connection.recv() if connection.poll(10) else print("not noticed", flush=True)
        except EOFError:
            print("noticed", flush=True)
"""
    with command(tmp_path, does) as (process, _):
        assert process.stdout is not None
        assert [process.stdout.readline().strip() for _ in range(2)] == ["noticed", "noticed"]


def test_beside_a_thread_processes_are_not_forked_from_the_command(tmp_path: Path) -> None:
    script = tmp_path / "command.py"
    script.write_text(
        "import threading\n"
        "from posthog_assets.orchestration.local.processes import Processes\n"
        "if __name__ == '__main__':\n"
        "    threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "    with Processes(1) as processes:\n"
        "        process, connection = processes.take()\n"
        "        connection.close()\n"
        "        process.join(20)\n"
        "        print(type(process).__name__, process.exitcode)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == ["ForkServerProcess", "0"], done.stderr
