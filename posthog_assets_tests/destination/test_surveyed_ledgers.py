"""Days of events and ledgers of any history, held against a dict: what is settled, changed, moved, dropped and gone.

Belongs here: the survey of a day and the ledger that it is given, together. Does not belong here: literal examples of
one of them (`test_survey`, `test_ledger`, `test_entry_join`).
"""

from __future__ import annotations

import tempfile
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from posthog_assets.core import uuid_sorter
from posthog_assets.destination import ledger as ledgers
from posthog_assets.destination.encoder import EncodedEvents, encode
from posthog_assets.destination.entries import CODES, Entries, Known
from posthog_assets.destination.entry_join import SortedEntries
from posthog_assets.destination.ledger import BatchFacts, Ledger
from posthog_assets.destination.report import DeliveryReport
from posthog_assets.destination.survey import Survey, survey
from posthog_assets.destination.verdicts import Verdict
from posthog_assets.storage.store import Store
from posthog_assets_tests.examples import examples
from posthog_assets_tests.records.posthog_events import START, batch_of, posthog_event

DAY = "2024-03-01"
FACTS = BatchFacts("2024-03-01T10:00:00+00:00", "v1", "r", 1, 1, 1, 0, 0, 10, 5, None, None, "m")

#: First and last halves of uuids: they begin or end with zeros, and differ in their first or last byte only.
HALVES = [bytes(8), bytes(7) + b"\x01", b"\x01" + bytes(7), b"\x7f" + b"\xff" * 7, b"\x80" + bytes(7), b"\xff" * 8]
UUIDS = [high + low for high in HALVES for low in HALVES]

#: An event is the same, has other properties, or another key; one says something of its person.
VERSIONS: list[dict[str, Any]] = [
    {}, {"properties": '{"n":"new"}'}, {"properties": '{"$set":{"a":1}}'}, {"distinct_id": "somebody else"},
]  # fmt: skip
SETS, MOVED = 2, 3

