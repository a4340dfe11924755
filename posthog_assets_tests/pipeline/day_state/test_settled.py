"""The note that a day is imported, and from which files."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from posthog_assets.pipeline.day_state.settled import Settled, note_landed, settle
from posthog_assets.storage.layout import settled_path
from posthog_assets.storage.store import Store

DAY = date(2024, 3, 1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path), "small")


def note(store: Store) -> Settled:
    found = Settled.read(store, DAY)
    assert found is not None
    return found


def earlier(store: Store) -> Settled:
    """Settle the day at a time of long ago, and return the note."""
    Settled("events-1", "staged-1", "fetched-1", "2020-01-01T00:00:00+00:00", "2020-01-02T00:00:00+00:00").write(
        store, DAY
    )
    return note(store)


def test_a_delivery_that_sends_nothing_keeps_the_time_of_the_acknowledgement(store: Store) -> None:
    before = earlier(store)
    settle(store, DAY, events="events-1", staged="staged-2", fetched_at="fetched-2", sent=False)
    assert note(store) == Settled("events-1", "staged-2", "fetched-2", before.acknowledged_at, before.landed_at)


@pytest.mark.parametrize(("events", "sent"), [("events-1", True), ("events-2", False)])
def test_other_events_or_sent_ones_begin_the_time_again(store: Store, events: str, sent: bool) -> None:
    before = earlier(store)
    settle(store, DAY, events=events, staged="staged-1", fetched_at="fetched-1", sent=sent)
    assert note(store).acknowledged_at > before.acknowledged_at
    assert note(store).landed_at is None


def test_the_first_time_a_query_finds_everything_counts(store: Store) -> None:
    settle(store, DAY, events="events-1", staged=None, fetched_at=None, sent=True)
    note_landed(store, DAY)
    first = note(store).landed_at
    note_landed(store, DAY)
    assert first is not None
    assert note(store).landed_at == first


def test_a_day_that_is_not_settled_cannot_land(store: Store) -> None:
    note_landed(store, DAY)
    assert Settled.read(store, DAY) is None


def test_a_day_that_is_forgotten_is_settled_no_more(store: Store) -> None:
    earlier(store)
    Settled.forget(store, DAY)
    assert Settled.read(store, DAY) is None


@pytest.mark.parametrize("content", [b"", b"[]", b'{"events":"e"}', b'{"unknown":1}'])
def test_a_note_that_cannot_be_read_settles_nothing(store: Store, content: bytes) -> None:
    store.write_bytes(settled_path(DAY), content)
    assert Settled.read(store, DAY) is None
