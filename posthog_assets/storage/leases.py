"""One process at a time, on a store that has no locks.

Belongs here: a lease, an object that says who holds something and is renewed while it is held. Does not belong here:
what is held (`store`).

The clocks of two machines are never compared. A process that wants a lease watches its object, and takes it over once
that has not changed for `LIFE` and `SKEW` by the watcher's own clock. A process that holds one counts it as lost once
it could not renew it for `LIFE` by its own clock, which is earlier. etcd's leases and the DynamoDB lock client work
like that.

A lease has a number that goes up with each take-over. Only one of several processes gets the next number, because it
creates the object `<lease>.<number>`, which a store with conditional writes (fsspec's mode `create`) lets only one do.
A holder that finds a higher number has lost its lease; one that finds a lower one, written late by a process that was
stopped in the middle of renewing, writes its own again. Where the store has no conditional writes the later writer
wins, and the other one finds out because it looks again after a while.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import orjson

from posthog_assets.core.errors import PartitionLost, PosthogAssetsError, StorageError, StorageUnavailable, shorten
from posthog_assets.storage.downloads import create, read_small, steadily
from posthog_assets.storage.timing import DEFAULT, Timing


class Held(Exception):
    """Another process holds it; the message says which."""


class Holding:
    """What a run holds while it works on something: here nothing that could be lost, as with a lock of the OS."""

    def check(self) -> None:
        """Return if it is still held, as far as this process can tell by itself; costs nothing.

        Raises:
            PartitionLost: another process may have taken over.
        """

    def confirm(self) -> None:
        """Return if it is still held, as the store has it; costs a request.

        Raises:
            PartitionLost: another process has taken over, or may have.
            Exception: what the store raises in the end.
        """


@dataclass(frozen=True, slots=True)
class _Found:
    """The object of a lease as it was read; `number` is 1 where release 0.1 wrote it, None where it is unreadable."""

    content: bytes
    owner: str = ""
    number: int | None = None
    holder: str = ""


class Lease(Holding):
    """A lease that this process has, until `end`."""

    def __init__(self, place: _Place, owner: str, number: int, began: float, what: str) -> None:
        """Take over what was acquired at *place*; it was written at *began* or later."""
        self._place, self._timing, self._what = place, place.timing, what
        self._owner = owner
        self.number = number
        self._renewed_at = began
        self._lost = ""
        self._looking = threading.Lock()
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew_until_ended, daemon=True, name="lease")
        self._renewing.start()

    def check(self) -> None:
        if not self._lost and (gap := self._timing.now() - self._renewed_at) > self._timing.life:
            self._lost = f"could not renew its lease for {gap:,.0f} s: it was stopped, or the storage did not answer"
        if self._lost:
            raise PartitionLost(
                f"this run no longer holds {self._what}: it {self._lost}. It sends and records nothing more. What "
                "PostHog has answered and is not recorded is sent again by the run that has the day now, or by the "
                "next one, under the same uuids"
            )

    def confirm(self) -> None:
        try:
            with self._looking:
                self.check()
                self._look()
        except PosthogAssetsError:
            raise
        except Exception as error:
            words = shorten(str(error) or type(error).__name__)
            raise StorageUnavailable(f"the lease {self._place.path}: the store did not answer: {words}") from error

    def _look(self) -> None:
        """Hold the object against what this process knows; raises PartitionLost."""
        found = self._place.read()
        # Stopped while it read, for so long that what it sees may be what its successor left.
        self.check()
        if found is None:
            # Deleted by a person, or by a process that was stopped in the middle of deleting.
            self._place.create(_content(self._owner, self.number))
            found = self._place.read()
        if found is not None and found.owner == self._owner:
            return
        if found is not None and found.number is not None and found.number < self.number:
            self._write()
            return
        self._lost = f"was taken over by {found.holder if found else 'another one'} while it was stopped or cut off"
        self.check()

    def _write(self) -> None:
        began = self._timing.now()
        self._place.write(_content(self._owner, self.number))
        # Stopped between looking and writing, for so long that another process may have taken over.
        self.check()
        self._renewed_at = began

    def _renew_until_ended(self) -> None:
        while not self._ended.wait(self._timing.life / 4):
            # A renewal that fails is tried again in time.
            with suppress(Exception), self._looking:
                self.check()
                self._look()
                self._write()
            if self._lost:
                return

    def end(self) -> None:
        """Give it back, if it is still this process's."""
        self._ended.set()
        self._renewing.join()
        with suppress(Exception):
            self.confirm()
            self._place.delete()
        with suppress(Exception):
            if self.number > 1:
                self._place.claimed(self.number).delete()


