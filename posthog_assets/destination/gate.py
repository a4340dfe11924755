"""How fast requests may leave, and when they must not leave at all.

Belongs here: rates, and the pauses that PostHog's answers impose on all lanes at once. Does not belong here: what an
answer means (`verdicts`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Final

from posthog_assets.core.errors import Unavailable
from posthog_assets.core.http import backoff
from posthog_assets.storage.rates import Stopped

#: A server that asks to be left alone for longer is left to another run, seconds.
LONGEST_WAIT: Final = 3600.0

#: PostHog that asks to wait this often in a row, and takes nothing meanwhile, is left to another run.
_MOST_WAITS: Final = 100


class Gate:
    """Holds all lanes back while PostHog does not answer or asks to wait, and lets them through one at a time after.

    So an outage is met by one try at a time with growing pauses, however many lanes there are, and its end by one
    request before the others follow. It begins in doubt: the first request leaves alone.
    """

    def __init__(self, budget: float, stopped: threading.Event) -> None:
        """Make a gate; *budget* is how long an outage may last, in seconds."""
        self._budget = budget
        self._stopped = stopped
        self._lock = threading.Lock()
        self._one_at_a_time = threading.Lock()
        self._in_doubt = True
        self._closed_until = 0.0
        self._failures = 0
        self._waits = 0
        self._spent = 0.0

    @contextmanager
    def passage(self) -> Iterator[None]:
        """Hold a request's right to leave; raises Stopped."""
        self._wait()
        with self._one_at_a_time if self._in_doubt else nullcontext():
            self._wait()
            if self._in_doubt:
                yield
                return
        yield

    def _wait(self) -> None:
        while True:
            left = self._closed_until - time.monotonic()
            if self._stopped.wait(left) if left > 0 else self._stopped.is_set():
                raise Stopped
            if left <= 0:
                return

    def open(self) -> None:
        """PostHog answered."""
        with self._lock:
            self._in_doubt, self._failures, self._waits, self._spent = False, 0, 0, 0.0

    def doubt(self) -> None:
        """PostHog refused a request: until it takes one, they leave one at a time."""
        with self._lock:
            self._in_doubt = True

    def wait_as_asked(self, seconds: float | None) -> None:
        """PostHog asked to wait *seconds*, or as long as seems right; costs no budget.

        Raises:
            Unavailable: it asked for longer than a run should wait, or has asked too often in a row.
        """
        with self._lock:
            self._waits += 1
            if (seconds or 0.0) > LONGEST_WAIT or self._waits > _MOST_WAITS:
                asked = f"to wait for {seconds:,.0f} s" if seconds else "to wait"
                raise Unavailable(
                    f"PostHog asks {asked}" + (f", {_MOST_WAITS} times in a row" if self._waits > _MOST_WAITS else "")
                    + ": the run ends, and the events stay owed until a later one",
                    retry_after=seconds,
                )  # fmt: skip
            self._close(max(backoff(self._failures), seconds or 0.0))
            self._failures += 1

    def failed(self, at_least: float, took: float) -> float:
        """A try failed after *took* seconds: close the gate for a growing while; returns the budget's seconds used."""
        with self._lock:
            pause = max(backoff(self._failures), at_least)
            self._close(pause)
            self._failures += 1
            self._spent += took + pause
            return took + pause

    def _close(self, seconds: float) -> None:
        self._closed_until = max(self._closed_until, time.monotonic() + seconds)
        self._in_doubt = True

    @property
    def exhausted(self) -> bool:
        """Whether an outage has lasted longer than the budget."""
        return self._spent > self._budget
