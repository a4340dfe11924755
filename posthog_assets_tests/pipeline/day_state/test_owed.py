"""How many events of a day still wait for a verdict."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from posthog_assets.core.schemas import POSTHOG_EVENTS
from posthog_assets.destination.entries import CODES, Entries
from posthog_assets.destination.ledger import BatchFacts, Ledger
from posthog_assets.destination.verdicts import Verdict
from posthog_assets.pipeline.day_state.owed import owed_events, was_reopened
from posthog_assets.storage.layout import events_path
from posthog_assets.storage.store import Store

DAY = date(2024, 3, 1)
KEY = "2024-03-01"


def uuid_of(number: int) -> str:
    return f"00000000-0000-0000-0000-00000000000{number}"


def stored(tmp_path: Path, **rejected: str) -> Store:
    """Return a store with the events 1 to 4 of the day, the fourth of which is rejected."""
    store = Store(str(tmp_path), "small")
    rows = [{"uuid": uuid_of(number), "reject_reason": "odd" if number == 4 else None} for number in range(1, 5)]
    with store.atomic_write(events_path(DAY)) as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=POSTHOG_EVENTS), path)
    return store


def answer(store: Store, verdicts: dict[int, Verdict], protocol: str = "v1") -> None:
    count = len(verdicts)
    numbers = np.arange(1, count + 1, dtype=np.uint64)
    rows = Entries(
        np.frombuffer(b"".join(bytes([0] * 15 + [number]) for number in verdicts), dtype="S16"), numbers, numbers,
        np.array([CODES[verdict] for verdict in verdicts.values()], dtype=np.int8), [None] * count,
    )  # fmt: skip
    facts = BatchFacts("2024-03-01T10:00:00+00:00", protocol, "r", 1, count, count, 0, 0, 10, 5, None, None, "m")
    ledger = Ledger(store, KEY)
    ledger.append(rows, facts)
    ledger.summarize()


def test_without_a_ledger_every_event_that_is_to_be_sent_is_owed(tmp_path: Path) -> None:
    assert owed_events(stored(tmp_path), DAY) == 3


def test_acknowledged_and_dropped_events_are_owed_no_more(tmp_path: Path) -> None:
    store = stored(tmp_path)
    answer(store, {1: Verdict.OK, 2: Verdict.DROP})
    assert owed_events(store, DAY) == 1


def test_verdicts_of_events_that_are_stored_no_more_do_not_count(tmp_path: Path) -> None:
    store = stored(tmp_path)
    answer(store, {9: Verdict.OK})
    assert owed_events(store, DAY) == 3


def test_a_day_whose_events_are_not_stored_owes_an_unknown_number(tmp_path: Path) -> None:
    assert owed_events(Store(str(tmp_path), "small"), DAY) is None


def test_a_day_is_open_again_once_its_newest_entry_takes_verdicts_back(tmp_path: Path) -> None:
    store = stored(tmp_path)
    assert was_reopened(store, DAY)
    answer(store, {1: Verdict.OK})
    assert not was_reopened(store, DAY)
    answer(store, {1: Verdict.OK}, "undo")
    assert was_reopened(store, DAY)
