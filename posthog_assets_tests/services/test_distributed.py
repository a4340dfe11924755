"""A backfill on several machines, one of which loses its power in the middle of a day."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path

import pytest

from posthog_assets_tests.conftest import small_attributes
from posthog_assets_tests.fakes.capture_server import Asked, CaptureServer, Reply
from posthog_assets_tests.fakes.dagster_dev import until
from posthog_assets_tests.records.shop_of_days import day_of, days_of

for module, extra in (("dagster_celery", "distributed"), ("s3fs", "s3"), ("moto", "dev")):
    pytest.importorskip(module, reason=f"needs posthog_assets[{extra}]")

ASSETS = ("raw_export", "staged_events", "posthog_events", "imported_batches", "landed_events")
DAYS = days_of(8)
EVENTS = 30

#: The day whose machine dies.
FATAL = DAYS[2]


def export(day: str) -> str:
    return "".join(
        json.dumps({"id": f"{day}-{n}", "user": f"u{n % 7}", "at": f"{day}T10:00:{n:02d}Z", "what": "page"}) + "\n"
        for n in range(EVENTS)
    )


def test_a_backfill_over_two_machines_survives_the_death_of_one(tmp_path: Path) -> None:
    from posthog_assets_tests.fakes.cluster import cluster

    sending, died = threading.Event(), threading.Event()
    asked_for: Counter[str | None] = Counter()

    def script(asked: Asked) -> Reply | None:
        day = day_of(asked)
        asked_for[day] += 1
        if day == FATAL and asked_for[day] == 2:
            # Taken, but its machine never learns of it.
            sending.set()
            died.wait(120)
        return None

    with CaptureServer(script) as posthog:
        attributes = small_attributes(
            tmp_path, end_date=DAYS[-1],
            destination={"host": posthog.url, "project_api_key": "phc_any", "batch_events": 10, "concurrency": 1},
        )  # fmt: skip
        for name in ("storage", "source"):
            del attributes[name]
        with cluster(tmp_path, attributes, {day: export(day) for day in DAYS}) as machines:
            dagster = machines.dagster
            backfill = dagster.backfill([("small", asset) for asset in ASSETS], DAYS, max_runtime="110")
            until("the fatal day is being sent", sending.is_set)
            machines.worker_of("small", FATAL).kill()
            died.set()
            status, runs = dagster.finished_backfill(backfill)
            green = {asset: dagster.days("small", asset) for asset in ASSETS}
            ((recorded,),) = machines.postgres.run("SELECT count(*) FROM runs")

        failed = [(run.day, run.status) for run in runs if run.status != "SUCCESS"]
        assert (status, failed) == ("COMPLETED_SUCCESS", [(FATAL, "FAILURE")])
        assert green == {asset: {"MATERIALIZED": DAYS} for asset in ASSETS}
        # Eight days and a retry, all of them in the common record; both machines worked.
        assert recorded == 9
        assert all(worker.runs >= 1 for worker in machines.workers)

        taken = Counter((event["uuid"], event["properties"]["$import_day"]) for event in posthog.stored)
        assert Counter(day for _, day in taken) == dict.fromkeys(DAYS, EVENTS)
        # What was in flight when the machine died is sent again under the same uuids; nothing else is.
        assert Counter(day for (_, day), count in taken.items() for _ in range(count - 1)) == {FATAL: 10}
