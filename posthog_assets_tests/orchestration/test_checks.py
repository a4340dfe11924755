"""The check that no day was left failed: what it counts, and what it says is to be done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from posthog_assets.orchestration.checks import build_check_job, build_failed_days_check, check_key
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.scripted_days import DAYS, ScriptedDays, failure


@pytest.fixture(scope="module")
def days() -> Iterator[tuple[dg.DagsterInstance, ScriptedDays]]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance, ScriptedDays(instance)


def checked(instance: dg.DagsterInstance, folder: Path) -> dg.AssetCheckResult:
    check = build_failed_days_check(small_import(folder), DAYS)
    result = check(dg.build_asset_check_context(instance=instance))
    assert isinstance(result, dg.AssetCheckResult)
    return result


def test_failed_days_are_counted_by_step_until_they_are_repaired(
    days: tuple[dg.DagsterInstance, ScriptedDays], tmp_path: Path
) -> None:
    instance, runs = days
    assert (checked(instance, tmp_path).passed, checked(instance, tmp_path).metadata["failed_days"].value) == (True, 0)
    refused = failure("no")
    runs.run("2024-03-04", ["landed_events"], {"landed_events": refused})
    runs.run("2024-03-02", ["raw_export"], {"raw_export": refused})
    found = checked(instance, tmp_path)
    assert (found.passed, found.description) == (False, "2 days are failed, first at raw_export")
    assert found.metadata["sample"].value == ["2024-03-02", "2024-03-04"]
    assert found.metadata["by_step"].value == {"raw_export": 1, "landed_events": 1}
    assert "open a failed day of `raw_export`" in str(found.metadata["recovery"].value)
    assert "the sensor `small_retry_failed`" in str(found.metadata["recovery"].value)
    for day, step in (("2024-03-04", "landed_events"), ("2024-03-02", "raw_export")):
        runs.run(day, [step])
    assert checked(instance, tmp_path).passed


def test_the_check_is_of_the_last_asset_and_its_schedule_rests_until_somebody_asks(tmp_path: Path) -> None:
    imp = small_import(tmp_path)
    assert check_key(imp) == dg.AssetCheckKey(dg.AssetKey(["small", "landed_events"]), "no_partition_left_failed")
    job, schedule = build_check_job(imp)
    assert (job.name, schedule.name, schedule.cron_schedule) == ("check_small", "small_failed_days", "0 6 * * *")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    asked = small_import(tmp_path, automation={"failed_days": {"enabled": True, "at": "07:30"}})
    _, schedule = build_check_job(asked)
    assert (schedule.cron_schedule, schedule.default_status) == ("30 7 * * *", dg.DefaultScheduleStatus.RUNNING)