class _Place:
    """The object of a lease, or of a claim to one of its numbers, where it is stored."""

    def __init__(self, files: Any, path: str, timing: Timing) -> None:
        self._files = files
        self.path = path
        self.timing = timing

    def claimed(self, number: int) -> _Place:
        """Return the place of the claim to *number*."""
        return _Place(self._files, f"{self.path}.{number}", self.timing)

    def read(self) -> _Found | None:
        try:
            content = read_small(self._files, self.path, self.timing)
        except FileNotFoundError:
            return None
        try:
            noted = orjson.loads(content)
            return _Found(
                content, str(noted["owner"]), int(noted.get("number", 1)),
                f"process {noted.get('process')} on {noted.get('host')}",
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError):
            return _Found(content)

    def create(self, content: bytes) -> bool | None:
        """Write the object where there is none; as `downloads.create`."""
        return create(self._files, self.path, content, self.timing)

    def write(self, content: bytes) -> None:
        """Write the object, with one try."""
        self._files.pipe_file(self.path, content)

    def write_steadily(self, content: bytes) -> None:
        steadily(lambda: self.write(content), self.timing)

    def delete(self) -> None:
        """Delete the object, with one try."""
        self._files.rm_file(self.path)


@contextmanager
def lease(files: Any, path: str, what: str = "the lease", timing: Timing = DEFAULT) -> Iterator[Lease]:
    """Hold the object *path* of the fsspec file system *files* while the block runs; messages call it *what*.

    Waits for a lease that may be a dead process's until that is certain.

    Raises:
        Held: a living process holds it.
        StorageError: the object cannot be read.
    """
    owner, place = uuid.uuid4().hex, _Place(files, path, timing)
    number, began = _acquire(place, owner)
    held = Lease(place, owner, number, began, what)
    try:
        yield held
    finally:
        held.end()


def _acquire(place: _Place, owner: str) -> tuple[int, float]:
    """Return the number of the lease that is ours now, and when it was written at the earliest."""
    timing = place.timing
    seen: _Found | None = None
    since, ahead = timing.now(), 1
    while True:
        found = place.read()
        if found is None:
            if (written := _create(place, owner)) is not None:
                return 1, written
        elif seen is None or (found.content != seen.content and None in (found.number, seen.number)):
            since, ahead = timing.now(), 1
        elif found.content != seen.content:
            # What changes while we look is a living process's.
            raise Held(found.holder)
        elif timing.now() - since > timing.life + timing.skew:
            if found.number is None:
                raise StorageError(
                    f"the lease {place.path} cannot be read ({shorten(repr(found.content[:100]))}) and has not changed "
                    f"for {timing.life + timing.skew:.0f} s. If no run is under way there, delete that file; then run "
                    "this again"
                )
            if (written := _take_over(place, owner, found.number, found.number + ahead)) is not None:
                return found.number + ahead, written
            # The faster process writes the lease now, or died before that: then the number after its one is free.
            since, ahead = timing.now(), ahead + 1
        seen = found
        timing.sleep(1.0)


def _take_over(place: _Place, owner: str, before: int, number: int) -> float | None:
    """Write the lease that was *before* under *number*; return when, None where another process has it.

    Raises:
        Held: another process wrote the lease meanwhile.
    """
    claim = place.claimed(number)
    if claim.create(_content(owner, number)) is False:
        # An answer that was lost on its way may have been ours.
        mine = claim.read()
        if mine is None or mine.owner != owner:
            return None
    written = _write_and_settle(place, owner, number)
    # Numbers up to this one are not asked for any more.
    for old in range(max(before, 2), number):
        with suppress(Exception):
            place.claimed(old).delete()
    return written


def _create(place: _Place, owner: str) -> float | None:
    """Write the lease where there is none; return when, None where another process was faster."""
    began = place.timing.now()
    made = place.create(_content(owner, 1))
    if made is None:
        return _write_and_settle(place, owner, 1)
    if made is False:
        # An answer that was lost on its way may have been ours.
        found = place.read()
        return began if found is not None and found.owner == owner else None
    return began


def _write_and_settle(place: _Place, owner: str, number: int) -> float:
    """Write the lease, and return when, if it is still there after a while; raises Held."""
    place.write_steadily(_content(owner, number))
    place.timing.sleep(place.timing.settle)
    found = place.read()
    if found is None or (found.owner != owner and (found.number or 0) >= number):
        raise Held(found.holder if found else "another process")
    began = place.timing.now()
    place.write_steadily(_content(owner, number))
    return began


def _content(owner: str, number: int = 1) -> bytes:
    """Return what a lease says. Only that it changes counts; release 0.1 also reads when it was renewed."""
    return orjson.dumps(
        {
            "owner": owner, "number": number, "host": socket.gethostname(), "process": os.getpid(),
            "renewed_at": time.time(), "written": uuid.uuid4().hex,
        }
    )  # fmt: skip
