"""How requests to stop are taken while days run; the days themselves are in `end_to_end/test_backfill`."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from posthog_assets.orchestration.local.workers import StopRequests


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_counted_instead_of_raised_and_the_first_is_answered(number: signal.Signals) -> None:
    answers: list[str] = []
    before = signal.getsignal(number)
    with StopRequests(lambda: answers.append("finishing")) as stop:
        for _ in range(2):
            os.kill(os.getpid(), number)
        assert (stop.count, answers) == (2, ["finishing"])
    assert signal.getsignal(number) is before


def test_in_another_thread_signals_stay_what_they_were() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with StopRequests() as stop:
            seen.append((signal.getsignal(signal.SIGINT), stop.count))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(before, 0)]
