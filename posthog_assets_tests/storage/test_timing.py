"""What leases and tries are timed by."""

from __future__ import annotations

import time

from posthog_assets.storage.timing import Timing, machine_seconds


def test_the_spans_are_those_that_every_process_of_a_storage_has() -> None:
    # Another release beside this one takes a lease over by these; a change needs both to be stopped.
    timing = Timing()
    assert (timing.life, timing.skew, timing.settle, timing.tries) == (60.0, 15.0, 2.0, 6)
    assert timing.sleep is time.sleep


def test_the_clock_of_a_machine_does_not_go_back() -> None:
    seconds = [machine_seconds() for _ in range(100)]
    assert seconds == sorted(seconds)
