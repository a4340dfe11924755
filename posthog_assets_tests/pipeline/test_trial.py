"""Some persons' whole histories go into a test project first."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from posthog_assets.core.errors import ImportFileError, MissingUpstream
from posthog_assets.orchestration.build import build_definitions
from posthog_assets.pipeline.derived_imports import trial_import
from posthog_assets.pipeline.preview.preview import preview_day
from posthog_assets.pipeline.source_counts import compare_with_source
from posthog_assets_tests.fakes.capture_server import CaptureServer
from posthog_assets_tests.records.shop import write_import

DAYS = [date(2024, 3, 1), date(2024, 3, 2)]


def write_exports(project: Path) -> None:
    for day in DAYS:
        lines = [{"id": f"{day}-{n}", "user": f"u{n}", "at": f"{day}T10:00:00Z", "what": "page"} for n in range(200)]
        (project / f"exports/{day}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def materialize(imp: Any, day: date, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    definitions = build_definitions(imp)
    job = definitions.resolve_job_def(f"import_{imp.name}")
    return job.execute_in_process(instance=instance, partition_key=day.isoformat(), raise_on_error=False)


def test_a_trial_takes_whole_persons_and_the_import_itself_is_untouched(project: Path) -> None:
    write_exports(project)
    with CaptureServer() as real, CaptureServer() as test, dg.DagsterInstance.ephemeral() as instance:
        destination = {"host": test.url, "project_api_key": "phc_test"}
        imp = write_import(project, real.url, trial={"persons": 0.25, "destination": destination})
        trial = trial_import(imp)
        for day in DAYS:
            assert "materialize raw_export" in str(materialize(trial, day, instance).get_step_failure_events())
            assert (
                build_definitions(imp)
                .resolve_job_def("import_shop")
                .execute_in_process(
                    instance=instance,
                    partition_key=day.isoformat(),
                    asset_selection=[dg.AssetKey(["shop", "raw_export"])],
                )
                .success
            )
            assert materialize(trial, day, instance).success
        assert real.stored == []
        by_day = [
            {event["distinct_id"] for event in test.stored if event["timestamp"][:10] == day.isoformat()}
            for day in DAYS
        ]
        assert by_day[0] == by_day[1]
        assert 25 <= len(by_day[0]) <= 75
        assert {event["properties"]["$import_job_id"] for event in test.stored} == {"shop_trial"}
        assert materialize(imp, DAYS[0], instance).success
        assert len(real.stored) == 200


def test_a_trial_never_prunes_the_raw_export_it_shares(project: Path) -> None:
    destination = {"host": "http://127.0.0.1:9", "project_api_key": "phc_test"}
    retention = {"raw_export": 0, "staged_events": 0}
    imp = write_import(
        project, "http://127.0.0.1:9", trial={"persons": 0.5, "destination": destination}, retention=retention
    )
    assert trial_import(imp).retention.raw_export == "keep"
    assert trial_import(imp).retention.staged_events == 0


def test_a_trial_fetches_nothing_itself_and_is_not_compared_with_the_numbers_of_all_persons(project: Path) -> None:
    write_exports(project)
    destination = {"host": "http://127.0.0.1:9", "project_api_key": "phc_test"}
    imp = write_import(
        project, "http://127.0.0.1:9", trial={"persons": 0.5, "destination": destination},
        source_counts={"path": "counts.csv"},
    )  # fmt: skip
    trial = trial_import(imp)
    with pytest.raises(MissingUpstream, match="shop/raw_export has no partition 2024-03-01 yet: materialize"):
        preview_day(trial, DAYS[0])
    assert trial.store.names("raw_export") == []
    with pytest.raises(ImportFileError, match="shop_trial has no section source_counts"):
        compare_with_source(trial)
