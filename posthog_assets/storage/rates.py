"""Rates of requests and events, shared by processes and machines.

Belongs here: when the next request may leave. Does not belong here: pauses that an answer asks for.
"""

from __future__ import annotations

import logging
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import xxhash

from posthog_assets.storage.machine_lock import held
from posthog_assets.storage.scratch import private_folder
from posthog_assets.storage.store import Store
from posthog_assets.storage.turns import TURN, Turns, Unshared

#: A reservation further ahead than this is a clock that was set back, seconds.
LONGEST_AHEAD: Final = 3600.0


_TIMES: Final = struct.Struct("<dd")


logger = logging.getLogger("posthog_assets")


class Stopped(Exception):
    """The delivery ends; waiting threads must not go on."""


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
        start = max([now, *(at for at in free_at if at < now + LONGEST_AHEAD)])
        by_events, by_requests = self._rates
        return start, (
            start + events / by_events if by_events else 0.0,
            start + 1 / by_requests if by_requests else 0.0,
        )


def pace(events_per_second: float | None, requests_per_second: float | None, shared: Store | None) -> Pace:
    """Return the pace that all processes keep together whose *shared* is the same folder; None: this process alone."""
    if shared is None:
        return Pace(events_per_second, requests_per_second)
    if (file := shared.local_path(".locks/pace")) is not None:
        return Pace(events_per_second, requests_per_second, file)
    name = xxhash.xxh3_64_hexdigest(str(shared.root).encode())
    folder = f".turns/{events_per_second or 0:g}-{requests_per_second or 0:g}"
    turns = Turns(shared, folder, max(TURN, 1 / requests_per_second if requests_per_second else 0.0))
    file = private_folder() / f"pace-{name}"
    return Pace(events_per_second, requests_per_second, file, turns)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `requests` in any stretch of `seconds`."""

    requests: int
    seconds: float


class Rate:
    """Several limits at once, kept by all processes of this machine that name the same *file*."""

    def __init__(self, limits: tuple[Limit, ...], file: Path, sleep: Callable[[float], object] = time.sleep) -> None:
        self._limits = limits
        self._file = file
        self._sleep = sleep

    def wait(self) -> None:
        """Return when a request may leave; raises StorageError where the file cannot be used."""
        if self._limits:
            self._sleep(max(0.0, self._reserve(time.time()) - time.time()))

    def _reserve(self, now: float) -> float:
        longest = max(limit.seconds for limit in self._limits)
        with held(self._file) as file:
            content = file.read()
            taken = np.frombuffer(content[: len(content) // 8 * 8], dtype="<f8")
            # Times too far ahead come from a clock that was set back.
            taken = np.sort(taken[(taken > now - longest) & (taken < now + 2 * longest)])
            start = now
            for limit in self._limits:
                if len(taken) >= limit.requests:
                    start = max(start, float(taken[-limit.requests]) + limit.seconds)
            file.seek(0)
            file.truncate()
            file.write(np.append(taken, start).astype("<f8").tobytes())
        return start


def rate_of(
    host: str, secrets: Sequence[str], limits: tuple[Limit, ...], sleep: Callable[[float], object] = time.sleep
) -> Rate:
    """Return the rate of one account, known by its *host* and credentials, for every client that uses it.

    Raises:
        StorageError: there is no folder to keep it in.
    """
    account = xxhash.xxh3_64_hexdigest("\n".join([host, *secrets]).encode())
    return Rate(limits, private_folder() / f"rate-{account}", sleep)
