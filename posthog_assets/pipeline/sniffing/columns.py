"""Guessing which column is what, where no vendor's dialect knows the records.

Belongs here: names and values that speak for an event, a user, a device, a time, an id. Does not belong here: reading
the values for good (`dialects.columns`), what a single column can be (`column`), names (`column_names`).

A guess is scored by the column's name, then by its values; a column that cannot be what its name says is none. What
scores low is written down as unsure: a wrong guess must be cheap to see and to correct.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from posthog_assets.core.counted import counted
from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.field_errors import meant
from posthog_assets.pipeline.sniffing.column import TIMES, TIMES_BY_NAME, Column
from posthog_assets.pipeline.sniffing.column_names import ANONYMOUS, EVENT, ID, PEOPLE, TIME, USER
from posthog_assets.pipeline.sniffing.evidence import Certainty, Finding
from posthog_assets.pipeline.sniffing.sampling import table_of

#: What a column can be, in the words of the section `dialect`.
ROLES: Final = ("event", "user_id", "anonymous_id", "timestamp", "source_id")

_LEAST: Final = 0.3
_ACCEPTED: Final = 0.6
_SURE: Final = 0.85
_PLAIN_NAME: Final = 0.85
#: So few records say little of a column that has one value in all of them.
_FEW_RECORDS: Final = 20
#: Objects that stand for an event: `event.name`.
_EVENTS: Final = frozenset({"event", "action", "activity"})
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_DECIMAL: Final = re.compile(r"-?\d+[.,]\d+")


@dataclass(frozen=True)
class Roles:
    """The columns that were found, by role, and everything that was found out about them."""

    event: str | None
    user_id: str | None
    anonymous_id: str | None
    timestamp: str | None
    source_id: str | None
    findings: list[Finding]
    #: Whether all times say their zone.
    is_zoned: bool
    #: The `strptime` pattern that the times need.
    time_format: str | None = None

    @property
    def is_usable(self) -> bool:
        return bool(self.timestamp and (self.user_id or self.anonymous_id))


def roles_of(given: Iterable[str]) -> dict[str, str]:
    """Return columns by role, of texts such as `user_id=who`.

    Raises:
        ValueError: one is written in another way, or names no role.
    """
    columns = dict(text.partition("=")[::2] for text in given)
    if bad := next((role for role, column in columns.items() if role not in ROLES or not column), None):
        raise ValueError(f"{bad!r} is not ROLE=COLUMN; roles: {', '.join(ROLES)}")
    return columns


def guess_roles(records: Sequence[dict[str, Any]], given: Mapping[str, str] | None = None) -> Roles:
    """Return which column of *records* is the event, the user, the device, the time and the id.

    *given* are columns that are known, by role.

    Raises:
        ImportFileError: no record has a column that was given.
    """
    table = table_of(records)
    columns = [Column(path, values, len(records)) for path, values in table.items() if values]
    chosen = {role: _named(role, path, columns) for role, path in (given or {}).items()}
    findings = [_given(role, column) for role, column in chosen.items()]
    taken = {column.path for column in chosen.values()}
    for role, score in _SCORES.items():
        if role not in chosen and (found := _choose(role, score, [c for c in columns if c.path not in taken])):
            chosen[role] = found[0]
            findings.append(found[1])
            taken.add(found[0].path)
    time = chosen.get("timestamp")
    if time:
        findings += _of_times(time, columns)
    findings += _remarks(columns, chosen.get("source_id"))
    form = time.time_format if time else None
    return Roles(
        **{role: chosen[role].path if role in chosen else None for role in ROLES},
        findings=findings,
        is_zoned=time.is_zoned if time else True,
        time_format=form.pattern if form else None,
    )


def _named(role: str, path: str, columns: Sequence[Column]) -> Column:
    if found := next((column for column in columns if column.path == path), None):
        return found
    names = [column.path for column in columns]
    raise ImportFileError(
        f"--column {role}={path}: no record has a value in the column {path}{meant(path, names)}; columns: "
        + ", ".join(names[:30])
    )


def _given(role: str, column: Column) -> Finding:
    return Finding(f"dialect.{role}", column.path, Certainty.SURE, f"named by you; {_filled(column)}")


def _choose(role: str, score: Callable[[Column], float], columns: Sequence[Column]) -> tuple[Column, Finding] | None:
    scored = sorted(((score(c), -c.path.count("."), c.filled, c) for c in columns), key=lambda item: item[:3],
                    reverse=True)  # fmt: skip
    good = [(points, column) for points, _, _, column in scored if points >= _LEAST]
    if not good:
        return None
    points, best = good[0]
    if len(good) == 1 and points < _ACCEPTED:
        # Nothing else could be it.
        points += 0.2
    return best, _finding(f"dialect.{role}", best, points, [column.path for _, column in good[1:4]])


def _finding(setting: str, column: Column, points: float, others: list[str]) -> Finding:
    certainty = Certainty.SURE if points >= _SURE else Certainty.LIKELY if points >= _ACCEPTED else Certainty.UNSURE
    words = f"{_filled(column)}, {_values(column, setting)}" if column.records > 1 else "the only record has it"
    if setting == "dialect.timestamp" and column.is_of_days:
        certainty, words = Certainty.UNSURE, f"{words}; the times say a day and no time of day"
    if column.name.startswith("session"):
        words += ". It names a session and no device: each session becomes a person of its own"
    if others and certainty is not Certainty.SURE:
        words += f"; others that could be it: {', '.join(others)}"
    return Finding(setting, column.path, certainty, words)


def _filled(column: Column) -> str:
    return f"{column.filled:.0%} of {counted(column.records, 'record')} have it"


def _values(column: Column, setting: str) -> str:
    if column.unique:
        return "all different"
    words = counted(column.distinct, "different value")
    # What identifies people must not get into a file that is committed.
    if setting not in ("dialect.event", "dialect.timestamp"):
        return words
    some = list(dict.fromkeys(str(value)[:30] for value in column.values[:50]))[:3]
    return f"{words} ({', '.join(some)}{', …' if column.distinct > len(some) else ''})"


def _of_times(time: Column, columns: Sequence[Column]) -> list[Finding]:
    """Say by which pattern times are read, in which zone, and where the rest of them may be."""
    found = []
    if form := time.time_format:
        words = "the times are not ISO 8601, this strptime pattern reads them"
        if form.other:
            words += f"; {form.other} reads them all, too, as other days: see which of the two is right"
        found.append(
            Finding(
                "dialect.timestamp.format", form.pattern, Certainty.UNSURE if form.other else Certainty.LIKELY, words
            )
        )
    if not time.is_zoned:
        says_utc = time.name.endswith(("utc", "gmt"))
        words = "the column's name says so" if says_utc else "the times do not say their zone"
        certainty = Certainty.LIKELY if says_utc else Certainty.UNSURE
        found.append(Finding("dialect.timestamp.timezone", "UTC", certainty, words))
    clock = next((column for column in columns if column.is_clock), None)
    if time.is_of_days and clock:
        words = f"{clock.path} seems to hold the time of day: join both in one column before the import"
        found.append(Finding("dialect.timestamp.column", time.path, Certainty.UNSURE, words))
    return found


def _remarks(columns: Sequence[Column], source_id: Column | None) -> list[Finding]:
    """Say of a column that is named like an id why it is none."""
    if source_id:
        return []
    for column in columns:
        if ID.get(column.name, 0) >= 0.9 and "." not in column.path and not column.unique:
            repeats = len(column.values) - column.distinct
            words = f"{column.path} repeats ({repeats:,} of {len(column.values):,}), so it is not the event's id"
            return [Finding("dialect.source_id", None, Certainty.LIKELY, f"{words}: derived from the record's content")]
    return [Finding("dialect.source_id", None, Certainty.LIKELY, "no column is: derived from the record's content")]


def _as_time(column: Column) -> float:
    named = TIME.get(column.name)
    if named is None:
        named = 0.55 if column.name.endswith(("timestamp", "tstamp", "time", "date", "datetime")) else 0.0
        named = 0.5 if not named and re.search(r"(_at|At|_ts|_on)$", column.path) else named
        only_text = all(isinstance(value, str) and not value.isdigit() for value in column.some)
        is_instant = any(isinstance(value, datetime) for value in column.some)
        named = 0.35 if not named and (only_text or is_instant or column.has_no_name) else named
    if named <= 0 or column.times < (TIMES_BY_NAME if named >= _PLAIN_NAME else TIMES):
        return 0.0
    return named * column.times * column.filled * (0.8 if column.is_of_days else 1.0)


def _as_event(column: Column) -> float:
    named = EVENT.get(column.name, 0.4 - 0.1 * column.distinct / column.records if column.has_no_name else 0.0)
    if column.owner in _EVENTS and column.name in ("name", "type"):
        named = 0.85
    elif "." in column.path:
        # What stands inside another object names that object, not the event.
        named *= 0.4
    if named <= 0 or not all(isinstance(value, str) for value in column.values) or column.times > 0.5:
        return 0.0
    if column.distinct > max(100, len(column.values) // 5):
        return 0.0
    # Of many records that are all the same the kind is named, `type: event`, and the event elsewhere.
    is_kind = column.distinct == 1 and column.records > _FEW_RECORDS
    return named * column.filled * (0.5 if is_kind else 1.0)


def _as_user(column: Column) -> float:
    if column.has_no_name:
        numbers = any(isinstance(value, str) and _DECIMAL.fullmatch(value) for value in column.some)
        is_who = column.is_scalar and not numbers and column.times < 0.5 and 1 < column.distinct < len(column.values)
        return 0.3 + 0.1 * column.distinct / column.records if is_who else 0.0
    return _as_who(column, USER)


def _as_anonymous(column: Column) -> float:
    return _as_who(column, ANONYMOUS)


def _as_who(column: Column, names: dict[str, float]) -> float:
    named = names.get(column.name, 0.0)
    if names is USER and column.owner in PEOPLE:
        named = max(named, {"id": 0.9, "userid": 0.9, "uuid": 0.85, "login": 0.75, "username": 0.75, "email": 0.7}.get(
            column.name, 0.0))  # fmt: skip
    elif "." in column.path:
        named *= 0.6
    if named <= 0 or not column.is_scalar:
        return 0.0
    if not any(not isinstance(value, str) or value.strip() for value in column.values):
        return 0.0
    # One user for all records is a column that says something else; few records say nothing of that.
    if column.distinct == 1 and column.records > _FEW_RECORDS:
        named *= 0.5
    return named * (0.6 + 0.4 * column.filled)


def _as_id(column: Column) -> float:
    named = ID.get(column.name, 0.0)
    if "." in column.path or not column.is_scalar or not column.unique or column.filled < 0.99:
        return 0.0
    if named <= 0:
        # The table's own key: InvoiceId, which leads the record.
        return 0.5 if column.name.endswith("id") and column.name not in USER and column.name not in ANONYMOUS else 0.0
    # A warehouse numbers its rows in a column of that name.
    is_number = column.name in ("uuid", "guid") and not all(_UUID.fullmatch(str(value)) for value in column.some)
    return 0.5 if is_number else named


#: In the order in which columns are chosen: a column has one role.
_SCORES: Final[dict[str, Callable[[Column], float]]] = {
    "timestamp": _as_time, "source_id": _as_id, "user_id": _as_user, "anonymous_id": _as_anonymous, "event": _as_event,
}  # fmt: skip
