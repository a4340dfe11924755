"""A day as the source delivered it: that every record has a day, and that there are as many as on days like it."""

from __future__ import annotations

import sqlite3
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from posthog_assets.orchestration.assets.raw_export import CHECK, _neighbours_check, build_raw_export
from posthog_assets.pipeline.day_state.neighbours import Neighbours
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.pipeline.test_whole_way import STEPS, materialize


def test_each_day_of_a_table_has_the_check_and_the_first_one_has_the_account(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy", reason="needs the extra posthog_assets[sql]")
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE visits (id INTEGER, user TEXT, at INTEGER, what TEXT)")
        rows = [(1, "a", 20240301, "x"), (2, "a", 20240302, "x"), (3, "b", 20310101, "x"), (4, "b", None, "x")]
        connection.executemany("INSERT INTO visits VALUES (?, ?, ?, ?)", rows)
    imp = small_import(
        tmp_path, end_date="2024-03-02",
        source={
            "type": "sql", "url": f"sqlite:///{tmp_path}/shop.db", "table": "visits", "day_column": "at",
            "bounds": "digits",
        },
    )  # fmt: skip
    first, second = (
        next(
            check
            for check in materialize(imp, day, STEPS[0]).get_asset_check_evaluations()
            if check.check_name == CHECK
        )
        for day in ("2024-03-01", "2024-03-02")
    )
    assert not first.passed
    assert first.description == (
        "1 of 4 records have no day that can be read or be true: they are rows of 2024-03-01; 1 of 4 records lie "
        "outside the import's days, 2024-03-01 to 2024-03-02, and are not imported: they are of 2031-01-01 to "
        "2031-01-01"
    )
    assert second.passed
    assert second.description == "the rows of all days are accounted for with the first one, 2024-03-01"


@pytest.mark.parametrize(("records", "passed"), [(249, False), (250, True), (4_000, True), (4_001, False)])
def test_a_day_of_far_fewer_or_more_records_than_its_neighbours_is_a_warning(records: int, passed: bool) -> None:
    check = _neighbours_check(Neighbours(date(2024, 3, 1), records, 8, 1_000.0))
    assert (check.passed, check.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert (check.description is None) == passed
    assert {name: entry.value for name, entry in check.metadata.items()} == {
        "records": records, "days_compared": 8, "median": 1_000.0,
    }  # fmt: skip


def test_a_source_that_does_not_hold_all_days_has_no_check_of_their_account_and_its_pool_holds(tmp_path: Path) -> None:
    files = build_raw_export(small_import(tmp_path), dg.DailyPartitionsDefinition("2024-03-01"))
    assert [check.name for check in files.check_specs] == ["as_many_records_as_neighbours"]
    assert files.op.pool == small_import(tmp_path).source.pool
