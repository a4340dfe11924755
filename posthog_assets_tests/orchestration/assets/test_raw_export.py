"""The check that every record a source read is of a day, where the first day alone has the account."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from posthog_assets.orchestration.assets.raw_export import CHECK
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.pipeline.test_whole_way import STEPS, materialize

pytest.importorskip("sqlalchemy", reason="needs the extra posthog_assets[sql]")


def test_each_day_of_a_table_has_the_check_and_the_first_one_has_the_account(tmp_path: Path) -> None:
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
