"""The job of an import: its days, its assets, and what is made from what."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.orchestration.build import build_definitions
from posthog_assets.orchestration.history import STEPS
from posthog_assets.orchestration.local.project import ImportJob, find_job
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.records.shop import write_import


@pytest.fixture
def job(tmp_path: Path) -> ImportJob:
    imp = small_import(tmp_path, end_date="2024-03-04")
    return ImportJob(imp, build_definitions(imp).resolve_job_def("import_small"))


def test_assets_are_in_the_order_of_a_day_and_each_is_made_from_the_one_before(job: ImportJob) -> None:
    assert job.assets == STEPS
    assert [job.parents(step) for step in STEPS] == [set(), *({step} for step in STEPS[:-1])]


def test_what_is_made_from_an_asset_comes_with_it(job: ImportJob) -> None:
    assert job.with_downstream({"imported_batches"}) == ("imported_batches", "landed_events")
    assert job.with_downstream({"raw_export"}) == STEPS
    assert job.with_downstream(set()) == ()


def test_days_are_those_of_the_range_with_both_of_its_ends(job: ImportJob) -> None:
    first, last = date(2024, 3, 2), date(2024, 3, 3)
    assert job.days() == [date(2024, 3, number) for number in (1, 2, 3, 4)]
    assert job.days(first, last) == [first, last]
    assert job.days(last, last) == [last]


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (date(2024, 2, 29), None, "2024-02-29 is no day of small, which has 2024-03-01 to 2024-03-04"),
        (None, date(2024, 3, 5), "2024-03-05 is no day of small, which has 2024-03-01 to 2024-03-04"),
        (date(2024, 3, 3), date(2024, 3, 2), "the last day, 2024-03-02, lies before the first, 2024-03-03"),
    ],
)
def test_a_range_that_is_none_is_refused(first: date | None, last: date | None, words: str, job: ImportJob) -> None:
    with pytest.raises(ImportFileError) as raised:
        job.days(first, last)
    assert str(raised.value) == words


def test_an_import_that_begins_tomorrow_has_no_day(tmp_path: Path) -> None:
    imp = small_import(tmp_path, start_date=(datetime.now(UTC) + timedelta(days=1)).date().isoformat())
    job = ImportJob(imp, build_definitions(imp).resolve_job_def("import_small"))
    assert job.days() == []
    assert job.days(date(2024, 3, 1)) == []


def test_the_raw_export_that_a_trial_reads_is_none_of_its_assets(project: Path) -> None:
    destination = {"host": "http://127.0.0.1:9", "project_api_key": "phc_test"}
    write_import(project, "http://127.0.0.1:9", trial={"persons": 0.5, "destination": destination})
    job = find_job("shop_trial", project)
    assert (job.assets, job.parents("staged_events")) == (STEPS[1:], set())
