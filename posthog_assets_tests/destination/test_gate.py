"""The gate: one request at a time while PostHog is in doubt, pauses that hold for all lanes, an end to every outage."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from posthog_assets.core.errors import Unavailable
from posthog_assets.destination.gate import Gate
from posthog_assets.storage.rates import Stopped


def gate(budget: float = 5.0) -> tuple[Gate, threading.Event]:
    stopped = threading.Event()
    return Gate(budget, stopped), stopped


def inside_together(passages: Gate, lanes: int) -> bool:
    """Whether so many requests leave at the same time."""
    meeting = threading.Barrier(lanes)
    met: list[bool] = []

    def lane() -> None:
        with passages.passage():
            try:
                meeting.wait(0.1)
            except threading.BrokenBarrierError:
                return
            met.append(True)

    threads = [threading.Thread(target=lane) for _ in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(met) == lanes


def test_requests_leave_one_at_a_time_until_posthog_has_answered_and_again_when_it_refuses() -> None:
    passages, _ = gate()
    assert not inside_together(passages, 2)
    passages.open()
    assert inside_together(passages, 3)
    passages.doubt()
    assert not inside_together(passages, 2)


def test_after_a_failure_nothing_leaves_before_its_pause_is_over() -> None:
    passages, _ = gate()
    passages.open()
    began = time.monotonic()
    used = passages.failed(0.15, took=0.5)
    assert used >= 0.65
    with passages.passage():
        assert time.monotonic() - began >= 0.15
    assert not inside_together(passages, 2)


def test_pauses_grow_with_each_failure_and_begin_again_after_an_answer() -> None:
    passages, _ = gate(1e9)
    pauses = [passages.failed(0.0, took=0.0) for _ in range(6)]
    assert all(later > earlier for earlier, later in itertools.pairwise(pauses))
    passages.open()
    assert passages.failed(0.0, took=0.0) < pauses[1]


def test_an_outage_ends_the_run_when_it_lasted_longer_than_the_budget_and_not_before() -> None:
    passages, _ = gate(100.0)
    passages.failed(0.0, took=99.0)
    assert not passages.exhausted
    passages.failed(0.0, took=1.0)
    assert passages.exhausted
    passages.open()
    assert not passages.exhausted


def test_waiting_as_asked_costs_no_budget() -> None:
    passages, stopped = gate(1.0)
    for _ in range(5):
        passages.wait_as_asked(3_600.0)
    assert not passages.exhausted
    stopped.set()
    with pytest.raises(Stopped), passages.passage():
        pass


def test_a_server_that_asks_for_more_than_an_hour_is_left_to_another_run() -> None:
    passages, _ = gate()
    with pytest.raises(Unavailable, match=r"to wait for 3,601 s: the run ends, and the events stay owed") as raised:
        passages.wait_as_asked(3_601.0)
    assert raised.value.retry_after == 3_601.0


def test_a_server_that_only_asks_to_wait_is_left_after_a_hundred_times_in_a_row() -> None:
    passages, _ = gate()
    for _ in range(100):
        passages.wait_as_asked(None)
    passages.open()
    for _ in range(100):
        passages.wait_as_asked(None)
    with pytest.raises(Unavailable, match="100 times in a row"):
        passages.wait_as_asked(None)


def test_a_delivery_that_ends_wakes_those_who_wait() -> None:
    passages, stopped = gate()
    passages.wait_as_asked(600.0)
    threading.Timer(0.05, stopped.set).start()
    began = time.monotonic()
    with pytest.raises(Stopped), passages.passage():
        pass
    assert time.monotonic() - began < 30
