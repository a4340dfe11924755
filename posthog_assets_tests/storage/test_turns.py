"""Turns: however many processes share them, no more leaves than the rate allows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.storage.store import Store
from posthog_assets.storage.turns import Turns
from posthog_assets_tests.examples import examples

#: 2024-03-01, as the clock of a process reads it.
NOW = 1_709_251_200.0


def turns(folder: Path, count: int, seconds: float = 1.0) -> list[Turns]:
    return [Turns(Store(str(folder), "shop"), ".turns/100-0", seconds) for _ in range(count)]


def taken(folder: Path) -> set[str]:
    return {path.name for path in (folder / "shop" / ".turns").rglob("*") if path.is_file()}


def test_one_process_alone_has_one_turn_after_the_other(tmp_path: Path) -> None:
    (alone,) = turns(tmp_path, 1)
    assert [alone.reserve(NOW, 1.0) for _ in range(3)] == [NOW, NOW + 1, NOW + 2]


def test_what_needs_less_than_a_turn_shares_one_and_what_needs_more_takes_several(tmp_path: Path) -> None:
    (alone,) = turns(tmp_path, 1)
    assert [alone.reserve(NOW, 0.25) for _ in range(5)] == [NOW, NOW + 0.25, NOW + 0.5, NOW + 0.75, NOW + 1]
    assert len(taken(tmp_path)) == 2
    (other,) = turns(tmp_path, 1)
    assert other.reserve(NOW, 2.5) == NOW + 2
    assert other.reserve(NOW, 0.5) == NOW + 4.5
    assert other.reserve(NOW, 0.5) == NOW + 5


def test_two_processes_never_have_the_same_turn(tmp_path: Path) -> None:
    one, other = turns(tmp_path, 2)
    starts = [process.reserve(NOW, 1.0) for process in (one, other, other, one)]
    assert starts == [NOW, NOW + 1, NOW + 2, NOW + 3]


@settings(max_examples=examples(15))
@given(
    asked=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from([0.1, 0.5, 1.0, 1.7]), st.sampled_from([0.0, 0.3, 2.0])),
        min_size=1,
        max_size=12,
    )
)
def test_over_any_stretch_of_time_no_more_leaves_than_the_rate_and_a_turn_of_each_process(
    asked: list[tuple[int, float, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    processes = turns(tmp_path_factory.mktemp("turns"), 3)
    now, left = NOW, []
    for process, seconds, pause in asked:
        now += pause
        start = processes[process].reserve(now, seconds)
        assert start >= now
        left.append((start, seconds))
    for begin, _ in left:
        for end, length in left:
            if end >= begin:
                within = sum(seconds for start, seconds in left if begin <= start and start + seconds <= end + length)
                assert within <= end + length - begin + 3 * 1.0 + 1e-6


def test_what_is_left_of_a_turn_is_lost_after_a_while(tmp_path: Path) -> None:
    (alone,) = turns(tmp_path, 1)
    alone.reserve(NOW, 0.1)
    later = NOW + 60
    starts = [alone.reserve(later, 0.5) for _ in range(3)]
    assert starts == [later, later + 0.5, later + 1]


def test_a_clock_that_was_set_back_by_a_day_does_not_wait_for_it(tmp_path: Path) -> None:
    (alone,) = turns(tmp_path, 1)
    alone.reserve(NOW + 86_400, 1.0)
    assert alone.reserve(NOW, 1.0) == NOW


def test_turns_that_are_long_over_are_deleted(tmp_path: Path) -> None:
    (alone,) = turns(tmp_path, 1)
    alone.reserve(NOW, 1.0)
    first = taken(tmp_path)
    alone.reserve(NOW + 1_000, 1.0)
    left = taken(tmp_path)
    assert len(first) == len(left) == 1
    assert first != left
