"""Uuids that occur more than once are found, however they were handed over."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.core import uuid_sorter
from posthog_assets.core.uuid_sorter import UuidSorter, halves
from posthog_assets.mapping.repeated_uuids import repeated_uuids
from posthog_assets_tests.examples import examples

#: Uuids that differ in one byte, and that end in the zero bytes which numpy's texts leave out.
IDS = [bytes([first]) + bytes(14) + bytes([last]) for first in (0, 1, 255) for last in (0, 1, 64, 65, 255)]


@settings(max_examples=examples(30))
@given(
    st.lists(st.lists(st.sampled_from(IDS), min_size=1, max_size=8), max_size=4), st.sampled_from([2, 4, 16, 1 << 17])
)
def test_what_was_added_more_than_once_is_repeated(parts: list[list[bytes]], run: int) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(uuid_sorter, "_RUN_ROWS", run)
        patch.setattr(uuid_sorter, "_SAMPLED", 1)
        with UuidSorter(Path(folder) / "uuids", []) as sorter:
            for part in parts:
                sorter.add(*halves(np.frombuffer(b"".join(part), dtype="S16")))
            found = repeated_uuids(sorter)
    counts = Counter(uuid for part in parts for uuid in part)
    expected = sorted(uuid for uuid, count in counts.items() if count > 1)
    assert found.tobytes() == b"".join(expected)


def test_a_small_day_makes_no_file(tmp_path: Path) -> None:
    with UuidSorter(tmp_path / "uuids", []) as sorter:
        sorter.add(*halves(np.frombuffer(IDS[0] * 3, dtype="S16")))
        assert repeated_uuids(sorter).tobytes() == IDS[0]
        assert list(tmp_path.iterdir()) == []


def test_its_file_can_be_deleted_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uuid_sorter, "_RUN_ROWS", 2)
    monkeypatch.setattr(uuid_sorter, "_SAMPLED", 1)
    with UuidSorter(tmp_path / "uuids", []) as sorter:
        sorter.add(*halves(np.frombuffer(IDS[0] * 3, dtype="S16")))
        assert repeated_uuids(sorter).tobytes() == IDS[0]
        assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / "uuids").unlink()
    assert list(tmp_path.iterdir()) == []
