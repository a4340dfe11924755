"""A day in order of time: as a stable sort of all rows, however they were handed over and however many runs it took."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.core.errors import StorageError
from posthog_assets.mapping import sorting
from posthog_assets.mapping.sorting import Floors, Sorter, in_windows
from posthog_assets_tests.examples import examples

SCHEMA = pa.schema([("timestamp", pa.timestamp("us", "UTC")), ("row", pa.int64())])

#: Times of the rows of each batch; few different ones, so that many are equal.
days = st.lists(st.lists(st.integers(-3, 12), min_size=1, max_size=8), max_size=7)


def batches_of(day: list[list[int]]) -> list[pa.RecordBatch]:
    made, first = [], 0
    for stamps in day:
        rows = pa.array(range(first, first + len(stamps)), pa.int64())
        made.append(pa.RecordBatch.from_arrays([pa.array(stamps, SCHEMA.field(0).type), rows], schema=SCHEMA))
        first += len(stamps)
    return made


def rows_of(batches: list[pa.RecordBatch]) -> list[int]:
    return [row for batch in batches for row in batch["row"].to_pylist()]


def in_order(day: list[list[int]]) -> list[int]:
    stamps = [stamp for batch in day for stamp in batch]
    return sorted(range(len(stamps)), key=stamps.__getitem__)


@pytest.fixture(autouse=True, scope="module")
def _small_runs() -> object:
    """Runs of a few rows, blocks of three, three runs open at once: a small day takes the way of a large one."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("_RUN_BYTES", 200), ("_BLOCK_ROWS", 3), ("_OPEN", 3), ("_LARGE_ROWS", 4)):
            patch.setattr(sorting, name, value)
        yield


@settings(max_examples=examples(36))
@given(days)
def test_sorted_rows_are_those_of_a_stable_sort(day: list[list[int]]) -> None:
    with tempfile.TemporaryDirectory() as folder, Sorter(Path(folder), SCHEMA) as sorter:
        for batch in batches_of(day):
            sorter.add(batch)
        found = list(sorter.sorted_batches())
    assert rows_of(found) == in_order(day)
    assert all(batch.num_rows and batch.schema == SCHEMA for batch in found)


@settings(max_examples=examples(24))
@given(days, st.lists(st.integers(-3, 12), min_size=1, max_size=8))
def test_rows_that_are_added_before_come_first_among_equals(day: list[list[int]], before: list[int]) -> None:
    first, *others = batches_of([before, *day])
    with tempfile.TemporaryDirectory() as folder, Sorter(Path(folder), SCHEMA) as sorter:
        for batch in others:
            sorter.add(batch)
        sorter.add_before(first)
        found = list(sorter.sorted_batches())
    assert rows_of(found) == in_order([before, *day])


def test_a_day_of_many_files_that_each_span_all_of_it_leaves_no_more_runs_open_than_it_may(tmp_path: Path) -> None:
    day = [[(number * 7 + row) % 20 for row in range(14)] for number in range(12)]
    with Sorter(tmp_path, SCHEMA) as sorter:
        for batch in batches_of(day):
            sorter.add(batch)
        assert rows_of(list(sorter.sorted_batches())) == in_order(day)
        # Neighbouring runs became longer ones, and what they were made of is gone.
        assert 1 <= len(list(tmp_path.iterdir())) <= 3


def test_without_rows_nothing_comes_back(tmp_path: Path) -> None:
    with Sorter(tmp_path, SCHEMA) as sorter:
        assert list(sorter.sorted_batches()) == []
    assert list(in_windows([], Floors([]))) == []


def stamps_of(day: list[list[int]]) -> list[np.ndarray]:
    return [np.array(stamps, dtype=np.int64) for stamps in day]


@settings(max_examples=examples(36))
@given(days)
def test_a_window_gives_the_order_of_a_stable_sort_too(day: list[list[int]]) -> None:
    assert rows_of(list(in_windows(batches_of(day), Floors(stamps_of(day))))) == in_order(day)


@settings(max_examples=examples(24))
@given(days)
def test_no_row_is_older_than_the_floor_after_those_before_it(day: list[list[int]]) -> None:
    stamps = [stamp for batch in day for stamp in batch]
    floors = Floors(stamps_of(day))
    for rows in range(len(stamps)):
        assert floors.after(rows) <= min(stamps[rows:])
    assert floors.after(len(stamps)) == np.iinfo(np.int64).max


def test_rows_that_are_nearly_in_order_leave_before_the_last_one_has_come() -> None:
    day = [[10 * number + offset for offset in (1, 0, 2, 5, 3)] for number in range(10)]
    seen = 0

    def coming() -> object:
        nonlocal seen
        for batch in batches_of(day):
            seen += batch.num_rows
            yield batch

    leaving = in_windows(coming(), Floors(stamps_of(day)))  # type: ignore[arg-type]
    next(leaving)
    assert seen < 20


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_temporary_disk_that_is_full_is_named_and_not_the_storage(tmp_path: Path) -> None:
    run = tmp_path / "run-000000.arrow"
    run.symlink_to("/dev/full")
    with (
        pytest.raises(StorageError, match=f"^{run} cannot be written: No space left on device. Make room there"),
        Sorter(tmp_path, SCHEMA) as sorter,
    ):
        for batch in batches_of([[number] * 8 for number in range(20)]):
            sorter.add(batch)
        list(sorter.sorted_batches())
