"""When the sessions of a day begin, and whose they are.

Belongs here: finding both from the events of a day and of the day before, in memory that grows with the sessions and
not with the events. Does not belong here: what a session is called in a record (`sessions`), or its id (`session_ids`).

A session is known by a key, a number. There are three kinds:

| kind | it starts | it ends |
|---|---|---|
| `STARTED` | when the source says, or with an earlier event (clocks may be wrong) | by its key |
| `NAMED` | with its first event | by its key |
| `COMPUTED` | with a person's first event | after so many idle minutes |

What is found depends on the events of two neighbouring days alone, so that the days of an import can be mapped one by
one and still agree. A session without a start of its own therefore crosses one midnight (UTC) at most: of one that
goes on from the first minutes of a day to its end, where the day alone does not show whether it is older, the rest
is a session of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import numpy as np

from posthog_assets.core.temporary_files import writing_temporary

#: The kinds of sessions.
STARTED: Final = 0
NAMED: Final = 1
COMPUTED: Final = 2

#: Of the start of a session that is not `STARTED`.
UNKNOWN: Final = np.iinfo(np.int64).min

#: An event: its session's key, its person, when it happened, when its session started, and the kind of that.
EVENT: Final = np.dtype([("key", "<u8"), ("person", "<u8"), ("at", "<i8"), ("start", "<i8"), ("kind", "u1")])

_DAY: Final = 86_400_000_000
_BUCKETS: Final = 64

#: So many events wait in memory, 33 bytes each.
_HELD_EVENTS: Final = 250_000

#: A `NAMED` session that begins so soon after midnight, µs, may have begun before it.
_SOON: Final = 30 * 60_000_000


class FirstUsers:
    """Which user each device had first: so long as PostHog knows no more, its events are that user's.

    Devices and users are numbers other than 0; memory grows with the devices.
    """

    def __init__(self) -> None:
        self._rows = np.empty(0, dtype=[("device", "<u8"), ("at", "<i8"), ("user", "<u8")])
        self._new: list[np.ndarray] = []
        self._size = 0

    def add(self, devices: np.ndarray, users: np.ndarray, at: np.ndarray) -> None:
        """Take events that name both a device and a user."""
        rows = np.empty(len(devices), dtype=self._rows.dtype)
        rows["device"], rows["user"], rows["at"] = devices, users, at
        self._new.append(_first_of_each(rows))
        self._size += len(self._new[-1])
        if self._size > max(200_000, len(self._rows)):
            self._settle()

    def of(self, devices: np.ndarray) -> np.ndarray:
        """Return the first user of each device, the device itself where it had none."""
        self._settle()
        if not len(self._rows):
            return devices
        known = self._rows["device"]
        where = np.minimum(np.searchsorted(known, devices), len(known) - 1)
        return np.where(known[where] == devices, self._rows["user"][where], devices)

    def _settle(self) -> None:
        if self._new:
            self._rows = _first_of_each(np.concatenate((self._rows, *self._new)))
            self._new, self._size = [], 0


def _first_of_each(rows: np.ndarray) -> np.ndarray:
    rows = rows[np.lexsort((rows["user"], rows["at"], rows["device"]))]
    is_first = np.ones(len(rows), dtype=bool)
    is_first[1:] = rows["device"][1:] != rows["device"][:-1]
    return rows[is_first]


class SessionIndex:
    """The sessions of some events; add them all, in any order, then call `close`. A context manager.

    Events of a large day wait on disk, in *folder*, and are looked at a sixty-fourth at a time. What stays in memory is
    24 bytes for each session and day whose start the source does not say, and 16 for each that several persons share.
    """

    def __init__(self, folder: Path, idle: int) -> None:
        """Make an index whose `COMPUTED` sessions end after *idle* microseconds without an event."""
        self._idle = idle
        self._folder = folder
        self._held: list[np.ndarray] = []
        self._files: list[IO[bytes]] = []
        self._keys = self._firsts = self._starts = np.empty(0, dtype=np.int64)
        self._shared = self._owners = np.empty(0, dtype=np.uint64)

    def __enter__(self) -> SessionIndex:
        return self

    def __exit__(self, *exc: object) -> None:
        for file in self._files:
            # What one that found no room still holds of its last bytes is not needed.
            with suppress(OSError):
                file.close()

    def add(self, events: np.ndarray) -> None:
        """Take events (`EVENT`)."""
        self._held.append(events)
        if sum(map(len, self._held)) > _HELD_EVENTS:
            self._spill()

    def _spill(self) -> None:
        """Put what is held into files."""
        if not self._files:
            self._files = [(self._folder / f"sessions-{n:02d}").open("w+b") for n in range(_BUCKETS)]
        events = np.concatenate(self._held)
        self._held = []
        buckets = events["key"] & np.uint64(_BUCKETS - 1)
        ordered = events[np.argsort(buckets, kind="stable")]
        ends = np.cumsum(np.bincount(buckets.astype(np.int64), minlength=_BUCKETS)).tolist()
        with writing_temporary(self._folder):
            for file, start, end in zip(self._files, (0, *ends), ends, strict=False):
                file.write(ordered[start:end].tobytes())
                file.flush()

    def close(self) -> None:
        """Find the sessions of what was added."""
        portions: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        shared: list[tuple[np.ndarray, np.ndarray]] = []
        for events in self._parts():
            if len(events):
                events = events[np.lexsort((events["person"], events["at"], events["key"]))]
                portions += [_early(events[events["kind"] == STARTED]), _portions(events, self._idle)]
                shared.append(_shared(events))
        if portions:
            keys, firsts, starts = (np.concatenate(columns) for columns in zip(*portions, strict=True))
            order = np.lexsort((firsts, keys))
            self._keys, self._firsts, self._starts = keys[order], firsts[order], starts[order]
            shared_keys, owners = (np.concatenate(columns) for columns in zip(*shared, strict=True))
            order = np.argsort(shared_keys)
            self._shared, self._owners = shared_keys[order], owners[order]

    def _parts(self) -> Iterator[np.ndarray]:
        """Yield what was added, all events of a session in the same part."""
        if self._files:
            if self._held:
                self._spill()
            for file in self._files:
                file.flush()
                file.seek(0)
                yield np.frombuffer(file.read(), dtype=EVENT)
        elif self._held:
            yield np.concatenate(self._held)
            self._held = []

    def starts(self, events: np.ndarray) -> np.ndarray:
        """Return when the session of each event (one that was added) starts, µs since 1970."""
        low = np.searchsorted(self._keys, events["key"], side="left")
        high = np.searchsorted(self._keys, events["key"], side="right")
        found = high > low
        low, high, at = low[found], high[found], events["at"][found]
        while (high - low > 1).any():
            middle = (low + high) // 2
            later = self._firsts[middle] <= at
            low, high = np.where(later, middle, low), np.where(later, high, middle)
        starts = events["start"].copy()
        starts[found] = self._starts[low]
        return starts

    def strangers(self, events: np.ndarray) -> np.ndarray:
        """Return which events are not those of the first person in their session (boolean mask)."""
        if not len(self._shared):
            return np.zeros(len(events), dtype=bool)
        where = np.minimum(np.searchsorted(self._shared, events["key"]), len(self._shared) - 1)
        return (self._shared[where] == events["key"]) & (self._owners[where] != events["person"])


def _early(events: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return key, first event and start of the `STARTED` sessions that have an event before their start."""
    events = events[(events["at"] < events["start"]) & (events["at"] >= events["start"] - _DAY)]
    is_first = _changes(events["key"])
    first = events["at"][is_first]
    # Their later events must find them too, so the start counts from the beginning of time.
    return events["key"][is_first], np.full(len(first), UNKNOWN), first