#: Events of the upper half of the uuids are recent.
SINCE = START + timedelta(seconds=len(UUIDS) // 2)


def row_of(which: int, version: int = 0, *, rejected: bool = False) -> dict[str, Any]:
    reason = "too old" if rejected else None
    return posthog_event(which, uuid=str(uuid.UUID(bytes=UUIDS[which])), reject_reason=reason, **VERSIONS[version])


#: All versions of all events, encoded.
ENCODED: EncodedEvents = encode(batch_of([row_of(n, version) for n in range(len(UUIDS)) for version in range(4)]))

#: Which event, in which version, what PostHog said of it, and in which words.
Answer = tuple[int, int, Verdict, str | None]
#: Which event, in which version, and whether it is rejected.
Event = tuple[int, int, bool]


@dataclass(frozen=True)
class Killed:
    """Folding ended before the files at these places were deleted."""

    left: frozenset[int] = frozenset()


def entries_of(answers: list[Answer]) -> Entries:
    at = np.array([4 * which + version for which, version, *_ in answers])
    codes = np.array([CODES[verdict] for *_, verdict, _ in answers], np.int8)
    return Entries(ENCODED.uuids[at], ENCODED.hashes[at], ENCODED.keys[at], codes, [words for *_, words in answers])


def fold(store: Store, folder: Path, killed: Killed) -> None:
    before = [(path, path.read_bytes()) for path in sorted(folder.glob("*.parquet"))]
    ledger = Ledger(store, DAY)
    with ledger.sorted_entries() as kept:
        # Both ways in which a delivery folds.
        ledger.fold(kept if len(before) % 2 else None)
    for place, (path, content) in enumerate(before):
        if place in killed.left:
            path.write_bytes(content)


def record(store: Store, folder: Path, history: list[list[Answer] | Killed]) -> dict[int, Answer]:
    """Write what happened to a day, each thing by a run of its own; returns the newest answer to each event."""
    newest: dict[int, Answer] = {}
    for one in history:
        if isinstance(one, Killed):
            fold(store, folder, one)
        else:
            Ledger(store, DAY).append(entries_of(one), FACTS)
            newest |= {answer[0]: answer for answer in one}
    return newest


def cut(pieces: Iterable[Known], size: int) -> Iterator[Known]:
    """Yield pieces of *size* entries, as the row groups of a folded file may be."""
    for piece in pieces:
        yield from (piece.at(slice(at, at + size)) for at in range(0, len(piece), size))


def looked(day: list[list[Event]], ledger: Ledger, size: int) -> tuple[Survey, DeliveryReport, list[Answer]]:
    """Return the survey of a day, and all entries that its ledger yields."""
    report, batches = DeliveryReport(), [batch_of([row_of(n, v, rejected=no) for n, v, no in one]) for one in day]

    def opened(columns: list[str] | None, names: Iterable[str] | None = None) -> Iterable[pa.RecordBatch]:
        return batches if columns is None else [batch.select(columns) for batch in batches]

    with ledger.sorted_entries() as entries:
        known = list(cut(entries.pieces(), size))
        found = survey(opened, SortedEntries(entries.is_empty, lambda: cut(entries.pieces(), size)), report, SINCE)
    return found, report, [answer for piece in known for answer in answers_of(piece)]


def answers_of(piece: Known) -> Iterator[Answer]:
    uuids = [bytes(pair) for pair in np.stack((piece.high, piece.low), axis=1).astype(">u8").view("V16").reshape(-1)]
    versions = {int(number): place % 4 for place, number in enumerate(ENCODED.hashes.tolist())}
    for place, packed in enumerate(uuids):
        version = versions[int(piece.hashes[place])]
        assert int(piece.keys[place]) == int(ENCODED.keys[4 * UUIDS.index(packed) + version])
        yield UUIDS.index(packed), version, list(Verdict)[piece.codes[place]], piece.detail(place)


def expected(day: list[list[Event]], newest: dict[int, Answer]) -> dict[str, Any]:
    """Return what a dict of the newest answers says of a day."""
    sent = [[(which, version) for which, version, no in batch if not no] for batch in day]
    settled: list[list[bool]] = []
    changed: list[list[bool]] = []
    moved: list[str] = []
    dropped: list[str] = []
    probes: list[int] = []
    for batch in sent:
        settled.append([])
        changed.append([])
        for which, version in batch:
            _, was, verdict, words = newest.get(which, (which, -1, Verdict.OWED, None))
            acknowledged = verdict.acknowledged
            is_dropped = verdict is Verdict.DROP and was == version
            settled[-1].append(is_dropped or (acknowledged and was == version))
            changed[-1].append(acknowledged and was != version)
            if acknowledged and was == version and version != SETS:
                probes.append(which)
            if acknowledged and (was == MOVED) != (version == MOVED):
                moved.append(str(uuid.UUID(bytes=UUIDS[which])))
            if is_dropped:
                dropped.append(words or "no reason given")
    there = {which for batch in sent for which, _ in batch}
    flat = [one for batch in sent for one in batch]
    settled_count = sum(sum(mask) for mask in settled)
    already = settled_count - len(dropped)
    return {
        "settled": settled if newest else [], "changed": changed if newest else [],
        "probe": probes[0] if probes else None, "events": len(flat), "already_acknowledged": already,
        "acknowledged": already, "dropped": len(dropped), "drop_reasons": dict(Counter(dropped)),
        "owed": len(flat) - settled_count, "moved": len(moved), "moved_examples": moved[:5],
        "changed_count": sum(sum(mask) for mask in changed) - len(moved),
        "orphaned": sum(one[2].acknowledged for which, one in newest.items() if which not in there),
        "recent": sum(
            2 * which > len(UUIDS) and not is_settled
            for batch, states in zip(sent, settled, strict=True)
            for (which, _), is_settled in zip(batch, states, strict=True)
        ),
    }  # fmt: skip


def as_found(found: Survey, report: DeliveryReport) -> dict[str, Any]:
    probe = found.acknowledged
    return {
        "settled": [mask.tolist() for mask in found.settled], "changed": [mask.tolist() for mask in found.changed],
        "probe": None if probe is None else UUIDS.index(uuid.UUID(probe["uuid"][0].as_py()).bytes),
        "changed_count": report.changed, "owed": report.owed,
    } | {
        name: getattr(report, name)
        for name in (
            "events", "already_acknowledged", "acknowledged", "dropped", "drop_reasons", "moved", "moved_examples",
            "orphaned", "recent",
        )
    }  # fmt: skip


_WHICH = st.integers(0, len(UUIDS) - 1)
_ANSWER = st.tuples(_WHICH, st.integers(0, 3), st.sampled_from(list(Verdict)), st.sampled_from([None, "why", "other"]))
_HISTORY = st.lists(
    st.lists(_ANSWER, min_size=1, max_size=15) | st.builds(Killed, st.frozensets(st.integers(0, 6))), max_size=9
)
_DAY = st.lists(st.lists(st.tuples(_WHICH, st.sampled_from([0, 0, 1, 2, 3]), st.booleans()), max_size=12), max_size=5)


@settings(max_examples=examples(100), deadline=None)
@given(_DAY, _HISTORY, st.sampled_from([(1, 1), (2, 1), (5, 2), (8, 8), (1_000, 4)]), st.sampled_from([1, 2, 7, 100]))
@example([], [[(n, 0, Verdict.OK, None)] for n in range(20)], (2, 1), 1)
@example(
    [[]], [[(n, 0, Verdict.OK, None) for n in range(36)], [(0, 0, Verdict.OWED, "taken back")], Killed()], (5, 2), 7
)
def test_a_day_and_its_ledger_are_what_a_dict_says_of_them(
    day: list[list[Event]], history: list[list[Answer] | Killed], runs: tuple[int, int], size: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as root:
        patch.setattr(uuid_sorter, "_RUN_ROWS", runs[0])
        patch.setattr(uuid_sorter, "_SAMPLED", runs[1])
        patch.setattr(ledgers, "_FOLDED_FROM", 2)
        store = Store(root, "small")
        newest = record(store, Path(root, "small/imported_batches", DAY, "batches"), history)
        found, report, entries = looked(day, Ledger(store, DAY), size)
        assert as_found(found, report) == expected(day, newest)
        assert entries == [newest[which] for which in sorted(newest)]
        assert list(answers_of(Ledger(store, DAY).load())) == entries
