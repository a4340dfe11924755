"""The schedule that imports the last complete day, once a day."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from posthog_assets.orchestration.build import build_definitions
from posthog_assets_tests.conftest import small_import

MIXPANEL = {
    "type": "mixpanel", "project_id": 1, "service_account": "u", "service_account_secret": "s", "timezone": "UTC",
    "look_back_days": 3,
}  # fmt: skip


def schedule(folder: Path, **changes: Any) -> tuple[dg.ScheduleDefinition, dg.RepositoryDefinition]:
    imp = small_import(folder, **changes)
    repository = build_definitions(imp).get_repository_def()
    return repository.get_schedule_def("small_daily"), repository


def asked(folder: Path, at: datetime, **changes: Any) -> list[str] | str:
    """Return the days that a tick runs, or why it runs none."""
    found, repository = schedule(folder, **changes)
    context = dg.build_schedule_context(scheduled_execution_time=at, repository_def=repository)
    execution = found.evaluate_tick(context)
    return [str(request.partition_key) for request in execution.run_requests or []] or str(execution.skip_message)


def test_an_import_with_an_end_has_none(tmp_path: Path) -> None:
    names = {found.name for found in build_definitions(small_import(tmp_path, end_date="2024-03-31")).schedules or []}
    assert names == {"small_failed_days"}


def test_the_last_day_that_is_over_is_imported(tmp_path: Path) -> None:
    assert asked(tmp_path, datetime(2024, 3, 10, 3, tzinfo=UTC)) == ["2024-03-09"]


def test_a_day_whose_data_comes_later_waits_for_it(tmp_path: Path) -> None:
    source = {"type": "files", "path": str(tmp_path / "{day}.jsonl"), "available_after_hours": 6}
    assert asked(tmp_path, datetime(2024, 3, 10, 3, tzinfo=UTC), source=source) == ["2024-03-08"]
    assert asked(tmp_path, datetime(2024, 3, 10, 6, tzinfo=UTC), source=source) == ["2024-03-09"]


def test_before_the_first_day_is_over_nothing_runs(tmp_path: Path) -> None:
    assert asked(tmp_path, datetime(2024, 3, 1, 12, tzinfo=UTC)) == "no day of the import is complete yet"


def test_days_that_have_just_got_their_last_changes_are_read_again_before_the_newest(tmp_path: Path) -> None:
    found = asked(tmp_path, datetime(2024, 3, 20, 12, tzinfo=UTC), source=MIXPANEL, dialect={"type": "mixpanel"})
    assert found == ["2024-03-14", "2024-03-15", "2024-03-16", "2024-03-19"]


def test_it_rests_until_somebody_asks_for_it(tmp_path: Path) -> None:
    resting, _ = schedule(tmp_path)
    assert (resting.cron_schedule, resting.default_status) == ("0 3 * * *", dg.DefaultScheduleStatus.STOPPED)
    started, _ = schedule(tmp_path, automation={"daily": {"enabled": True, "at": "04:15"}})
    assert (started.cron_schedule, started.default_status) == ("15 4 * * *", dg.DefaultScheduleStatus.RUNNING)
