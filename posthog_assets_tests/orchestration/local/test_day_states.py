"""How the days of an import stand."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from posthog_assets.orchestration.build import build_definitions
from posthog_assets.orchestration.history import job_name
from posthog_assets.orchestration.local.day_states import read_day_states
from posthog_assets.orchestration.local.project import ImportJob
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.storage.layout import staged_path
from posthog_assets_tests.pipeline.test_column_types import FIRST, SECOND, csv_import


def test_days_whose_column_turned_out_to_hold_text_are_behind_and_profiles_are_no_day(tmp_path: Path) -> None:
    imp = csv_import(tmp_path, {FIRST: ["12345"], SECOND: ["01234"]}, "zip")
    imp.store.write_bytes(staged_path("people"), b"profiles")
    for day in (FIRST, SECOND):
        stage_day(imp, day)
    job = ImportJob(imp, build_definitions(imp).resolve_job_def(job_name(imp.name)))
    with dg.DagsterInstance.ephemeral() as instance:
        assert read_day_states(instance, job, [FIRST, SECOND]).behind["staged_events"] == {FIRST}
