"""The session of each event: PostHog's `$session_id`, made of what the source calls a session, or computed.

Belongs here: which session a staged row belongs to, and writing it. Does not belong here: when sessions begin
(`session_index`), ids (`session_ids`), where a vendor's records name a session (`dialects`).

A `$session_id` that PostHog takes for one stays. Otherwise the id is a function of the source's own name of the
session, of the device (else the user) it was on, and of the time at which it starts. A session that lasts longer than
24 hours is several for PostHog. Where several persons share one, the first one keeps it, and each of the others has
one of their own. What happens on a device before a user is known is that user's, as PostHog will merge them, so a
login does not end a session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from posthog_assets.core.json_members import scalars, with_first, without
from posthog_assets.dialects.base import Dialect
from posthog_assets.mapping.kinds import ANONYMOUS
from posthog_assets.mapping.session_ids import LONGEST, are_session_ids, session_ids
from posthog_assets.mapping.session_index import (
    COMPUTED,
    EVENT,
    NAMED,
    STARTED,
    UNKNOWN,
    FirstUsers,
    SessionIndex,
)
from posthog_assets.mapping.settings import Sessions

#: PostHog's property.
SESSION: Final = "$session_id"

#: Where a `$session_id` is kept that PostHog would not take for one.
_REPLACED: Final = "source_session_id"

#: The columns of staged rows that say which session an event belongs to.
COLUMNS: Final = ["kind", "user_id", "anonymous_id", "timestamp", "properties", "reject_reason"]

#: Rows that are something somebody did. No Arrow array: to make one of a list, Arrow loads pandas first.
_KINDS: Final = ("event", ANONYMOUS, "identify")

_UNITS: Final = {"s": 1_000_000, "ms": 1_000}

#: A number that lies further from its event than this, µs, is no time at which a session started.
_PLAUSIBLE: Final = 31 * 86_400_000_000

#: Staged rows, with at least `COLUMNS`.
Rows = Callable[[], Iterable[pa.RecordBatch]]


class _Named(NamedTuple):
    """The rows of a batch that belong to a session: their places, what names each one's session, and `EVENT`s.

    `owners` and `names` are empty texts for sessions that are computed. `kept` counts rows whose id stays.
    """

    rows: np.ndarray
    owners: pa.StringArray
    names: pa.StringArray
    events: np.ndarray
    kept: int


class SessionWriter:
    """Gives the events of one day their sessions: first `learn` the day, then `write` batch by batch."""

    def __init__(self, wish: Sessions, dialect: Dialect) -> None:
        field = dialect.session
        self._property = wish.property or (field.property if field else None)
        self._unit = _UNITS.get(field.starts or "") if field and not wish.property else None
        self._idle = wish.idle_minutes * 60_000_000 if wish.idle_minutes else None
        self._users = FirstUsers()
        self._index: SessionIndex | None = None
        #: Events of the day that have a session.
        self.events = 0

    def learn(self, day: Rows, before: Rows | None, folder: Path) -> None:
        """Find the sessions of the rows of *day*, given those of the day *before*; files go to *folder*."""
        parts = [rows for rows in (before, day) if rows is not None]
        for rows in parts:
            for batch in rows():
                self._link(batch)
        with SessionIndex(folder, self._idle or 0) as index:
            for rows in parts:
                for batch in rows():
                    named = self._named(batch)
                    index.add(named.events)
                    self.events += (len(named.rows) + named.kept) if rows is day else 0
            index.close()
        self._index = index

    def write(self, staged: pa.RecordBatch) -> pa.RecordBatch:
        """Return rows of the day with `$session_id` among their properties, where they have a session."""
        named = self._named(staged)
        if not len(named.rows):
            return staged
        places = np.full(staged.num_rows, -1)
        places[named.rows] = np.arange(len(named.rows))
        ids = self._ids(named).take(pa.array(places, mask=places < 0))
        texts = staged["properties"]
        has_one = pc.and_(pc.is_valid(ids), pc.match_substring(texts, f'"{SESSION}":'))
        added = pc.binary_join_element_wise('"', pc.if_else(has_one, pa.scalar(None, pa.string()), ids), '"', "")
        written = with_first(texts, SESSION, added)
        if pc.any(has_one).as_py():
            written = _replaced(written, ids, pc.indices_nonzero(has_one).to_pylist())
        place = staged.schema.get_field_index("properties")
        return staged.set_column(place, staged.schema.field(place), written)

    def _link(self, batch: pa.RecordBatch) -> None:
        """Take in which devices of a batch have which users."""
        batch = batch.filter(pc.is_null(batch["reject_reason"]))
        users, devices = _numbers(batch["user_id"]), _numbers(batch["anonymous_id"])
        both = (users != 0) & (devices != 0)
        if both.any():
            self._users.add(devices[both], users[both], _micros(batch)[both])

    def _named(self, staged: pa.RecordBatch) -> _Named:
        texts = staged["properties"]
        own = scalars(texts, SESSION)
        kept = are_session_ids(own)
        wanted = pc.and_(pc.is_in(staged["kind"], pa.array(_KINDS, pa.string())), pc.invert(kept))
        wanted = pc.and_(wanted, pc.is_null(staged["reject_reason"]))
        names = pc.coalesce(scalars(texts, self._property), own) if self._property else own
        if self._idle is None:
            wanted = pc.and_(wanted, pc.is_valid(names))
        wanted = pc.and_(wanted, pc.or_(pc.is_valid(staged["user_id"]), pc.is_valid(staged["anonymous_id"])))
        rows = np.flatnonzero(wanted.to_numpy(zero_copy_only=False))
        where = pa.array(rows)
        some, names = staged.take(where), names.take(where)
        owners = pc.utf8_trim_whitespace(pc.coalesce(some["anonymous_id"], some["user_id"]))
        owners = pc.if_else(pc.is_null(names), "", owners)
        events = self._events(some, owners, names)
        return _Named(rows, owners, pc.fill_null(names, ""), events, int(pc.sum(kept).as_py() or 0))

    def _events(self, some: pa.RecordBatch, owners: pa.StringArray, names: pa.StringArray) -> np.ndarray:
        events = np.zeros(some.num_rows, dtype=EVENT)
        events["at"] = _micros(some)
        devices, users = _numbers(some["anonymous_id"]), _numbers(some["user_id"])
        is_device = (devices != 0) & ((users == 0) | _is(some["kind"], ANONYMOUS))
        events["person"] = np.where(is_device, self._users.of(devices), users)
        events["start"] = self._starts(names, events["at"])
        is_named = names.is_valid().to_numpy(zero_copy_only=False)
        events["kind"] = np.where(is_named, np.where(events["start"] == UNKNOWN, NAMED, STARTED), COMPUTED)
        keys = events["person"]
        if is_named.any():
            named = _numbers(pc.binary_join_element_wise(owners, pc.fill_null(names, ""), "\0"))
            keys = np.where(is_named, named, keys)
        # One name may be a time in some records and none in others.
        events["key"] = keys ^ (events["kind"].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
        return events

    def _starts(self, names: pa.StringArray, at: np.ndarray) -> np.ndarray:
        """Return when each session starts, where its name is a time near its event."""
        starts = np.full(len(names), UNKNOWN)
        if self._unit is None:
            return starts
        digits = pc.fill_null(pc.match_substring_regex(names, r"^\d{1,14}$"), False)
        numbers = pc.if_else(digits, names, "0").cast(pa.int64()).to_numpy(zero_copy_only=False)
        said = np.minimum(numbers, np.iinfo(np.int64).max // self._unit) * self._unit
        near = digits.to_numpy(zero_copy_only=False) & (np.abs(at - said) < _PLAUSIBLE)
        return np.where(near, said, starts)

    def _ids(self, named: _Named) -> pa.StringArray:
        """Return the id of each event's session."""
        assert self._index is not None
        events = named.events
        starts = self._index.starts(events) // 1_000 * 1_000
        # What is longer than a session may be goes on as another one.
        begins = (starts + (events["at"] - starts) // LONGEST * LONGEST) // 1_000
        strangers = self._index.strangers(events)
        asked = np.empty(len(events), dtype=[("key", "<u8"), ("begin", "<i8"), ("stranger", "<u8")])
        asked["key"], asked["begin"] = events["key"], begins
        asked["stranger"] = np.where(strangers, events["person"], 0)
        unique, first, inverse = np.unique(asked, return_index=True, return_inverse=True)
        owners, names = named.owners.take(pa.array(first)), named.names.take(pa.array(first))
        people = events["person"][first].tolist()
        asked_for = []
        for stranger, owner, name, person in zip(
            unique["stranger"].tolist(), owners.to_pylist(), names.to_pylist(), people, strict=True
        ):
            parts = [owner, name] if name else [f"{person:016x}"]
            parts += [f"{person:016x}"] if stranger else []
            asked_for.append("\0".join(parts))
        return session_ids(unique["begin"], asked_for).take(pa.array(inverse.reshape(-1)))


def without_hidden(staged: pa.RecordBatch, dialect: Dialect) -> pa.RecordBatch:
    """Return staged rows without the property that is staged for sessions alone."""
    if dialect.session is None or not dialect.session.hidden:
        return staged
    place = staged.schema.get_field_index("properties")
    return staged.set_column(place, staged.schema.field(place), without(staged["properties"], dialect.session.property))


def _replaced(texts: pa.StringArray, ids: pa.StringArray, rows: list[int]) -> pa.StringArray:
    """Return objects with ids in place of what they have as `$session_id`, which they keep under another name."""
    values, new = texts.to_pylist(), ids.to_pylist()
    for row in rows:
        members = orjson.loads(values[row])
        old = members.pop(SESSION, None)
        members = {SESSION: new[row]} | members
        if old is not None:
            members.setdefault(_REPLACED, old)
        values[row] = orjson.dumps(members).decode()
    return pa.array(values, pa.string())


def _numbers(texts: pa.StringArray) -> np.ndarray:
    """Return a number for each text, the same for equal ones and 0 for null or blank."""
    coded = pc.utf8_trim_whitespace(texts).dictionary_encode()
    known = coded.dictionary.view(pa.binary()).to_pylist()
    numbers = np.zeros(len(known) + 1, dtype=np.uint64)
    numbers[1:] = np.fromiter(map(xxhash.xxh3_64_intdigest, known), np.uint64, len(known))
    if b"" in known:
        numbers[known.index(b"") + 1] = 0
    places = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return numbers[places + 1]


def _is(texts: pa.StringArray, text: str) -> np.ndarray:
    return pc.fill_null(pc.equal(texts, text), False).to_numpy(zero_copy_only=False)


def _micros(batch: pa.RecordBatch) -> np.ndarray:
    return batch["timestamp"].cast(pa.int64()).to_numpy(zero_copy_only=False)
