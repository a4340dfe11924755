"""What the sensors share: the time of a tick, and how many days may be under way."""

from __future__ import annotations

import time
from functools import cached_property
from typing import Any, Final

import dagster as dg

from posthog_assets.orchestration.history import History

#: Says, on every run that a sensor or schedule of ours starts, which one it was.
BY_TAG: Final = "posthog_assets/by"


ATTEMPT_TAG: Final = "posthog_assets/retry_attempt"


#: Dagster ends a tick after 60 seconds; what is decided until then is lost.
_TICK_SECONDS: Final = 30.0


Partitions = dg.TimeWindowPartitionsDefinition


Job = Any


def default_status(enabled: bool) -> dg.DefaultSensorStatus:
    return dg.DefaultSensorStatus.RUNNING if enabled else dg.DefaultSensorStatus.STOPPED


class TickClock:
    """Says when a tick has used up its time."""

    def __init__(self) -> None:
        self._until = time.monotonic() + _TICK_SECONDS

    def out_of_time(self) -> bool:
        return time.monotonic() > self._until


class FreePlaces:
    """How many more days may be under way; counted when it is first asked for."""

    def __init__(self, history: History, most: int) -> None:
        self._history = history
        self._most = most

    @cached_property
    def left(self) -> int:
        return max(0, self._most - self._history.days_under_way())
