"""How fast requests may leave, and when they must not leave at all.

Belongs here: rates, and the pauses that PostHog's answers impose on all lanes at once. Does not belong here: what an
answer means (`verdicts`).
"""

from __future__ import annotations

import logging
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

import xxhash

from posthog_assets.capture.turns import TURN, Turns, Unshared
from posthog_assets.http import backoff
from posthog_assets.machine_files import held
from posthog_assets.storage import Store

#: A reservation further ahead than this is a clock that was set back, seconds.
_TOO_FAR: Final = 3600.0

_TIMES: Final = struct.Struct("<dd")

logger = logging.getLogger("posthog_assets")


class Stopped(Exception):
    """The delivery ends; whoever waits must not go on."""


class Pace:
    """Spreads requests and events evenly, so that neither rate is exceeded over any stretch of time.

    With *shared*, a file on a local disk, the rates hold across all processes of this machine that name the same file;
    with *turns*, across all processes that share these, on any machine.
    """

    def __init__(
        self,
        events_per_second: float | None,
        requests_per_second: float | None,
        shared: Path | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._rates = (events_per_second, requests_per_second)
        self._shared = shared
        self._turns = turns
        self._free_at = (0.0, 0.0)
        self._lock = threading.Lock()

    def wait(self, events: int, stopped: threading.Event) -> None:
        """Return when a request with *events* events may leave.

        Raises:
            Stopped: the delivery ends.
            StorageUnavailable: the store that keeps the turns does not answer.
            StorageError: the file that is shared cannot be used.
        """
        if self._rates == (None, None):
            return
        with self._lock:
            start = self._reserve(time.time(), events)
        wait = start - time.time()
        if wait > 0 and stopped.wait(wait):
            raise Stopped

    def _reserve(self, now: float, events: int) -> float:
        if self._turns is not None:
            by_events, by_requests = self._rates
            seconds = max(events / by_events if by_events else 0.0, 1 / by_requests if by_requests else 0.0)
            try:
                return self._turns.reserve(now, seconds)
            except Unshared as error:
                logger.warning("%s; max_events_per_second and max_requests_per_second hold per machine", error)
                self._turns = None
        if self._shared is None:
            start, self._free_at = self._next(now, self._free_at, events)
            return start
        with held(self._shared) as file:
            found = file.read(_TIMES.size)
            start, free_at = self._next(now, _TIMES.unpack(found) if len(found) == _TIMES.size else (0.0, 0.0), events)
            file.seek(0)
            file.truncate()
            file.write(_TIMES.pack(*free_at))
        return start

    def _next(self, now: float, free_at: tuple[float, float], events: int) -> tuple[float, tuple[float, float]]:
        start = max([now, *(at for at in free_at if at < now + _TOO_FAR)])
        by_events, by_requests = self._rates
        return start, (
            start + events / by_events if by_events else 0.0,
            start + 1 / by_requests if by_requests else 0.0,
        )


def pace(events_per_second: float | None, requests_per_second: float | None, shared: Store | None) -> Pace:
    """Return the pace that all processes keep together whose *shared* is the same folder; None: nobody else does."""
    if shared is None:
        return Pace(events_per_second, requests_per_second)
    if (file := shared.local_path(".locks/pace")) is not None:
        return Pace(events_per_second, requests_per_second, file)
    name = xxhash.xxh3_64_hexdigest(str(shared.root).encode())
    folder = f".turns/{events_per_second or 0:g}-{requests_per_second or 0:g}"
    turns = Turns(shared, folder, max(TURN, 1 / requests_per_second if requests_per_second else 0.0))
    file = Path(tempfile.gettempdir()) / f"posthog-assets-pace-{name}"
    return Pace(events_per_second, requests_per_second, file, turns)


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
            self._in_doubt, self._failures, self._spent = False, 0, 0.0

    def wait_as_asked(self, seconds: float | None) -> None:
        """PostHog asked to wait, *seconds* or as long as seems right; costs no budget."""
        with self._lock:
            self._close(backoff(self._failures) if seconds is None else min(seconds, _TOO_FAR))
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
