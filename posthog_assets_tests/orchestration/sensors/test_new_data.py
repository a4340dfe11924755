"""Which days of a source are imported by a tick of the sensor. What is planned: `test_new_data_plan.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from posthog_assets.orchestration.sensors.new_data import build_new_data_sensor
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.scripted_days import DAYS


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "exports").mkdir()
    for day in ("2024-03-02", "2024-03-04"):
        (tmp_path / f"exports/{day}.jsonl").write_text('{"id": "1"}\n')
    return tmp_path


def ticked(instance: dg.DagsterInstance, folder: Path, cursor: str | None = None, **settings: Any) -> dg.SensorResult:
    imp = small_import(folder, automation={"new_data": {"enabled": True, "settle_seconds": 0} | settings})
    sensor = build_new_data_sensor(imp, DAYS, dg.define_asset_job("import_small", selection="*"))
    result = sensor(dg.build_sensor_context(instance=instance, cursor=cursor))
    assert isinstance(result, dg.SensorResult)
    return result


def days_of(result: dg.SensorResult) -> list[str]:
    return [str(request.partition_key) for request in result.run_requests or []]


def test_days_that_have_files_are_imported_and_say_why(instance: dg.DagsterInstance, folder: Path) -> None:
    result = ticked(instance, folder)
    assert days_of(result) == ["2024-03-02", "2024-03-04"]
    assert {request.tags["posthog_assets/why"] for request in result.run_requests or []} == {"new"}
    assert [str(request.run_key).split(":")[::2] for request in result.run_requests or []] == [
        ["2024-03-02", "first"], ["2024-03-04", "first"],
    ]  # fmt: skip


def test_the_same_file_makes_the_same_request_and_a_changed_one_another(
    instance: dg.DagsterInstance, folder: Path
) -> None:
    keys = [[request.run_key for request in ticked(instance, folder).run_requests or []] for _ in range(2)]
    assert keys[0] == keys[1]
    (folder / "exports/2024-03-04.jsonl").write_text('{"id": "1"}\n{"id": "2"}\n')
    first, second = (request.run_key for request in ticked(instance, folder).run_requests or [])
    assert (first == keys[0][0], second == keys[0][1]) == (True, False)


def test_a_cursor_that_cannot_be_read_starts_again_and_loses_no_day(instance: dg.DagsterInstance, folder: Path) -> None:
    assert days_of(ticked(instance, folder, "{")) == ["2024-03-02", "2024-03-04"]


def test_a_tick_imports_no_more_days_than_may_be_under_way_at_once(instance: dg.DagsterInstance, folder: Path) -> None:
    assert days_of(ticked(instance, folder, days_at_once=1)) == ["2024-03-02"]


def test_where_nothing_is_to_be_imported_that_is_said(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    result = ticked(instance, tmp_path)
    assert (days_of(result), bool(result.skip_reason)) == ([], True)
