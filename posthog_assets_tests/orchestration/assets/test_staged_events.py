"""What Dagster shows of a day's rows: every record is one, and whether clocks were ever set."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from posthog_assets.orchestration.assets.staged_events import EARLY, build_staged_events
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.pipeline.test_whole_way import STEPS, materialize, metadata, record, write_day

DAYS = dg.DailyPartitionsDefinition("2024-03-01")


def test_records_rejects_and_events_of_long_ago_are_counted(tmp_path: Path) -> None:
    write_day(
        tmp_path, record(1), record(2, at="soon"), record(3, at="1970-01-01T00:00:00Z"),
        record(4, at="2023-02-28T23:59:59Z"), record(5, at="2023-03-01T00:00:00Z"),
    )  # fmt: skip
    result = materialize(small_import(tmp_path), "2024-03-01", *STEPS[:2])
    found = {check.check_name: check for check in result.get_asset_check_evaluations()}
    whole, early = found["every_raw_record_is_a_row"], found[EARLY]
    assert {name: entry.value for name, entry in whole.metadata.items()} == {
        "raw_records": 5, "further_events_of_records": 0, "staged_rows": 5,
    }  # fmt: skip
    assert (whole.passed, early.passed, early.severity) == (True, False, dg.AssetCheckSeverity.WARN)
    assert early.description == (
        "2 events are more than a year older than start_date 2024-03-01, the first of 1970-01-01 00:00:00+00:00: is "
        "that history, or a clock that was never set?"
    )
    shown = metadata(result, "staged_events")
    assert (shown["dagster/partition_row_count"], shown["rejected"]) == (5, 1)
    assert (shown["first_event"], shown["last_event"]) == ("1970-01-01T00:00:00+00:00", "2024-03-01T10:00:01+00:00")


def test_days_are_behind_where_their_dialect_has_changed_and_not_where_the_mapping_has(tmp_path: Path) -> None:
    plain = small_import(tmp_path)
    dialect = plain.dialect.model_copy(update={"event": None})
    versions = [
        [spec.code_version for spec in build_staged_events(imp, DAYS).specs]
        for imp in (
            plain,
            small_import(tmp_path, mapping={"events": {"page": "Page"}}),
            plain.model_copy(update={"dialect": dialect}),
        )
    ]
    assert (versions[0] == versions[1], versions[0] == versions[2]) == (True, False)
