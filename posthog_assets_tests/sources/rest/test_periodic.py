"""An API that is read again and again: what changes later is sent once more, nothing else, and nothing twice."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import time_machine

from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets_tests.fakes.export_server import Asked, ExportServer, Reply
from posthog_assets_tests.fakes.records_api import DAY, RecordsApi, record, settings

FIRST = date(2024, 3, 1)


def imported(imp: Import) -> tuple[int, int]:
    """Run a day; returns how many events were sent, and how many PostHog has acknowledged in all."""
    export_day(imp, FIRST)
    stage_day(imp, FIRST)
    transform_day(imp, FIRST)
    report = deliver_day(imp, FIRST)
    assert report.owed == 0
    return report.sent, report.acknowledged


def api_import(url: str, folder: Path, sandbox: Any, **source: Any) -> Import:
    return Import.read(
        {
            "name": "periodic", "start_date": FIRST, "storage": str(folder),
            "source": settings(url, **source),
            "dialect": {
                "type": "columns", "event": {"value": "paid"}, "user_id": {"column": "user"},
                "timestamp": {"column": "at"}, "source_id": {"column": "id"},
            },
            "destination": {"host": sandbox.url, "project_api_key": "phc_any"},
        }
    )  # fmt: skip


def test_a_day_is_read_again_after_look_back_days_and_only_changed_events_are_sent(
    tmp_path: Path, shared_sandbox: Any
) -> None:
    with RecordsApi([record(n, DAY + timedelta(hours=n), state="paid") for n in range(5)]) as api:
        imp = api_import(api.url, tmp_path, shared_sandbox, look_back_days=7)
        with time_machine.travel(datetime(2024, 3, 2, 1, tzinfo=UTC), tick=True):
            assert imported(imp) == (5, 5)
            asked = len(api.requests)
            assert imported(imp) == (0, 5)
            assert len(api.requests) == asked
        api.records[2] = api.records[2] | {"state": "refunded"}
        api.records.append(record(9, DAY + timedelta(hours=9), state="paid"))
        with time_machine.travel(datetime(2024, 3, 9, 1, tzinfo=UTC), tick=True):
            assert imported(imp) == (2, 6)
            assert imported(imp) == (0, 6)
    landed = {
        uuid: properties["state"]
        for uuid, event, _, _, properties in shared_sandbox.events()
        if properties.get("$import_job_id") == "periodic"
    }
    assert sorted(landed.values()) == ["paid"] * 5 + ["refunded"]


class RecordedApi(ExportServer):
    """GitHub's events of a repository's network, as GH Archive recorded them: Link headers, 100 a page, newest first.

    Described by OpenAPI as `activity/list-public-events` (github.com/github/rest-api-description).
    """

    def __init__(self, events: list[dict[str, Any]]) -> None:
        super().__init__()
        self.recorded = sorted(events, key=lambda event: event["created_at"], reverse=True)

    def reply(self, asked: Asked) -> Reply:
        page, size = int(asked.fields.get("page", 1)), int(asked.fields.get("per_page", 30))
        assert asked.path == "/events" and size <= 100
        part = self.recorded[(page - 1) * size : page * size]
        more = f'<{self.url}/events?per_page={size}&page={page + 1}>; rel="next"'
        headers = {"Link": more} if page * size < len(self.recorded) else {}
        return Reply(body=json.dumps(part).encode(), headers=headers)


def test_a_recorded_api_that_openapi_describes_is_read_whole(tmp_path: Path, real_data: Any) -> None:
    lines = gzip.decompress(real_data("github-events-2021-07-21.jsonl.gz").read_bytes()).splitlines()
    events = [json.loads(line) for line in lines]
    day = date(2021, 7, 21)
    with RecordedApi(events) as api:
        imp = Import.read(
            {
                "name": "events", "start_date": day, "storage": str(tmp_path),
                "source": {
                    "type": "rest", "order": "newest_first",
                    "client": {"base_url": api.url, "paginator": "header_link"},
                    "endpoint": {
                        "path": "events", "params": {"per_page": 100}, "primary_key": "id",
                        "incremental": {"cursor_path": "created_at"},
                    },
                },
                "dialect": {
                    "type": "columns", "event": {"column": "type"}, "user_id": {"column": "actor.login"},
                    "timestamp": {"column": "created_at"}, "source_id": {"column": "id"},
                },
            }
        )  # fmt: skip
        manifest = export_day(imp, day)
    stage_day(imp, day)
    report = transform_day(imp, day)
    truth = {event["id"] for event in events if event["created_at"].startswith("2021-07-21")}
    assert sum(part.records for part in manifest.parts) == len(truth) > 500
    assert report.rows - report.rejected == len(truth)
