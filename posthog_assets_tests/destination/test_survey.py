"""What of a day is settled: each event is settled, changed, moved or new, and what is gone is counted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from posthog_assets.core import uuid_sorter
from posthog_assets.core.uuid_sorter import halves
from posthog_assets.destination.encoder import encode
from posthog_assets.destination.entries import CODES, Known
from posthog_assets.destination.entry_join import SortedEntries
from posthog_assets.destination.report import DeliveryReport
from posthog_assets.destination.survey import Survey, sendable_rows, survey
from posthog_assets.destination.verdicts import Verdict
from posthog_assets_tests.records.posthog_events import START, batch_of, posthog_event, uuid_of

LATER = START + timedelta(days=30)


def known_of(rows: list[dict[str, Any]], verdicts: dict[int, Verdict], words: str | None = None) -> Known:
    """Return what is known after *rows* were sent: acknowledged, unless *verdicts* says otherwise by place."""
    encoded = encode(batch_of(rows))
    high, low = halves(encoded.uuids)
    order = np.lexsort((low, high))
    codes = np.array([CODES[verdicts.get(n, Verdict.OK)] for n in range(len(rows))], dtype=np.int8)
    places = np.ones(len(rows), dtype=np.int32) if words else None
    return Known(
        high[order], low[order], encoded.hashes[order], encoded.keys[order], codes[order], places, (None, words)
    )


def look(
    rows: list[dict[str, Any]], known: Known, since: datetime = LATER, size: int = 2
) -> tuple[Survey, DeliveryReport]:
    report = DeliveryReport()

    def opened(columns: list[str] | None, names: Iterable[str] | None = None) -> Iterable[pa.RecordBatch]:
        batches = [batch_of(rows[at : at + size]) for at in range(0, len(rows), size)]
        return batches if columns is None else [batch.select(columns) for batch in batches]

    return survey(opened, SortedEntries(not len(known), lambda: iter([known])), report, since), report


def masks(found: list[np.ndarray]) -> list[list[bool]]:
    return [mask.tolist() for mask in found]


def test_a_day_that_was_never_sent_is_only_counted() -> None:
    rows = [posthog_event(n) for n in range(4)] + [posthog_event(9, reject_reason="too old")]
    result, report = look(rows, known_of([], {}), START + timedelta(seconds=1))
    # Later than *since*, not at it: the events of seconds 2 and 3.
    assert (report.events, report.recent, report.owed) == (4, 2, 4)
    assert (result.settled, result.changed, result.acknowledged) == ([], [], None)


def test_what_is_unchanged_is_settled_and_only_what_is_new_is_owed() -> None:
    rows = [posthog_event(n) for n in range(5)]
    result, report = look(rows, known_of(rows[:3], {1: Verdict.WARNING, 2: Verdict.OWED}))
    assert masks(result.settled) == [[True, True], [False, False], [False]]
    assert masks(result.changed) == [[False, False], [False, False], [False]]
    assert (report.events, report.acknowledged, report.already_acknowledged, report.owed) == (5, 2, 2, 3)
    assert (report.changed, report.moved, report.orphaned) == (0, 0, 0)


def test_a_changed_event_is_sent_again_and_one_that_would_be_stored_twice_is_named() -> None:
    before = [posthog_event(n) for n in range(7)]
    after = [
        posthog_event(0, properties='{"n":"new"}'),
        posthog_event(1, distinct_id="somebody else"),
        *(posthog_event(n, event="edits") for n in range(2, 7)),
    ]
    result, report = look(after, known_of(before, {}))
    assert not np.concatenate(result.settled).any()
    assert np.concatenate(result.changed).all()
    assert (report.changed, report.moved, report.acknowledged) == (1, 6, 0)
    # Some of them, over all batches.
    assert report.moved_examples == [uuid_of(n) for n in range(1, 6)]


def test_a_drop_settles_an_event_until_it_changes() -> None:
    before = [posthog_event(0), posthog_event(1), posthog_event(2)]
    known = known_of(before, dict.fromkeys(range(3), Verdict.DROP), "bad timestamp")
    result, report = look([before[0], posthog_event(1, event="edits"), before[2]], known)
    assert masks(result.settled) == [[True, False], [True]]
    assert masks(result.changed) == [[False, False], [False]]
    assert (report.dropped, report.drop_reasons, report.moved, report.owed) == (2, {"bad timestamp": 2}, 0, 1)
    _, silent = look(before[:1], known_of(before[:1], {0: Verdict.DROP}))
    assert silent.drop_reasons == {"no reason given": 1}


def test_acknowledged_events_that_the_day_no_longer_has_are_orphans() -> None:
    before = [posthog_event(n) for n in range(4)]
    known = known_of(before, {3: Verdict.OWED})
    gone = [before[0], {**before[1], "reject_reason": "too old"}]
    result, report = look(gone, known)
    assert (report.events, report.orphaned) == (1, 2)
    assert masks(result.settled) == [[True]]


def test_only_what_is_still_to_be_sent_is_billed_as_recent() -> None:
    rows = [posthog_event(n) for n in range(4)]
    _, report = look(rows, known_of(rows[:3], {}), START)
    assert report.recent == 1


def test_an_acknowledged_event_is_kept_that_can_be_sent_again_without_harm() -> None:
    rows = [posthog_event(0, properties='{"$set":{"a":1}}'), posthog_event(1), posthog_event(2)]
    result, _ = look(rows, known_of(rows, {}))
    assert result.acknowledged is not None
    assert result.acknowledged["uuid"].to_pylist() == [uuid_of(1)]
    result, _ = look(rows[:1], known_of(rows, {}))
    assert result.acknowledged is None


def test_a_batch_of_rejected_rows_has_masks_of_its_own_so_that_the_others_stay_in_step() -> None:
    rejected = [posthog_event(n, reject_reason="no") for n in range(2)]
    rows = [*rejected, posthog_event(5)]
    result, report = look(rows, known_of([posthog_event(5)], {}))
    assert masks(result.settled) == [[], [True]]
    assert masks(result.changed) == [[], [False]]
    assert report.events == 1


def test_rejected_rows_are_not_sent() -> None:
    rows = [posthog_event(0), posthog_event(1, reject_reason="no"), posthog_event(2)]
    assert sendable_rows(batch_of(rows))["uuid"].to_pylist() == [uuid_of(0), uuid_of(2)]
    assert sendable_rows(batch_of(rows[:1]))["uuid"].to_pylist() == [uuid_of(0)]
    assert sendable_rows(batch_of([])).num_rows == 0


def test_a_day_larger_than_memory_takes_is_surveyed_in_its_own_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uuid_sorter, "_RUN_ROWS", 16)
    monkeypatch.setattr(uuid_sorter, "_SAMPLED", 4)
    after = [posthog_event(n, distinct_id="other" if n % 10 == 3 else "u1") for n in range(110)]
    was = [posthog_event(n, distinct_id="u1") for n in range(100)]
    result, report = look(after, known_of(was, dict.fromkeys(range(0, 100, 10), Verdict.DROP)), size=7)
    assert np.concatenate(result.settled).tolist() == [n < 100 and n % 10 != 3 for n in range(110)]
    assert np.concatenate(result.changed).tolist() == [n < 100 and n % 10 == 3 for n in range(110)]
    assert (report.events, report.acknowledged, report.dropped, report.owed) == (110, 80, 10, 20)
    assert (report.moved, report.moved_examples) == (10, [uuid_of(n) for n in (3, 13, 23, 33, 43)])
    assert result.acknowledged is not None
    assert result.acknowledged["uuid"].to_pylist() == [uuid_of(1)]
