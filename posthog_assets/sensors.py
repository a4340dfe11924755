"""What an import does by itself: sensors for new data, failed days and messages, and the daily schedule.

Belongs here: Dagster's side of `automation`. Does not belong here: which days are new (`new_data`), what failed and why
(`history`), the words of messages (`notices`).

Every kind of failure has one owner, so that no two of them try again on top of each other:

| what failed | who tries again |
|---|---|
| an HTTP request | the step itself, within its own budget (`capture.sender`, the sources) |
| a step, for a reason that passes soon | the asset's retry policy, at once |
| the run's process | Dagster's daemon, once (`run_retries` in dagster.yaml) |
| what is failed after all that | `<import>_retry_failed`, with growing pauses, a bounded number of times |
| what trying again cannot cure | a person |
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, Final

import dagster as dg

from posthog_assets import new_data, notices
from posthog_assets.automation import cron_of
from posthog_assets.history import PARTITION_TAG, STEPS, WILL_RETRY_TAG, Cause, History, Status
from posthog_assets.import_file import Import

#: Says, on every run that a sensor or schedule of ours starts, which one it was.
BY_TAG: Final = "posthog_assets/by"
ATTEMPT_TAG: Final = "posthog_assets/retry_attempt"

#: Dagster ends a tick after 60 seconds; what is decided until then is lost.
_TICK_SECONDS: Final = 30.0

#: Days around the import's own for which a source that lists is asked too, to say why they are left out.
_STRAYS: Final = 366

#: Dagster's daemon takes up a run it will retry within minutes; after this long it has forgotten it.
_FORGOTTEN: Final = timedelta(hours=1)

#: Failed runs told of in one message.
_NOTICES: Final = 200

Partitions = dg.TimeWindowPartitionsDefinition
Job = Any


def build_sensors(imp: Import, partitions: Partitions, job: Job) -> list[dg.SensorDefinition]:
    """Return the sensors of an import; they run from the start only where `automation` says so."""
    return [
        build_new_data_sensor(imp, partitions, job),
        build_retry_sensor(imp, partitions, job),
        build_notice_sensor(imp, partitions),
    ]


def _status(enabled: bool) -> dg.DefaultSensorStatus:
    return dg.DefaultSensorStatus.RUNNING if enabled else dg.DefaultSensorStatus.STOPPED


class _Clock:
    """Says when a tick has used up its time."""

    def __init__(self, seconds: float = _TICK_SECONDS) -> None:
        self._until = time.monotonic() + seconds

    def out_of_time(self) -> bool:
        return time.monotonic() > self._until


# --- new data -----------------------------------------------------------------------------------------------


def build_new_data_sensor(imp: Import, partitions: Partitions, job: Job) -> dg.SensorDefinition:
    """Return `<import>_new_data`: imports days that appear or change in the source."""
    settings = imp.automation.new_data

    @dg.sensor(
        name=f"{imp.name}_new_data",
        job=job,
        minimum_interval_seconds=settings.every_seconds,
        default_status=_status(settings.enabled),
        description="Imports days that are new in the source or have changed there; only changed events are sent again",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        try:
            before = new_data.Cursor.read(context.cursor)
        except ValueError as error:
            context.log.warning(f"the sensor's cursor is unreadable and starts anew, no day is lost: {error}")
            before = new_data.Cursor()
        history = History(context.instance, imp.name, partitions)
        made = new_data.plan(imp.source, _days(imp, history.keys), before, _rules(imp, history))
        sentence = made.sentence()
        if made.failure:
            context.log.warning(sentence)
        if not made.wanted:
            return dg.SensorResult(skip_reason=sentence, cursor=made.cursor.write())
        context.log.info(sentence)
        requests = [_import_request(history, wanted) for wanted in made.wanted]
        return dg.SensorResult(run_requests=requests, cursor=made.cursor.write())

    return sensor


def _days(imp: Import, keys: tuple[str, ...]) -> list[date]:
    """Return the days to look at: the import's own, today (to say that it waits), and strays where that is cheap."""
    days = [date.fromisoformat(key) for key in keys]
    if imp.source.lists:
        first, last = imp.start_date, max([imp.start_date, *days])
        days += [first - timedelta(days=n) for n in range(1, _STRAYS)] + [
            last + timedelta(days=n) for n in range(1, _STRAYS)
        ]
    return days


def _rules(imp: Import, history: History) -> new_data.Rules:
    settings, clock = imp.automation.new_data, _Clock()
    room = _Room(history, settings.days_at_once)
    return new_data.Rules(
        days=frozenset(date.fromisoformat(key) for key in history.keys),
        now=datetime.now(UTC),
        settle=timedelta(seconds=settings.settle_seconds),
        room=lambda: room.left,
        available_at=imp.source.available_at,
        standing=lambda day: _standing(history, day.isoformat()),
        is_pinned=lambda day, fingerprint: new_data.is_pinned(imp.store, day, imp.source.position(fingerprint)),
        out_of_time=clock.out_of_time,
    )


class _Room:
    """How many more days may be under way; counted when it is first asked for."""

    def __init__(self, history: History, most: int) -> None:
        self._history = history
        self._most = most

    @cached_property
    def left(self) -> int:
        return max(0, self._most - self._history.days_under_way())


def _standing(history: History, key: str) -> new_data.Standing:
    if history.under_way(key):
        return new_data.Standing.UNDER_WAY
    imported = history.status("imported_batches", key) is Status.MATERIALIZED
    return new_data.Standing.IMPORTED if imported else new_data.Standing.OPEN


