"""What is known of each event: found by its uuid, the newest word last, counted once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.core.uuid_sorter import halves
from posthog_assets.destination.entries import CODES, VERDICTS, Entries, Growing, Known, Texts, newest_of
from posthog_assets.destination.verdicts import Verdict
from posthog_assets_tests.examples import examples

#: Uuids that share their first half, or their last one, or end in zero bytes, which numpy's texts leave out.
IDS = [bytes([a]) * 8 + bytes([b]) * 8 for a in (0, 1, 255) for b in (0, 1, 128, 255)]


def packed(uuids: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(uuids), dtype="S16") if uuids else np.empty(0, dtype="S16")


def known_of(entries: list[tuple[bytes, Verdict, str | None]]) -> Known:
    """Return what is known after *entries*, the newest last."""
    high, low = halves(packed([uuid for uuid, _, _ in entries]))
    words = Texts()
    words.add(pa.chunked_array([pa.array([detail for _, _, detail in entries], pa.string())]))
    where = newest_of(high, low)
    numbers = np.arange(len(entries), dtype=np.uint64)
    codes = np.array([CODES[verdict] for _, verdict, _ in entries], dtype=np.int8)
    texts = words.taken(where)
    return Known(high[where], low[where], numbers[where], numbers[where], codes[where], texts, words.known)


entries_of_a_day = st.lists(
    st.tuples(st.sampled_from(IDS), st.sampled_from(Verdict), st.none() | st.sampled_from(["late", "quota", ""])),
    max_size=20,
)


@settings(max_examples=examples(100))
@given(entries_of_a_day, st.lists(st.sampled_from(IDS), max_size=15))
def test_a_uuid_is_found_with_its_newest_entry(
    entries: list[tuple[bytes, Verdict, str | None]], asked: list[bytes]
) -> None:
    known = known_of(entries)
    newest = {uuid: (number, verdict, detail) for number, (uuid, verdict, detail) in enumerate(entries)}
    assert len(known) == len(newest)
    where = known.find(packed(asked))
    found = [
        None if place < 0 else (int(known.hashes[place]), VERDICTS[known.codes[place]], known.detail(place))
        for place in where.tolist()
    ]
    assert found == [newest.get(uuid) for uuid in asked]
    acknowledged = [uuid in newest and newest[uuid][1] in (Verdict.OK, Verdict.WARNING) for uuid in asked]
    assert known.are_acknowledged(where).tolist() == acknowledged
    assert int(known.acknowledged.sum()) == sum(verdict.acknowledged for _, verdict, _ in newest.values())
    assert int(known.dropped.sum()) == sum(verdict is Verdict.DROP for _, verdict, _ in newest.values())


@pytest.mark.timeout(20)
def test_uuids_that_are_padded_numbers_are_found_as_fast_as_others() -> None:
    # All first halves are the same. Looking at one after the other took ten minutes of so many.
    count = 250_000
    high, low = np.zeros(count, np.uint64), 2 * np.arange(count, dtype=np.uint64)
    known = Known(high, low, low, low, np.zeros(count, np.int8), None, (None,))
    assert (known.find_halves(high, low) == np.arange(count)).all()
    assert (known.find_halves(high, low + np.uint64(1)) == -1).all()


def test_nothing_is_found_where_nothing_is_known_or_asked() -> None:
    nothing, some = known_of([]), known_of([(IDS[0], Verdict.OK, None)])
    assert nothing.find(packed(IDS)).tolist() == [-1] * len(IDS)
    assert nothing.are_acknowledged(np.array([-1, -1])).tolist() == [False, False]
    assert some.find(packed([])).tolist() == []


def test_verdicts_that_are_taken_back_are_owed_with_the_reason() -> None:
    known = known_of([(uuid, Verdict.OK, None) for uuid in IDS])
    where = known.find(packed([IDS[7], IDS[0]]))
    back = known.taken_back(where, "not found by a query")
    assert back.uuids.tobytes() == IDS[7] + IDS[0]
    assert back.hashes.tolist() == back.keys.tolist() == [7, 0]
    assert [VERDICTS[code] for code in back.codes] == [Verdict.OWED, Verdict.OWED]
    assert back.details == ["not found by a query"] * 2
    assert not back.acknowledged.any()


def test_the_reasons_of_drops_are_counted_and_silence_has_a_name() -> None:
    verdicts = [Verdict.DROP, Verdict.OK, Verdict.DROP, Verdict.DROP, Verdict.DROP, Verdict.OWED]
    entries = Entries(
        packed(IDS[:6]),
        np.zeros(6, dtype=np.uint64),
        np.zeros(6, dtype=np.uint64),
        np.array([CODES[verdict] for verdict in verdicts], dtype=np.int8),
        ["too old", "late", None, "", "too old", "too old"],
    )
    assert entries.drop_reasons() == {"too old": 2, "no reason given": 2}
    assert (len(entries), entries.dropped.tolist()) == (6, [True, False, True, True, True, False])


def test_every_verdict_has_a_number_and_every_number_its_verdict() -> None:
    assert {VERDICTS[code]: code for code in range(len(VERDICTS))} == CODES
    assert set(CODES) == set(Verdict)
    assert max(CODES.values()) < 128


@settings(max_examples=examples(50))
@given(st.lists(st.binary(min_size=16, max_size=16), min_size=2, max_size=6))
def test_the_halves_of_uuids_sort_as_their_bytes(uuids: list[bytes]) -> None:
    high, low = halves(packed(uuids))
    assert list(zip(high.tolist(), low.tolist(), strict=True)) == [
        (int.from_bytes(uuid[:8]), int.from_bytes(uuid[8:])) for uuid in uuids
    ]


@pytest.mark.parametrize("parts", [[], [[]], [[1, 2], [], [3], list(range(50)), [4]]])
def test_a_growing_column_holds_all_that_was_added_and_forgets_it_when_taken(parts: list[list[int]]) -> None:
    column = Growing(np.int32)
    for part in parts:
        column.add(np.array(part, dtype=np.int32))
    everything = [number for part in parts for number in part]
    assert column.values.tolist() == everything
    backwards = np.arange(len(everything))[::-1]
    assert column.taken(backwards).tolist() == everything[::-1]
    assert column.values.tolist() == []
    column.add(np.array([9], dtype=np.int32))
    assert column.values.tolist() == [9]


def test_entries_that_are_in_order_are_not_copied() -> None:
    column, where = Growing(np.uint64, room=5), newest_of(np.array([1, 2, 9], np.uint64), np.zeros(3, np.uint64))
    column.add(np.array([4, 5, 6], np.uint64))
    before = column.values
    assert np.shares_memory(column.taken(where), before)
    assert column.values.tolist() == []


def test_room_that_is_not_enough_is_only_a_beginning() -> None:
    column = Growing(np.int32, room=2)
    column.add(np.array([1, 2], np.int32))
    column.add(np.array([3], np.int32))
    assert column.values.tolist() == [1, 2, 3]


def test_words_stay_with_their_entries_however_many_came_before_without_any() -> None:
    words = Texts()
    for details in ([None, None], [None], ["late", None, "quota"], [None], ["late"]):
        words.add(pa.chunked_array([pa.array(details, pa.string())]))
    places = words.taken(np.arange(8))
    assert places is not None
    assert [words.known[place] for place in places] == [None, None, None, "late", None, "quota", None, "late"]


def test_where_no_entry_has_words_none_are_kept() -> None:
    words = Texts()
    words.add(pa.chunked_array([pa.nulls(3, pa.string())]))
    assert words.taken(np.arange(3)) is None
    assert words.known == (None,)
