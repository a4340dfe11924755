"""Events and entries of a ledger, met in the order of their uuids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posthog_assets.core import uuid_sorter
from posthog_assets.core.uuid_sorter import UuidSorter
from posthog_assets.destination.entries import Known
from posthog_assets.destination.entry_join import SortedEntries, joined


def known_of(uuids: list[tuple[int, int]]) -> Known:
    """Return entries whose hash is the first half of their uuid, times ten."""
    halves = np.array(uuids, np.uint64).reshape(-1, 2)
    hashes = halves[:, 0] * np.uint64(10)
    return Known(halves[:, 0], halves[:, 1], hashes, hashes, np.zeros(len(halves), np.int8), None, (None,))


def found(path: Path, rows: list[tuple[int, int]], pieces: list[Known]) -> tuple[dict[int, int | None], list[int]]:
    """Return the hash that each of *rows* has found, and the hashes of all entries in the order in which they came."""
    hashes: dict[int, int | None] = {}
    entries: list[int] = []
    with UuidSorter(path, [np.int32]) as sorter:
        halves = np.array(rows, np.uint64).reshape(-1, 2)
        sorter.add(halves[:, 0], halves[:, 1], np.arange(len(rows), dtype=np.int32))
        for piece in joined(sorter, SortedEntries(not pieces, lambda: iter(pieces))):
            entries += piece.known.hashes.tolist()
            for place, at in zip(piece.columns[0].tolist(), piece.where.tolist(), strict=True):
                assert place not in hashes
                hashes[place] = int(piece.known.hashes[at]) if at >= 0 else None
    return hashes, entries


@pytest.mark.parametrize("run_rows", [8, 1_000])
@pytest.mark.parametrize("piece_rows", [1, 7, 200])
def test_every_event_finds_its_entry_and_every_entry_comes_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_rows: int, piece_rows: int
) -> None:
    monkeypatch.setattr(uuid_sorter, "_RUN_ROWS", run_rows)
    monkeypatch.setattr(uuid_sorter, "_SAMPLED", 4)
    rows = [(n * 37 % 101, 0) for n in range(101)]
    # Of the even numbers, and of some beyond all events.
    uuids = [(n, 0) for n in range(0, 140, 2)]
    pieces = [known_of(uuids[at : at + piece_rows]) for at in range(0, len(uuids), piece_rows)]
    hashes, entries = found(tmp_path / "rows", rows, pieces)
    assert hashes == {place: None if high % 2 else high * 10 for place, (high, _) in enumerate(rows)}
    assert entries == [high * 10 for high, _ in uuids]


def test_uuids_of_the_same_first_half_are_told_apart(tmp_path: Path) -> None:
    known = known_of([(5, 1), (5, 3), (6, 1)])
    hashes, _ = found(tmp_path / "rows", [(5, 3), (5, 2), (6, 1), (5, 1), (5, 3)], [known])
    assert hashes == {0: 50, 1: None, 2: 60, 3: 50, 4: 50}


def test_a_day_without_events_leaves_all_entries(tmp_path: Path) -> None:
    assert found(tmp_path / "rows", [], [known_of([(1, 0), (2, 0)])]) == ({}, [10, 20])


def test_a_ledger_without_entries_finds_none(tmp_path: Path) -> None:
    assert found(tmp_path / "rows", [(1, 0), (2, 0)], []) == ({0: None, 1: None}, [])