def _import_request(history: History, wanted: new_data.Wanted) -> dg.RunRequest:
    """Return a request that Dagster launches once: what is wanted, and the run it comes after.

    The fingerprint alone would never let a day that changes back be imported again.
    """
    day = wanted.day.isoformat()
    last = history.last_run(day, "raw_export")
    return dg.RunRequest(
        run_key=f"{day}:{new_data.digest(wanted.fingerprint)}:{last.run_id[:8] if last else 'first'}",
        partition_key=day,
        tags={BY_TAG: "new_data", "posthog_assets/why": "changed" if wanted.changed else "new"},
    )


# --- failed days --------------------------------------------------------------------------------------------


def build_retry_sensor(imp: Import, partitions: Partitions, job: Job) -> dg.SensorDefinition:
    """Return `<import>_retry_failed`: runs failed days again, from the step that failed."""
    settings = imp.automation.retry_failed

    @dg.sensor(
        name=f"{imp.name}_retry_failed",
        job=job,
        minimum_interval_seconds=settings.every_seconds,
        default_status=_status(settings.enabled),
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
        self._room = _Room(history, self._settings.days_at_once)
        self._clock = _Clock()
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
        causes = self._history.causes(run)
        if person := next((cause for cause in causes if self._is_left(cause, day)), None):
            return f"left to a person ({person.error})"
        asked = timedelta(seconds=max(cause.retry_after for cause in causes))
        if age < (pause := max(self._settings.delay(tried), asked)):
            return f"to be tried again {_minutes(pause)} after failing"
        return None

    def _is_left(self, cause: Cause, day: str) -> bool:
        """Whether *cause* waits for a person who has not acted: its own step has not succeeded since."""
        status = self._history.status(cause.asset, day) if cause.asset in STEPS else Status.FAILED
        return cause.waits_for_a_person and status is Status.FAILED


def _tried(run: dg.DagsterRun) -> int:
    """Return how many tries of this sensor led to *run*; a run that a person started counts anew."""
    by_person = "dagster/parent_run_id" in run.tags and "dagster/retry_number" not in run.tags
    attempt = run.tags.get(ATTEMPT_TAG, "")
    return int(attempt) if attempt.isdigit() and not by_person else 0


def _minutes(pause: timedelta) -> str:
    return f"{math.ceil(pause.total_seconds() / 60):,} minutes"


# --- messages -----------------------------------------------------------------------------------------------


def build_notice_sensor(imp: Import, partitions: Partitions) -> dg.SensorDefinition:
    """Return `<import>_failure_notices`: says in its log, and at the webhook, which runs failed and what to do.

    Dagster's own run failure sensor calls once per run and handles five runs a tick: a backfill of a thousand days
    that fail alike would be a thousand messages over hours.
    """
    notify = imp.automation.notify

    @dg.sensor(
        name=f"{imp.name}_failure_notices",
        minimum_interval_seconds=notify.every_seconds,
        default_status=_status(notify.starts),
        description="Tells of failed runs, alike ones together: in this sensor's log, and at automation.notify.webhook",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        since = _event_id(context.cursor)
        if since is None:
            newest = context.instance.fetch_run_status_changes(dg.DagsterEventType.RUN_FAILURE, limit=1).records
            context.update_cursor(str(newest[0].storage_id if newest else 0))
            return dg.SkipReason("failures from now on are told")
        history = History(context.instance, imp.name, partitions)
        last, failures = _failures_since(context.instance, history, since)
        if failures:
            text = notices.message(imp.name, failures, notify.ui_url)
            context.log.error(text)
            if trouble := notices.post(notify, text):
                context.log.warning(f"{trouble}; the next tick tries again")
                return dg.SkipReason(
                    f"{len(failures)} failures could not be told: {trouble}; the next tick tries again"
                )
        context.update_cursor(str(last))
        return dg.SkipReason(f"told of {len(failures)} failures" if failures else "no run has failed")

    return sensor


def _event_id(cursor: str | None) -> int | None:
    return int(cursor) if cursor and cursor.isdigit() else None


def _failures_since(instance: dg.DagsterInstance, history: History, since: int) -> tuple[int, list[notices.Failed]]:
    """Return the newest event looked at, and the failed runs of this import that Dagster does not retry itself."""
    records = instance.fetch_run_status_changes(
        dg.RunStatusChangeRecordsFilter(event_type=dg.DagsterEventType.RUN_FAILURE, after_storage_id=since),
        limit=_NOTICES,
        ascending=True,
    ).records
    failures = []
    for record in records:
        run = instance.get_run_by_id(record.run_id)
        if run and history.owns(run) and run.tags.get(WILL_RETRY_TAG) != "true":
            failures.append(notices.Failed(run.run_id, run.tags.get(PARTITION_TAG), history.causes(run)[0]))
    return records[-1].storage_id if records else since, failures


# --- schedule -----------------------------------------------------------------------------------------------


def build_daily_schedule(imp: Import, partitions: Partitions, job: Job) -> dg.ScheduleDefinition | None:
    """Return `<import>_daily`: imports the last complete day, once a day; None for an import that has an end."""
    if imp.end_date:
        return None
    settings = imp.automation.daily

    @dg.schedule(
        name=f"{imp.name}_daily",
        job=job,
        cron_schedule=cron_of(settings.at),
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if settings.enabled else dg.DefaultScheduleStatus.STOPPED,
        description="Imports, once a day, the last day whose data is complete",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now = context.scheduled_execution_time
        keys = partitions.get_partition_keys(current_time=now)
        complete = [key for key in keys[-40:] if imp.source.available_at(date.fromisoformat(key)) <= now]
        if not complete:
            return dg.SkipReason("no day of the import is complete yet")
        return dg.RunRequest(run_key=complete[-1], partition_key=complete[-1], tags={BY_TAG: "daily"})

    return schedule
