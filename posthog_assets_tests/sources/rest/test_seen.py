"""Remembering keys in little memory."""

from __future__ import annotations

from hashlib import md5

from posthog_assets.sources.rest.seen import SeenKeys


def keys(first: int, last: int) -> list[bytes]:
    return [md5(str(number).encode()).digest() for number in range(first, last)]


def test_what_was_added_is_held_whatever_the_order_and_the_runs() -> None:
    seen = SeenKeys()
    for first in range(0, 1_000, 10):
        seen.add(keys(first, first + 10)[::-1])
    assert seen.holds(keys(0, 1_000)).all()
    assert not seen.holds(keys(1_000, 2_000)).any()


def test_runs_stay_few() -> None:
    seen = SeenKeys()
    for number in range(1_000):
        seen.add(keys(number, number + 1))
    assert len(seen._runs) <= 10
    assert sum(map(len, seen._runs)) == 1_000


def test_keys_with_zero_bytes_at_their_end_stay_apart() -> None:
    seen = SeenKeys()
    seen.add([b"a" * 15 + b"\0"])
    assert seen.holds([b"a" * 15 + b"\0", b"a" * 16]).tolist() == [True, False]


def test_what_two_sets_hold_is_held_by_one_that_joins_the_other() -> None:
    one, other = SeenKeys(), SeenKeys()
    one.add(keys(0, 5))
    other.add(keys(5, 20))
    one.join(other)
    assert one.holds(keys(0, 20)).all()
    assert not other.holds(keys(0, 5)).any()


def test_nothing_added_holds_nothing() -> None:
    seen = SeenKeys()
    seen.add([])
    assert seen.holds(keys(0, 2)).tolist() == [False, False]
    assert seen.holds([]).tolist() == []
