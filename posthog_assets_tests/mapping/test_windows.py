"""Rows that are nearly in order wait in memory for those that come before them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from posthog_assets.core.schemas import TIMESTAMP
from posthog_assets.mapping.sorting import Floors, in_windows, with_before

SCHEMA = pa.schema([("timestamp", TIMESTAMP), ("place", pa.int64())])

batches_of_stamps = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), max_size=8)


def rows(stamps: list[int], first: int = 0) -> pa.RecordBatch:
    places = pa.array(range(first, first + len(stamps)), pa.int64())
    return pa.RecordBatch.from_arrays([pa.array(stamps, pa.int64()).cast(TIMESTAMP), places], schema=SCHEMA)


def read(batches: list[pa.RecordBatch]) -> list[tuple[int, int]]:
    return [
        pair
        for batch in batches
        for pair in zip(batch["timestamp"].cast(pa.int64()).to_pylist(), batch["place"].to_pylist(), strict=True)
    ]


@given(batches_of_stamps)
def test_rows_come_oldest_first_and_in_their_order_where_their_times_are_equal(given_stamps: list[list[int]]) -> None:
    batches, count = [], 0
    for stamps in given_stamps:
        batches.append(rows(stamps, count))
        count += len(stamps)
    floors = Floors([np.array(stamps, np.int64) for stamps in given_stamps])
    assert read(list(in_windows(batches, floors))) == sorted(read(batches))


def test_a_row_leaves_before_the_day_has_ended_once_no_older_one_can_come() -> None:
    stamps = np.arange(20_000, dtype=np.int64).reshape(10, -1)[:, ::-1]
    taken: list[int] = []

    def day() -> Iterator[pa.RecordBatch]:
        for number, some in enumerate(stamps):
            taken.append(number)
            yield rows(some.tolist())

    first = next(in_windows(day(), Floors([stamps.reshape(-1)])))
    assert first["timestamp"].cast(pa.int64()).to_pylist()[:3] == [0, 1, 2]
    assert len(taken) < 5


def test_most_waiting_is_nothing_in_order_and_everything_in_reverse() -> None:
    rising = np.arange(100_000, dtype=np.int64)
    assert Floors([rising]).most_waiting == 0
    assert Floors([rising[::-1]]).most_waiting > 90_000
    floors = Floors([rising])
    assert floors.after(0) == 0
    assert floors.after(50_000) <= 50_000
    assert floors.after(100_000) == np.iinfo(np.int64).max


@given(batches_of_stamps, st.lists(st.integers(0, 9), max_size=5))
def test_others_come_first_among_rows_of_one_time(given_stamps: list[list[int]], others: list[int]) -> None:
    stamps = sorted(stamp for some in given_stamps for stamp in some)
    batches = [rows([stamp], 100 + number) for number, stamp in enumerate(stamps)]
    merged = read(list(with_before(batches, rows(sorted(others)))))
    assert merged == sorted(merged)
    assert len(merged) == len(stamps) + len(others)
