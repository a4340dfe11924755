"""Which days of a source are new or have changed since the last look.

Belongs here: the cursor, and the decision about each day. Does not belong here: Dagster (`sensors`), looking
(`sources`).
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Final

import xxhash

from posthog_assets.core.errors import BrokenPart, MissingUpstream, PosthogAssetsError
from posthog_assets.sources.base import DayFingerprint, Source
from posthog_assets.sources.manifest import RawExport
from posthog_assets.storage.store import Store

#: Letters per day in the cursor: 36 bits, so that one change in 69 thousand million goes unnoticed.
_LETTERS: Final = 6
_UNSEEN: Final = "." * _LETTERS
_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


def digest(fingerprint: str) -> str:
    """Return the six letters that stand for a fingerprint in the cursor."""
    return urlsafe_b64encode(xxhash.xxh3_64_digest(fingerprint.encode()))[:_LETTERS].decode()


@dataclass(frozen=True)
class Cursor:
    """What each day looked like when it was last requested, and the day to go on with after an unfinished look.

    Dagster keeps a copy of the cursor with every tick, so it is small: per month, six letters a day. Ten years are
    23 kB: `{"seen": {"2015-09": "......Zk3w9a…"}, "next": "2015-09-12"}`.
    """

    seen: Mapping[date, str] = field(default_factory=dict)
    next_day: date | None = None

    @classmethod
    def read(cls, text: str | None) -> Cursor:
        """Return the cursor that *text* holds, an empty one for None.

        Raises:
            ValueError: it holds something else.
        """
        if not text:
            return cls()
        try:
            content = json.loads(text)
            months, next_day = content["seen"], content.get("next")
            seen = {day: letters for month, line in months.items() for day, letters in _days(month, line)}
            return cls(seen, date.fromisoformat(next_day) if next_day else None)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a cursor of this sensor: {error}") from error

    def write(self) -> str:
        months: dict[str, list[str]] = {}
        for day, letters in sorted(self.seen.items()):
            line = months.setdefault(f"{day:%Y-%m}", [])
            line.extend([_UNSEEN] * (day.day - 1 - len(line)))
            line.append(letters)
        lines = {month: "".join(line) for month, line in months.items()}
        content = {"seen": lines} | ({"next": self.next_day.isoformat()} if self.next_day else {})
        return json.dumps(content, separators=(",", ":"))


def _days(month: str, line: str) -> Iterable[tuple[date, str]]:
    if not _MONTH.fullmatch(month) or len(line) % _LETTERS:
        raise ValueError(f"{month!r} is no month of six letters a day")
    first = date.fromisoformat(f"{month}-01")
    for at in range(0, len(line), _LETTERS):
        if (letters := line[at : at + _LETTERS]) != _UNSEEN:
            yield first + timedelta(days=at // _LETTERS), letters


class Standing(Enum):
    """What Dagster knows of a day's import."""

    UNDER_WAY = "queued or running"
    IMPORTED = "imported"
    OPEN = "missing or failed"


@dataclass(frozen=True)
class Wanted:
    """A day to import, and the fingerprint it is wanted for; `changed`: it was seen before, with another one."""

    day: date
    fingerprint: str
    changed: bool


@dataclass
class Plan:
    """What one look leads to: the days to import, the cursor for the next look, and why other days are left out."""

    wanted: list[Wanted] = field(default_factory=list)
    cursor: Cursor = field(default_factory=Cursor)
    #: Days by the reason why they are not imported now; quiet reasons (nothing new, no export yet) are not in it.
    left_out: dict[str, list[date]] = field(default_factory=dict)
    looked_at: int = 0
    already_imported: int = 0
    #: What ended the look before its time, for the person who must act.
    failure: str | None = None

    def leave(self, day: date, why: str) -> None:
        self.left_out.setdefault(why, []).append(day)

    def sentence(self) -> str:
        """Say in one sentence why nothing, or not more, is imported now."""
        reasons = [f"{_few(days)} {why}" for why, days in self.left_out.items()]
        if self.already_imported:
            reasons.append(f"{count(self.already_imported)} imported already, with the same content")
        if self.failure:
            reasons.append(f"the look ended early: {self.failure}")
        return "; ".join([f"looked at {count(self.looked_at)}", *(reasons or ["nothing is new"])])


