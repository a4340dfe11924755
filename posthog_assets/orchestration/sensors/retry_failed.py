"""The sensor that runs failed days again.

Belongs here: Dagster's side of `automation.retry_failed`. Does not belong here: what failed and why (`history`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from posthog_assets.orchestration.failures import Failure
from posthog_assets.orchestration.history import STEPS, WILL_RETRY_TAG, History, State
from posthog_assets.orchestration.sensors import new_data_plan as new_data
from posthog_assets.orchestration.sensors.ticks import (
    ATTEMPT_TAG,
    BY_TAG,
    FreePlaces,
    Job,
    Partitions,
    TickClock,
    default_status,
)
from posthog_assets.pipeline.config.import_file import Import

#: Dagster's daemon takes up a run it will retry within minutes; after this long it has forgotten it.
_FORGOTTEN: Final = timedelta(hours=1)


def build_retry_sensor(imp: Import, partitions: Partitions, job: Job) -> dg.SensorDefinition:
    """Return `<import>_retry_failed`: runs failed days again, from the step that failed."""
    settings = imp.automation.retry_failed

    @dg.sensor(
        name=f"{imp.name}_retry_failed",
        job=job,
        minimum_interval_seconds=settings.every_seconds,
        default_status=default_status(settings.enabled),
        description="Runs failed days again, from the step that failed, with growing pauses and not for ever; what "
        "trying again cannot cure is left to a person",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        retries = _Retries(imp, History(context.instance, imp.name, partitions))
        requests = list(retries.requests(_day_after(context.cursor)))
        sentence = "; ".join(
            f"{new_data.count(len(days))} {why}: {', '.join(days[:3])}" for why, days in retries.left.items()
        )
        if requests:
            context.log.info(sentence or "all failed days are tried again")
        skip = None if requests else sentence or "no day is failed"
        return dg.SensorResult(run_requests=requests, skip_reason=skip, cursor=json.dumps({"after": retries.last}))

    return sensor


def _day_after(cursor: str | None) -> str:
    """Return the day after which the last tick ran out of time or room, "" where there is none."""
    try:
        after = json.loads(cursor or "{}").get("after")
    except (ValueError, AttributeError):
        after = None
    return after if isinstance(after, str) else ""


class _Retries:
    """What one tick does about the failed days; how often a day was tried stands in the tags of its runs."""

    def __init__(self, imp: Import, history: History) -> None:
        self._settings = imp.automation.retry_failed
        self._history = history
        self._room = FreePlaces(history, self._settings.days_at_once)
        self._clock = TickClock()
        #: Days that are not tried again now, by reason.
        self.left: dict[str, list[str]] = {}
        #: The last day looked at, where there was no time or room for all.
        self.last: str | None = None

    def requests(self, after: str) -> Iterator[dg.RunRequest]:
        failed = self._history.failed()
        ordered = [day for day in failed if day > after] + [day for day in failed if day <= after]
        made = 0
        for day in ordered:
            if made >= self._room.left or self._clock.out_of_time():
                return
            if request := self._request(day, failed[day]):
                made += 1
                yield request
            self.last = day
        self.last = None

    def _request(self, day: str, step: str) -> dg.RunRequest | None:
        run = self._history.last_run(day, step)
        why = self._not_now(day, run)
        if why or run is None:
            self.left.setdefault(why or "without a run to learn from", []).append(day)
            return None
        # What did not land is owed again, and imported_batches is who sends it.
        first = min(STEPS.index(step), STEPS.index("imported_batches"))
        return dg.RunRequest(
            run_key=f"{day}:{run.run_id}",
            partition_key=day,
            asset_selection=[self._history.asset_key(name) for name in STEPS[first:]],
            tags={BY_TAG: "retry_failed", ATTEMPT_TAG: str(_tried(run) + 1)},
        )

    def _not_now(self, day: str, run: dg.DagsterRun | None) -> str | None:
        if self._history.under_way(day):
            return "queued or running already"
        if run is None or run.status is not dg.DagsterRunStatus.FAILURE:
            return "without a failed run to learn from"
        ended = self._history.end_of(run)
        age = datetime.now(UTC) - ended
        if run.tags.get(WILL_RETRY_TAG) == "true" and age < _FORGOTTEN:
            return "retried by Dagster itself"
        if (tried := _tried(run)) >= self._settings.attempts:
            return f"given up after {tried} {'try' if tried == 1 else 'tries'}"
        failures = self._history.failures(run)
        if person := next((failure for failure in failures if self._is_left(failure, day)), None):
            return f"left to a person ({person.error})"
        asked = timedelta(seconds=max(failure.retry_after for failure in failures))
        if age < (pause := max(self._settings.delay(tried), asked)):
            return f"to be tried again {_minutes(pause)} after failing"
        return None

    def _is_left(self, failure: Failure, day: str) -> bool:
        """Whether *failure* waits for a person who has not acted: its own step has not succeeded since."""
        state = self._history.state(failure.asset, day) if failure.asset in STEPS else State.FAILED
        return failure.waits_for_a_person and state is State.FAILED


def _tried(run: dg.DagsterRun) -> int:
    """Return how many tries of this sensor led to *run*; a run that a person started counts from zero."""
    by_person = "dagster/parent_run_id" in run.tags and "dagster/retry_number" not in run.tags
    attempt = run.tags.get(ATTEMPT_TAG, "")
    return int(attempt) if attempt.isdigit() and not by_person else 0


def _minutes(pause: timedelta) -> str:
    return f"{math.ceil(pause.total_seconds() / 60):,} minutes"
