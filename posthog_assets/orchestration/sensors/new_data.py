"""The sensor for new and changed days.

Belongs here: Dagster's side of `automation.new_data`. Does not belong here: which days are new (`new_data_plan`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

import dagster as dg

from posthog_assets.orchestration.history import History, State
from posthog_assets.orchestration.sensors import new_data_plan as new_data
from posthog_assets.orchestration.sensors.ticks import BY_TAG, FreePlaces, Job, Partitions, TickClock, default_status
from posthog_assets.pipeline.config.import_file import Import

#: Days around the import's own for which a source that lists is asked too, to say why they are left out.
_STRAYS: Final = 366


def build_new_data_sensor(imp: Import, partitions: Partitions, job: Job) -> dg.SensorDefinition:
    """Return `<import>_new_data`: imports days that appear or change in the source."""
    settings = imp.automation.new_data

    @dg.sensor(
        name=f"{imp.name}_new_data",
        job=job,
        minimum_interval_seconds=settings.every_seconds,
        default_status=default_status(settings.enabled),
        description="Imports days that are new in the source or have changed there; only changed events are sent again",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        try:
            before = new_data.Cursor.read(context.cursor)
        except ValueError as error:
            context.log.warning(f"the sensor's cursor is unreadable and starts again, no day is lost: {error}")
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
    settings, clock = imp.automation.new_data, TickClock()
    room = FreePlaces(history, settings.days_at_once)
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


def _standing(history: History, key: str) -> new_data.Standing:
    if history.under_way(key):
        return new_data.Standing.UNDER_WAY
    imported = history.state("imported_batches", key) is State.MATERIALIZED
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
