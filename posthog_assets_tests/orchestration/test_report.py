"""Which days are in a report, and why the failed ones failed."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from posthog_assets.orchestration import report
from posthog_assets.orchestration.history import History
from posthog_assets.orchestration.report import failure_reasons, report_days
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.report.day_numbers import DayState
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.scripted_days import DAYS, ScriptedDays, failure


@pytest.fixture
def imp(tmp_path: Path) -> Import:
    """An import of which two days are exported; in its folders is what is no day."""
    imp = small_import(tmp_path, end_date="2024-03-10")
    (tmp_path / "exports").mkdir()
    for day in (date(2024, 3, 2), date(2024, 3, 4)):
        (tmp_path / f"exports/{day}.jsonl").write_text("{}\n")
        export_day(imp, day)
    shutil.copytree(tmp_path / "data/small/raw_export/2024-03-04", tmp_path / "data/small/raw_export/people")
    (tmp_path / "data/small/imported_batches/2024-02-30").mkdir(parents=True)
    return imp


def test_days_reach_from_the_first_to_the_last_that_is_stored(imp: Import) -> None:
    assert [day.day.day for day in report_days(imp, None)] == [2, 3, 4]
    assert [day.day.day for day in report_days(imp, None, date(2024, 3, 3))] == [4]
    assert [day.day.day for day in report_days(imp, None, None, date(2024, 3, 3))] == [2]
    assert report_days(imp, None, date(2024, 3, 5), date(2024, 3, 1)) == []


def test_failed_days_that_have_stored_nothing_are_there_with_their_reason(
    imp: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        days = ScriptedDays(instance)
        days.run("2024-03-05", ["raw_export"], {"raw_export": failure("no\nfile")})
        days.run("2024-03-06", ["raw_export", "staged_events"], {"staged_events": failure("bad")})
        found = report_days(imp, History(instance, "small", DAYS))
        assert [(day.day.day, day.failure) for day in found if day.state is DayState.FAILED] == [
            (5, "raw_export: no file"), (6, "staged_events: bad"),
        ]  # fmt: skip
        monkeypatch.setattr(report, "_REASONS", 1)
        assert failure_reasons(History(instance, "small", DAYS)) == {
            date(2024, 3, 5): "raw_export: no file", date(2024, 3, 6): "staged_events failed",
        }  # fmt: skip
