"""Rows in the order of their uuids, by way of a file."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posthog_assets.core import uuid_sorter
from posthog_assets.core.errors import StorageError
from posthog_assets.core.uuid_sorter import UuidSorter


@pytest.fixture(autouse=True)
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a run of each 16 rows, every fourth of which says how uuids are distributed."""
    monkeypatch.setattr(uuid_sorter, "_RUN_ROWS", 16)
    monkeypatch.setattr(uuid_sorter, "_SAMPLED", 4)


def pieces_of(path: Path, rows: list[tuple[int, int]], at_once: int = 5) -> list[list[tuple[int, int, int]]]:
    """Return the pieces of *rows*, each row with the number it came under."""
    with UuidSorter(path, [np.int32]) as sorter:
        for start in range(0, len(rows), at_once):
            some = np.array(rows[start : start + at_once], dtype=np.uint64).reshape(-1, 2)
            sorter.add(some[:, 0], some[:, 1], np.arange(start, start + len(some), dtype=np.int32))
        return [list(zip(*(column.tolist() for column in piece), strict=True)) for piece in sorter.pieces()]


@pytest.mark.parametrize("at_once", [1, 7, 16, 500])
def test_pieces_are_ranges_of_uuids_one_after_the_other(tmp_path: Path, at_once: int) -> None:
    rows = [(n * 7_919 % 1_009, n) for n in range(500)]
    pieces = pieces_of(tmp_path / "rows", rows, at_once)
    assert [row for piece in pieces for row in sorted(piece)] == sorted((*row, n) for n, row in enumerate(rows))
    assert len(pieces) > 10
    # A run, and for each of the 32 runs less than what one sample stands for.
    assert max(map(len, pieces)) <= 16 + 32 * 4


def test_few_rows_are_one_piece_and_no_file(tmp_path: Path) -> None:
    assert pieces_of(tmp_path / "rows", [(3, 0), (1, 0), (2, 0)]) == [[(3, 0, 0), (1, 0, 1), (2, 0, 2)]]
    assert not (tmp_path / "rows").exists()


def test_no_rows_are_no_piece(tmp_path: Path) -> None:
    assert pieces_of(tmp_path / "rows", []) == []


def test_uuids_of_the_same_first_half_stay_in_one_piece_in_their_order(tmp_path: Path) -> None:
    rows = [(5, 9)] * 100 + [(1, n) for n in range(20)] + [(5, 9)] * 3
    *_, last = pieces_of(tmp_path / "rows", rows)
    assert [number for high, _, number in last if high == 5] == [*range(100), 120, 121, 122]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_named_with_what_to_do() -> None:
    with pytest.raises(StorageError, match="^/dev/full cannot be written: .*[.] Make room there, or set TMPDIR to"):
        pieces_of(Path("/dev/full"), [(number, 0) for number in range(40)])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 40) | st.integers(0, 2**64 - 1), st.integers(0, 3)), max_size=150))
def test_every_row_comes_back_once(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int]]) -> None:
    pieces = pieces_of(tmp_path_factory.mktemp("sorter") / "rows", rows)
    highs = [[high for high, _, _ in piece] for piece in pieces]
    assert all(max(one) < min(following) for one, following in itertools.pairwise(highs))
    assert sorted(number for piece in pieces for _, _, number in piece) == list(range(len(rows)))
    for piece in pieces:
        for uuid in {row[:2] for row in piece}:
            numbers = [number for *row, number in piece if tuple(row) == uuid]
            assert numbers == sorted(numbers)