def _portions(events: np.ndarray, idle: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return key, first event and session's start of every part of a session that lies in one day."""
    events = events[events["kind"] != STARTED]
    keys, at, computed = events["key"], events["at"], events["kind"] == COMPUTED
    begins = _changes(keys)
    begins[1:] |= computed[1:] & (at[1:] - at[:-1] > idle)
    days = at // _DAY
    places = np.flatnonzero(begins | _changes(days))
    first, begins, days = at[places], begins[places], days[places]
    soon = np.where(computed[places], idle, _SOON)
    goes_on = ~begins
    goes_on[1:] &= begins[:-1] & (days[1:] - days[:-1] == 1) & (first[:-1] % _DAY >= soon[:-1])
    starts = first.copy()
    starts[1:][goes_on[1:]] = first[:-1][goes_on[1:]]
    return keys[places], first, starts


def _shared(events: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the keys of sessions with events of several persons, and the person of each one's first event."""
    events = events[events["kind"] != COMPUTED]
    is_first = _changes(events["key"])
    owners = events["person"][is_first]
    number = np.cumsum(is_first) - 1
    others = np.unique(number[events["person"] != owners[number]]) if len(events) else number
    return events["key"][is_first][others], owners[others]


def _changes(values: np.ndarray) -> np.ndarray:
    """Return where a value differs from the one before it; the first one does."""
    changes = np.ones(len(values), dtype=bool)
    changes[1:] = values[1:] != values[:-1]
    return changes
