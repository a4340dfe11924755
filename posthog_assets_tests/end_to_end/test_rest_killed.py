"""An API import whose process dies as by a power cut, at moments of its pages: what is fetched and sent afterwards."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets_tests.fakes.export_server import Asked, Reply
from posthog_assets_tests.fakes.killed import kill_during
from posthog_assets_tests.fakes.records_api import Paging, RecordsApi, day_of_records, settings

DAY = date(2024, 3, 1)


def api_import(url: str, folder: str, host: str = "http://127.0.0.1:1", **source: Any) -> Import:
    return Import.read(
        {
            "name": f"killed_{Path(folder).name}", "start_date": DAY, "storage": folder,
            "source": settings(url, **source),
            "dialect": {
                "type": "columns", "event": {"value": "paid"}, "user_id": {"column": "user"},
                "timestamp": {"column": "at"}, "source_id": {"column": "id"},
            },
            "destination": {"host": host, "project_api_key": "phc_any"},
        }
    )  # fmt: skip


def export_in_process(url: str, folder: str, source: dict[str, Any]) -> None:
    export_day(api_import(url, folder, **source), DAY)


@pytest.mark.parametrize(
    ("name", "source", "page"),
    [("paged", {}, 5), ("halved", {"max_rows_per_window": 12}, 9), ("first", {}, 1)],
    ids=["between pages", "between halves of a window", "at the first page"],
)
def test_a_killed_export_goes_on_and_every_record_lands_once(
    name: str, source: dict[str, Any], page: int, tmp_path: Path, shared_sandbox: Any
) -> None:
    slow = True

    def waits(asked: Asked, reply: Reply) -> Reply:
        # The request at which the process dies gets no answer for a while.
        return (
            Reply(reply.status, reply.body, reply.headers, delay=3.0) if slow and len(api.requests) == page else reply
        )

    folder = str(tmp_path / name)
    with RecordsApi(day_of_records(30), Paging(cap=source.get("max_rows_per_window")), waits) as api:
        kill_during(export_in_process, api.url, folder, source, when=lambda: len(api.requests) >= page)
        slow = False
        whole = 10 if name != "halved" else None
        before = len(api.requests)
        imp = api_import(api.url, folder, shared_sandbox.url, **source)
        manifest = export_day(imp, DAY)
        if whole is not None:
            assert len(api.requests) - before == whole - (page - 1)
    assert sum(part.records for part in manifest.parts) == 30
    stage_day(imp, DAY)
    transform_day(imp, DAY)
    assert deliver_day(imp, DAY).owed == 0
    landed = [uuid for uuid, *_, properties in shared_sandbox.events() if properties.get("$import_job_id") == imp.name]
    assert len(landed) == len(set(landed)) == 30
