"""Uuids that occur more than once are found, however they were handed over."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.mapping.repeated_uuids import UuidSpool
from posthog_assets_tests.examples import examples

#: Uuids that differ in one byte, and that end in the zero bytes which numpy's texts leave out.
IDS = [bytes([first]) + bytes(14) + bytes([last]) for first in (0, 1, 255) for last in (0, 1, 64, 65, 255)]


@settings(max_examples=examples(30))
@given(st.lists(st.lists(st.sampled_from(IDS), min_size=1, max_size=8), max_size=4), st.integers(0, 20))
def test_what_was_added_more_than_once_is_repeated(parts: list[list[bytes]], held: int) -> None:
    with tempfile.TemporaryDirectory() as folder, UuidSpool(Path(folder), held) as spool:
        for part in parts:
            spool.add(np.frombuffer(b"".join(part), dtype="S16"))
        found = spool.repeated()
    counts = Counter(uuid for part in parts for uuid in part)
    expected = sorted(uuid for uuid, count in counts.items() if count > 1)
    assert found.tobytes() == b"".join(expected)


def test_a_small_day_makes_no_files(tmp_path: Path) -> None:
    with UuidSpool(tmp_path) as spool:
        spool.add(np.frombuffer(IDS[0] * 3, dtype="S16"))
        assert spool.repeated().tobytes() == IDS[0]
        assert list(tmp_path.iterdir()) == []


def test_its_files_can_be_deleted_afterwards(tmp_path: Path) -> None:
    with UuidSpool(tmp_path, held=2) as spool:
        spool.add(np.frombuffer(IDS[0] * 3, dtype="S16"))
        assert spool.repeated().tobytes() == IDS[0]
        assert len(list(tmp_path.iterdir())) == 64
    for file in tmp_path.iterdir():
        file.unlink()
    assert list(tmp_path.iterdir()) == []
