"""Guessing which column is what, where no vendor's dialect knows the records.

Belongs here: names and values that speak for an event, a user, a device, a time, an id. Does not belong here: reading
the values for good (`dialects.columns`).

A guess is scored by the column's name, then by its values; a column that cannot be what its name says is none. What
scores low is written down as unsure: a wrong guess must be cheap to see and to correct.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

from posthog_assets.core.counted import counted
from posthog_assets.core.timestamps import read_timestamps
from posthog_assets.pipeline.sniffing.evidence import Certainty, Finding
from posthog_assets.pipeline.sniffing.sampling import table_of

#: Names that speak for a role, by how much; without case and separators.
_TIME: Final = {
    "timestamp": 1.0, "eventtime": 1.0, "eventtimestamp": 1.0, "occurredat": 1.0, "time": 0.95, "ts": 0.9,
    "datetime": 0.9, "createdat": 0.85, "eventdate": 0.85, "clienttime": 0.85, "eventat": 0.85, "happenedat": 0.9,
    "date": 0.75, "created": 0.75, "createdon": 0.75, "loggedat": 0.8, "at": 0.8, "when": 0.8, "sentat": 0.6,
    "receivedat": 0.6, "insertedat": 0.5, "updatedat": 0.3, "modifiedat": 0.3, "birthdate": -1.0, "expiresat": -1.0,
    "hiredate": 0.1, "deletedat": -1.0, "lastseen": 0.1, "updated": 0.3,
}  # fmt: skip
_EVENT: Final = {
    "event": 1.0, "eventname": 1.0, "eventtype": 0.95, "action": 0.85, "activity": 0.85, "actionname": 0.85,
    "eventaction": 0.8, "verb": 0.8, "type": 0.75, "what": 0.7, "operation": 0.65, "kind": 0.6, "activitytype": 0.8,
    "name": 0.45, "method": 0.35, "topic": 0.4, "eventcode": 0.7, "actiontype": 0.8, "message": 0.2,
}  # fmt: skip
_USER: Final = {
    "userid": 1.0, "distinctid": 1.0, "user": 0.9, "uid": 0.85, "customerid": 0.85, "memberid": 0.85,
    "personid": 0.85, "userid_": 0.8, "subscriberid": 0.8, "contactid": 0.7, "profileid": 0.7, "customer": 0.75,
    "accountid": 0.6, "username": 0.75, "login": 0.6, "useremail": 0.7, "email": 0.6, "author": 0.55, "actor": 0.7,
    "actorid": 0.9, "useruuid": 0.9, "client": 0.4, "clientid": 0.45, "member": 0.7, "player": 0.6, "playerid": 0.75,
    "patientid": 0.5, "employeeid": 0.4, "owner": 0.3, "customeruniqueid": 0.8, "buyerid": 0.7, "userlogin": 0.7,
    "authorid": 0.6, "createdby": 0.4, "driverid": 0.5, "studentid": 0.6, "panelistid": 0.7,
}  # fmt: skip
_ANONYMOUS: Final = {
    "anonymousid": 1.0, "anonid": 1.0, "deviceid": 0.9, "visitorid": 0.9, "userpseudoid": 0.95, "cookieid": 0.85,
    "cookie": 0.6, "browserid": 0.8, "fingerprint": 0.6, "installationid": 0.8, "clientid": 0.4, "visitor": 0.7,
    "guestid": 0.7, "anonymous": 0.5, "installid": 0.8,
}  # fmt: skip
_ID: Final = {
    "eventid": 1.0, "id": 0.9, "uuid": 0.95, "eventuuid": 1.0, "messageid": 0.95, "insertid": 1.0, "recordid": 0.85,
    "guid": 0.85, "rowid": 0.7, "logid": 0.85, "requestid": 0.6, "hitid": 0.85, "entryid": 0.7, "transactionid": 0.7,
    "orderid": 0.65, "key": 0.4, "activityid": 0.85, "actionid": 0.7, "$insertid": 1.0, "hash": 0.5,
}  # fmt: skip
#: Objects that stand for a person: `actor.id`.
_PEOPLE: Final = frozenset({"user", "actor", "customer", "person", "member", "visitor", "author", "account", "profile"})

#: Plausible instants of an export; a number outside is no time.
_EARLIEST: Final = datetime(1995, 1, 1, tzinfo=UTC)
_ACCEPTED: Final = 0.6
#: The share of values that must be instants, and that which is enough under a name that says so plainly.
_TIMES: Final = 0.8
_TIMES_BY_NAME: Final = 0.5
_PLAIN_NAME: Final = 0.85
_SURE: Final = 0.85
_MOST_VALUES: Final = 500


@dataclass(frozen=True)
class Column:
    """The values of one path, of so many records."""

    path: str
    values: Sequence[Any]
    records: int

    @property
    def name(self) -> str:
        """The last part of the path, without case and separators: `user_id`, `userId` and `UserID` are `userid`."""
        return _plain(self.path.rsplit(".", 1)[-1])

    @property
    def filled(self) -> float:
        """The share of records that have a value."""
        return len(self.values) / self.records

    @cached_property
    def distinct(self) -> int:
        return len({value if isinstance(value, str | int | float) else repr(value) for value in self.values})

    @property
    def unique(self) -> bool:
        return self.distinct == len(self.values)

    @cached_property
    def is_scalar(self) -> bool:
        return all(isinstance(value, str | int) and not isinstance(value, bool) for value in self.values)

    @cached_property
    def times(self) -> float:
        """The share of values that are plausible instants."""
        some = list(self.values[:_MOST_VALUES])
        if not some or any(isinstance(value, bool | dict | list) for value in some):
            return 0.0
        stamps, _ = read_timestamps(some, "UTC")
        latest = datetime.now(UTC)
        good = [stamp for stamp in stamps.to_pylist() if stamp and _EARLIEST <= stamp.astimezone(UTC) <= latest]
        return len(good) / len(some)

    @cached_property
    def is_zoned(self) -> bool:
        """Whether all times say their zone, or need none, as epochs do."""
        return all(not isinstance(value, str) or _zoned(value) for value in self.values[:_MOST_VALUES]) and not any(
            isinstance(value, datetime) and value.tzinfo is None for value in self.values[:_MOST_VALUES]
        )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9$]", "", name.lower())


def _zoned(text: str) -> bool:
    return bool(re.search(r"(Z|z|[+-]\d\d:?\d\d|UTC|GMT)$", text.strip())) or bool(re.fullmatch(r"[\d.]{9,}", text))


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

    @property
    def is_usable(self) -> bool:
        return bool(self.timestamp and (self.user_id or self.anonymous_id))


def guess_roles(records: Sequence[dict[str, Any]]) -> Roles:
    """Return which column of *records* is the event, the user, the device, the time and the id."""
    columns = [Column(path, values, len(records)) for path, values in table_of(records).items() if values]
    findings: list[Finding] = []

    def choose(setting: str, score: Callable[[Column], float], but: set[str | None]) -> Column | None:
        scored = sorted(((score(c), -c.path.count("."), c.filled, c) for c in columns if c.path not in but),
                        key=lambda item: item[:3], reverse=True)  # fmt: skip
        good = [(points, column) for points, _, _, column in scored if points >= 0.3]
        if not good:
            return None
        points, best = good[0]
        if len(good) == 1 and points < _ACCEPTED:
            # Nothing else could be it.
            points += 0.2
        findings.append(_finding(setting, best, points, [column.path for _, column in good[1:4]]))
        return best

    time = choose("dialect.timestamp", _as_time, set())
    taken = {time.path if time else None}
    source_id = choose("dialect.source_id", _as_id, taken)
    taken.add(source_id.path if source_id else None)
    user = choose("dialect.user_id", _as_user, taken)
    taken.add(user.path if user else None)
    anonymous = choose("dialect.anonymous_id", _as_anonymous, taken)
    taken.add(anonymous.path if anonymous else None)
    event = choose("dialect.event", _as_event, taken)
    findings += _remarks(columns, source_id)
    return Roles(
        event=event.path if event else None,
        user_id=user.path if user else None,
        anonymous_id=anonymous.path if anonymous else None,
        timestamp=time.path if time else None,
        source_id=source_id.path if source_id else None,
        findings=findings,
        is_zoned=time.is_zoned if time else True,
    )


def _finding(setting: str, column: Column, points: float, others: list[str]) -> Finding:
    certainty = Certainty.SURE if points >= _SURE else Certainty.LIKELY if points >= _ACCEPTED else Certainty.UNSURE
    # What identifies people must not get into a file that is committed.
    shown = setting in ("dialect.event", "dialect.timestamp")
    words = f"{column.filled:.0%} of {column.records:,} records have it, {_values(column, shown)}"
    if others and certainty is not Certainty.SURE:
        words += f"; others that could be it: {', '.join(others)}"
    return Finding(setting, column.path, certainty, words)


def _values(column: Column, shown: bool) -> str:
    if column.unique and len(column.values) > 1:
        return "all different"
    words = counted(column.distinct, "different value")
    if not shown:
        return words
    some = list(dict.fromkeys(str(value)[:30] for value in column.values[:50]))[:3]
    return f"{words} ({', '.join(some)}{', …' if column.distinct > len(some) else ''})"


def _remarks(columns: Sequence[Column], source_id: Column | None) -> list[Finding]:
    """Say of a column that is named like an id why it is none."""
    if source_id:
        return []
    for column in columns:
        if _ID.get(column.name, 0) >= 0.9 and "." not in column.path and not column.unique:
            repeats = len(column.values) - column.distinct
            words = f"{column.path} repeats ({repeats:,} of {len(column.values):,}), so it is not the event's id"
            return [Finding("dialect.source_id", None, Certainty.LIKELY, f"{words}: derived from the record's content")]
    return [Finding("dialect.source_id", None, Certainty.LIKELY, "no column is: derived from the record's content")]


def _as_time(column: Column) -> float:
    named = _TIME.get(column.name)
    if named is None:
        named = 0.55 if column.name.endswith(("timestamp", "tstamp", "time", "date", "datetime")) else 0.0
        named = 0.5 if not named and re.search(r"(_at|At|_ts|_on)$", column.path) else named
        only_text = all(isinstance(value, str) and not value.isdigit() for value in column.values[:_MOST_VALUES])
        is_instant = any(isinstance(value, datetime) for value in column.values[:_MOST_VALUES])
        named = 0.35 if not named and (only_text or is_instant) else named
    if named <= 0 or column.times < (_TIMES_BY_NAME if named >= _PLAIN_NAME else _TIMES):
        return 0.0
    return named * column.times * column.filled


def _as_event(column: Column) -> float:
    named = _EVENT.get(column.name, 0.0)
    if named <= 0 or not all(isinstance(value, str) for value in column.values) or column.times > 0.5:
        return 0.0
    if column.distinct > max(100, len(column.values) // 5):
        return 0.0
    # What stands inside an object names that object, not the event.
    depth = column.path.count(".")
    return named * column.filled * (0.4 if depth else 1.0)


def _as_user(column: Column) -> float:
    return _as_who(column, _USER)


def _as_anonymous(column: Column) -> float:
    return _as_who(column, _ANONYMOUS)


def _as_who(column: Column, names: dict[str, float]) -> float:
    head, _, last = column.path.rpartition(".")
    named = names.get(column.name, 0.0)
    owner = _plain(head.rsplit(".", 1)[-1])
    if names is _USER and owner in _PEOPLE:
        named = max(named, {"id": 0.9, "userid": 0.9, "uuid": 0.85, "login": 0.75, "username": 0.75, "email": 0.7}.get(
            _plain(last), 0.0))  # fmt: skip
    elif head:
        named *= 0.6
    if named <= 0 or not column.is_scalar:
        return 0.0
    if not any(isinstance(value, int) or value.strip() for value in column.values):
        return 0.0
    # One user for all records is a column that says something else; few records say nothing of that.
    if column.distinct == 1 and column.records > 20:
        named *= 0.5
    return named * (0.6 + 0.4 * column.filled)


def _as_id(column: Column) -> float:
    named = _ID.get(column.name, 0.0)
    if "." in column.path or not column.is_scalar or not column.unique or column.filled < 0.99:
        return 0.0
    if named <= 0:
        # The table's own key: InvoiceId, which leads the record.
        named = (
            0.5 if column.name.endswith("id") and column.name not in _USER and column.name not in _ANONYMOUS else 0.0
        )
    return named
