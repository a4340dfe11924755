"""Work in a process of its own that dies as by a power cut, at a moment of the test's choice.

Belongs here: starting, waiting for the moment, SIGKILL. Does not belong here: what must be true afterwards.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable


def kill_during(work: Callable[..., object], *arguments: object, when: Callable[[], bool]) -> None:
    """Run *work*, a function of a module, and kill its process once *when* says so; it must not have ended by then."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    try:
        while process.is_alive() and not when():
            time.sleep(0.02)
    finally:
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL, "it ended before it could be killed"