@dataclass(frozen=True)
class Rules:
    """When a day may be imported. `days`: the import's partitions; `room`: how many days may be requested now."""

    days: frozenset[date]
    now: datetime
    settle: timedelta
    room: Callable[[], int]
    available_at: Callable[[date], datetime]
    standing: Callable[[date], Standing]
    #: Whether the stored raw export was made from the source as this fingerprint shows it.
    is_pinned: Callable[[date, str], bool]
    out_of_time: Callable[[], bool]


def plan(source: Source, days: Iterable[date], before: Cursor, rules: Rules) -> Plan:
    """Decide which of *days* to import, oldest first, beginning where the last look stopped.

    A look that runs out of time, or is cut short by the source, goes on with the next one. A day that waits (for a file
    to settle, for a run to end, for room) is not noted as seen, so the next look finds it again.
    """
    seen = dict(before.seen)
    made = Plan()
    ordered = _rotated(days, before.next_day)
    next_day: date | None = None
    passed = 0
    try:
        for sighting in source.fingerprints(ordered):
            if rules.out_of_time():
                next_day = sighting.day
                break
            _decide(sighting, seen, rules, made)
            passed += 1
    except PosthogAssetsError as error:
        made.failure = str(error)
        # The day that cannot be looked at must not keep the look from the others for ever.
        next_day = (*ordered, None)[min(passed + 1, len(ordered))]
    made.looked_at = len(rules.days.intersection(ordered[:passed]))
    made.cursor = Cursor(seen, next_day)
    return made


def _decide(sighting: DayFingerprint, seen: dict[date, str], rules: Rules, made: Plan) -> None:
    day, fingerprint = sighting.day, sighting.fingerprint
    if fingerprint is None:
        if seen.pop(day, None):
            made.leave(day, "disappeared from the source; what was imported stays")
        return
    letters, last = digest(fingerprint), seen.get(day)
    if letters == last:
        return
    if why := _not_yet(sighting, rules):
        made.leave(day, why)
    elif (standing := rules.standing(day)) is Standing.UNDER_WAY:
        made.leave(day, "queued or running already")
    elif standing is Standing.IMPORTED and last is None and rules.is_pinned(day, fingerprint):
        # Imported by hand before the sensor was started, or before its cursor was lost.
        seen[day] = letters
        made.already_imported += 1
    elif len(made.wanted) >= rules.room():
        made.leave(day, "new, with too many days under way before (automation.new_data.days_at_once)")
    else:
        seen[day] = letters
        made.wanted.append(Wanted(day, fingerprint, changed=last is not None))


def _not_yet(sighting: DayFingerprint, rules: Rules) -> str | None:
    if sighting.day not in rules.days:
        if rules.now.date() <= sighting.day:
            return "not over yet (days are UTC)"
        return "outside the import's start_date and end_date"
    if rules.now < (at := rules.available_at(sighting.day)):
        return f"not complete before {at:%Y-%m-%d %H:%M} UTC"
    # A clock that runs ahead is no reason to wait for ever.
    if sighting.changed_at and abs(rules.now - sighting.changed_at) < rules.settle:
        return f"changed less than {rules.settle.total_seconds():.0f} s ago (automation.new_data.settle_seconds)"
    return None


def is_pinned(store: Store, day: date, position: str) -> bool:
    """Return whether the stored raw export of *day* was made at *position* of the source (`Source.position`)."""
    try:
        return RawExport(store, day).manifest().position == position
    except (MissingUpstream, BrokenPart):
        return False


def _rotated(days: Iterable[date], first: date | None) -> list[date]:
    """Return *days* in order, beginning with *first* and ending with those before it."""
    ordered = sorted(days)
    return [day for day in ordered if first is None or day >= first] + [day for day in ordered if first and day < first]


def _few(days: list[date]) -> str:
    shown = ", ".join(day.isoformat() for day in sorted(days)[:3])
    return f"{shown} and {len(days) - 3:,} more:" if len(days) > 3 else f"{shown}:"


def count(days: int) -> str:
    """Return a number of days in words, `1 day` or `3,652 days`."""
    return "1 day" if days == 1 else f"{days:,} days"
