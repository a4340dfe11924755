"""A rate that holds for processes which share nothing but a store, wherever they run.

Belongs here: turns, objects that each allow a few seconds' worth of a rate. Does not belong here: waiting (`rates`).

Time is cut into turns of equal length, counted from 1970. The process that creates the object of a turn, which the
store lets only one process do, may send what the rate allows in that turn; what needs more takes several before it
leaves. So however many processes there are, and whenever they come, go or die, no more is allowed than the rate; no
process must know how many there are, and none holds anything that others wait for. Clocks that disagree allow at most
their difference's worth once.
"""

from __future__ import annotations

import itertools
import os
import socket
import time
from typing import Final

import orjson

from posthog_assets.core.errors import StorageError
from posthog_assets.storage.store import Store

#: Shorter ones are not worth a request to the store, seconds.
TURN: Final = 1.0

#: What is left of a turn is lost so many turns later: an allowance must not be saved up.
_KEEPS: Final = 10

#: A turn is over for everybody, whatever their clock says, after so many seconds.
_OVER: Final = 300.0

#: What rounding leaves over, seconds.
_NOTHING: Final = 1e-9

#: A turn further away than this comes from a clock that was set, seconds.
_AHEAD: Final = 3600.0

#: How often turns that are over are deleted, seconds.
_SWEEP: Final = 60.0


class Unshared(StorageError):
    """The store lets several processes create the same object: no turns can be taken there."""


class Turns:
    """This process's turns in folder *folder* of a store; all processes that name it share one rate."""

    def __init__(self, store: Store, folder: str, seconds: float) -> None:
        """Cut time into turns of *seconds*, which must be the same for all."""
        self._store = store
        self._folder = f"{folder}/{seconds:g}"
        self._seconds = seconds
        self._last: int | None = None
        self._left = 0.0
        self._free_at = 0.0
        self._sweep_at = 0.0
        self._proven = False

    def reserve(self, now: float, seconds: float) -> float:
        """Return when something may begin that takes *seconds* of the rate: *now* (seconds since 1970) or later.

        It begins when the first of its turns does, since all of them are its own.

        Raises:
            Unshared: the store cannot do this.
            StorageUnavailable: it does not answer.
        """
        if self._last is not None and not now - _AHEAD < self._last * self._seconds < now + _AHEAD:
            # A clock that was set, or a long pause.
            self._last, self._left, self._free_at = None, 0.0, 0.0
        if self._last is not None and now > (self._last + _KEEPS) * self._seconds:
            self._left = 0.0
        start = max(now, self._free_at)
        while self._left < seconds - _NOTHING:
            turn = self._take(now)
            # What is left of an earlier turn may begin at once.
            start = start if self._left else max(start, turn * self._seconds)
            self._left += self._seconds
        self._left = self._left - seconds if self._left - seconds > _NOTHING else 0.0
        # What is left now is the end of the last turn, which may lie far ahead.
        end = (self._last + 1) * self._seconds if self._last is not None else 0.0
        self._free_at = max(start + seconds, end - self._left)
        return start

    def _take(self, now: float) -> int:
        """Get the next turn that no process has taken."""
        current = int(now // self._seconds)
        for number in itertools.count(current if self._last is None else max(current, self._last + 1)):
            if (mine := self._store.create(self._path(number), self._content())) is not False:
                break
        # Some stores take the condition and do not keep it.
        if mine is None or (not self._proven and self._store.create(self._path(number), self._content())):
            raise Unshared(f"{self._store.path(self._folder)}: the store has no conditional writes")
        self._last, self._proven = number, True
        self._sweep(now)
        return number

    def _sweep(self, now: float) -> None:
        if now < self._sweep_at:
            return
        self._sweep_at = now + _SWEEP
        numbers = [int(name) for name in self._store.names(self._folder) if name.isdigit()]
        self._store.delete_all([self._path(number) for number in numbers if number * self._seconds < now - _OVER])

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number:010d}"

    def _content(self) -> bytes:
        return orjson.dumps({"host": socket.gethostname(), "process": os.getpid(), "taken_at": time.time()})
