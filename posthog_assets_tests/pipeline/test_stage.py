"""What staging one day counts, and what it notes in its file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq

from posthog_assets.pipeline.stage import StagingReport, stage_day
from posthog_assets.sources.manifest import RawExport
from posthog_assets.storage.layout import staged_path
from posthog_assets.storage.store import Store
from posthog_assets_tests.records.four_lines import DAY, exported


def staged(tmp_path: Path, told: list[tuple[int, int]] | None = None) -> tuple[StagingReport, Store]:
    imp = exported(tmp_path)
    report = stage_day(imp, DAY, lambda done, total: told.append((done, total)) if told is not None else None)
    return report, imp.store


def test_every_record_is_a_row_and_the_report_adds_up(tmp_path: Path) -> None:
    report, store = staged(tmp_path)
    assert (report.raw_records, report.rows, report.rejected, report.further) == (4, 4, 1, 0)
    assert report.reject_reasons == {"timestamp cannot be read": 1}
    assert report.bytes == store.size(staged_path(DAY)) > 0


def test_the_span_and_rows_long_before_the_first_day_are_told(tmp_path: Path) -> None:
    report, _ = staged(tmp_path)
    assert (report.first, report.last) == (
        datetime(2022, 3, 1, 10, tzinfo=UTC), datetime(2024, 3, 1, 11, tzinfo=UTC),
    )  # fmt: skip
    assert report.long_before_start == 1


def test_the_file_says_when_its_records_were_fetched(tmp_path: Path) -> None:
    _, store = staged(tmp_path)
    noted = pq.read_schema(store.path(staged_path(DAY)).path).metadata[b"posthog_assets.fetched_at"].decode()
    assert noted == RawExport(store, DAY).manifest().fetched_at


def test_progress_ends_with_all_records(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    staged(tmp_path, told)
    assert told[-1] == (4, 4)
