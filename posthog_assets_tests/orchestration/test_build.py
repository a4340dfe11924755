"""Which assets, jobs and schedules an import has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from posthog_assets.orchestration.build import build_definitions
from posthog_assets.orchestration.find_imports import find_import
from posthog_assets.pipeline.derived_imports import trial_import
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.records.shop import write_import


def test_a_trial_is_found_by_name_and_hangs_on_the_same_raw_export(project: Path) -> None:
    destination = {"host": "http://127.0.0.1:9", "project_api_key": "phc_test"}
    write_import(project, "http://127.0.0.1:9", trial={"persons": 0.5, "destination": destination})
    trial = find_import("shop_trial", project)
    graph = build_definitions(trial).resolve_asset_graph()
    staged = graph.get(dg.AssetKey(["shop_trial", "staged_events"]))
    assert staged.parent_keys == {dg.AssetKey(["shop", "raw_export"])}
    assert dg.AssetKey(["shop_trial", "raw_export"]) not in graph.materializable_asset_keys


def test_a_trial_that_asks_for_first_times_has_facts_of_its_own(project: Path) -> None:
    destination = {"host": "http://127.0.0.1:9", "project_api_key": "phc_test"}
    imp = write_import(
        project, "http://127.0.0.1:9", trial={"persons": 0.5, "destination": destination},
        mapping={"first_time": ["page"]},
    )  # fmt: skip
    keys = {
        name: build_definitions(of).resolve_asset_graph().get(dg.AssetKey([name, "history_facts"])).parent_keys
        for name, of in (("shop", imp), ("shop_trial", trial_import(imp)))
    }
    assert keys == {name: {dg.AssetKey([name, "staged_events"])} for name in ("shop", "shop_trial")}


def names(definitions: dg.Definitions) -> tuple[set[str], set[str], set[str]]:
    """Return the names of jobs, sensors and schedules."""
    found: Any = (definitions.jobs or (), definitions.sensors or (), definitions.schedules or ())
    jobs, sensors, schedules = ({one.name for one in some} for some in found)
    return jobs, sensors, schedules


@pytest.mark.parametrize(
    ("changes", "jobs", "schedules"),
    [
        ({}, set(), {"small_daily"}),
        ({"end_date": "2024-03-02"}, set(), set()),
        ({"retention": {"raw_export": 30}}, {"prune_small"}, {"small_daily", "small_prune"}),
        ({"source_counts": {"path": "counts.csv"}}, {"compare_small"}, {"small_daily"}),
    ],
)
def test_jobs_and_schedules_follow_from_what_the_file_asks_for(
    changes: dict[str, Any], jobs: set[str], schedules: set[str], tmp_path: Path
) -> None:
    found = names(build_definitions(small_import(tmp_path, **changes)))
    always = {"import_small", "check_small", "preview_small", "report_small"}
    assert found[0] == always | jobs
    assert found[2] == {"small_failed_days"} | schedules
    assert len(found[1]) == 3


def test_a_trial_runs_nothing_by_itself(project: Path) -> None:
    destination = {"host": "http://127.0.0.1:9", "project_api_key": "phc_test"}
    imp = write_import(
        project, "http://127.0.0.1:9", trial={"persons": 0.5, "destination": destination}, retention={"raw_export": 1}
    )
    trial = build_definitions(trial_import(imp))
    assert names(trial) == ({"import_shop_trial", "preview_shop_trial"}, set(), set())


def test_the_last_day_of_the_file_is_the_last_partition_and_a_day_is_checked_by_its_own_checks(tmp_path: Path) -> None:
    job = build_definitions(
        small_import(tmp_path, end_date="2024-03-02", source_counts={"path": "counts.csv"})
    ).resolve_job_def("import_small")
    assert job.partitions_def is not None
    assert job.partitions_def.get_partition_keys() == ["2024-03-01", "2024-03-02"]
    checks = {key.name for key in job.asset_layer.asset_graph.asset_check_keys}
    assert "every_raw_record_is_a_row" in checks
    assert not {"no_partition_left_failed", "matches_the_source"} & checks
