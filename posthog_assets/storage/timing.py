"""How long a store waits, by which clock, and how often it asks.

Belongs here: the numbers, and the clock of a machine. Does not belong here: what is waited for (`leases`, `downloads`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


def machine_seconds() -> float:
    """Return the seconds of a clock that also goes on while the machine sleeps, where there is one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@dataclass(frozen=True, slots=True)
class Timing:
    """What leases and tries are timed by; all in seconds. Every process of a storage must have the same."""

    #: A holder that could not renew its lease for so long has lost it.
    life: float = 60.0
    #: A process that watches a lease waits so much longer: clocks differ in speed, and stores take their time.
    skew: float = 15.0
    #: After a take-over, how long until no other process can be taking over too.
    settle: float = 2.0
    #: How often a store that does not answer is asked.
    tries: int = 6
    now: Callable[[], float] = machine_seconds
    sleep: Callable[[float], None] = time.sleep


DEFAULT: Final = Timing()
