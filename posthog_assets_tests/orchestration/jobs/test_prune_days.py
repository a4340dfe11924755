"""The job that applies an import's retention, and its schedule."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from posthog_assets.orchestration.build import build_definitions
from posthog_assets.sources.manifest import RawExport
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.capture_server import CaptureServer
from posthog_assets_tests.pipeline.upkeep.test_prune import DAY, LINES, imported


def test_the_schedule_is_stopped_until_asked_for_and_its_job_prunes(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / f"exports/{DAY}.jsonl").write_text("\n".join(LINES) + "\n")
    assert build_definitions(small_import(tmp_path)).schedules is not None
    assert "small_prune" not in [
        schedule.name for schedule in build_definitions(small_import(tmp_path)).schedules or []
    ]
    with CaptureServer() as server:
        destination = {"host": server.url, "project_api_key": "phc_any"}
        imp = small_import(tmp_path, retention={"raw_export": 0}, destination=destination)
        imported(imp)
        definitions = build_definitions(imp)
        schedule = definitions.resolve_schedule_def("small_prune")
        assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
        assert definitions.resolve_job_def("prune_small").execute_in_process().success
    assert RawExport(imp.store, DAY).is_pruned
