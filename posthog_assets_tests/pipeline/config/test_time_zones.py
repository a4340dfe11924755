"""A zone is written once: the zone that the source has for times without one is the dialect's too."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.config.time_zones import time_zone_warning
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.storage.layout import staged_path
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.records.shop import invoke, write_import

BERLIN = "Europe/Berlin"
#: As an import file says them; the dialect's `columns` reads the column `at`.
TABLE = {"type": "sql", "url": "sqlite://", "table": "orders", "day_column": "at"}
OTHER_COLUMN = TABLE | {"day_column": "created"}
QUERY = {"type": "sql", "url": "sqlite://", "query": "SELECT 1 WHERE :day_start < :day_end"}
ONE_FILE = {"type": "files", "path": "all.csv", "day_column": "at"}
DAILY = {"type": "files", "path": "{day}.csv"}
PROJECT = {"type": "mixpanel", "project_id": 7}


def importing(tmp_path: Path, source: dict[str, Any], dialect_zone: str | None = None) -> Import:
    zone = {"timezone": dialect_zone} if dialect_zone else {}
    dialect: dict[str, Any] = {
        "type": "columns",
        "event": {"value": "bought"},
        "user_id": {"column": "user"},
        "timestamp": {"column": "at"} | zone,
    }
    if source["type"] == "mixpanel":
        dialect = {"type": "mixpanel"} | zone
    return small_import(tmp_path, source=source, dialect=dialect)


def test_a_row_of_a_database_lands_at_the_instant_its_zone_says(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy", reason="needs the extra posthog_assets[sql]")
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute('CREATE TABLE orders ("user" TEXT, at DATETIME)')
        connection.execute("INSERT INTO orders VALUES ('ann', '2024-03-01 00:30:00')")
    imp = importing(tmp_path, TABLE | {"url": f"sqlite:///{tmp_path}/shop.db", "timezone": BERLIN})
    export_day(imp, date(2024, 3, 1))
    stage_day(imp, date(2024, 3, 1))
    rows = pq.read_table(imp.store.path(staged_path(date(2024, 3, 1))).path)
    assert rows["timestamp"].to_pylist() == [datetime(2024, 2, 29, 23, 30, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("source", "zone"),
    [
        (TABLE | {"timezone": BERLIN}, BERLIN),
        (OTHER_COLUMN | {"timezone": BERLIN}, BERLIN),
        (QUERY | {"timezone": BERLIN}, BERLIN),
        (ONE_FILE | {"day_timezone": BERLIN}, BERLIN),
        (PROJECT | {"timezone": BERLIN}, BERLIN),
        # Whose days the files are says nothing of the times in them, nor that of another column.
        (DAILY | {"day_timezone": BERLIN}, "UTC"),
        (ONE_FILE | {"day_column": "created", "day_timezone": BERLIN}, "UTC"),
        (TABLE, "UTC"),
        (PROJECT, "UTC"),
    ],
)
def test_what_the_source_is_told_the_dialect_knows(source: dict[str, Any], zone: str, tmp_path: Path) -> None:
    dialect: Any = importing(tmp_path, source).dialect
    assert (dialect.timezone if source["type"] == "mixpanel" else dialect.timestamp.timezone) == zone


def test_a_zone_that_the_dialect_knows_from_the_source_is_the_one_written_out(tmp_path: Path) -> None:
    told = importing(tmp_path, TABLE | {"timezone": BERLIN})
    assert told.mapping_version == importing(tmp_path, TABLE | {"timezone": BERLIN}, BERLIN).mapping_version
    assert told.mapping_version == importing(tmp_path, TABLE, BERLIN).mapping_version
    plain = importing(tmp_path, TABLE).mapping_version
    assert plain == importing(tmp_path, TABLE | {"timezone": "UTC"}).mapping_version
    assert (plain, told.mapping_version) == ("4ea8422d", "55693ed1")


@pytest.mark.parametrize(
    ("source", "zone", "words"),
    [
        (
            TABLE | {"timezone": BERLIN},
            "UTC",
            "source.timezone is Europe/Berlin, dialect.timestamp.timezone is UTC, and both are of the same times, "
            "those without a zone: say the right one in source.timezone, and leave dialect.timestamp.timezone out",
        ),
        (ONE_FILE | {"day_timezone": "UTC"}, BERLIN, "source.day_timezone is UTC, dialect.timestamp.timezone is Eur"),
        (
            PROJECT | {"timezone": BERLIN},
            "America/Los_Angeles",
            "source.timezone is Europe/Berlin, dialect.timezone",
        ),
        (PROJECT, "America/Los_Angeles", "source.timezone is UTC, dialect.timezone is America/Los_Angeles"),
    ],
)
def test_two_zones_of_the_same_times_are_refused(source: dict[str, Any], zone: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match=words):
        importing(tmp_path, source, zone)


@pytest.mark.parametrize(
    ("source", "zone", "words"),
    [
        (TABLE, BERLIN, "a day counts as over at midnight in UTC: say source.timezone"),
        (ONE_FILE, BERLIN, "a day counts as over at midnight in UTC: say source.day_timezone"),
        (OTHER_COLUMN | {"timezone": BERLIN}, "UTC", "right only if the events' times have another zone than the days"),
        (QUERY | {"timezone": BERLIN}, "UTC", "right only if the events' times have another zone than the days"),
        (
            DAILY | {"day_timezone": BERLIN},
            None,
            "without a zone are read as UTC: say dialect.timestamp.timezone",
        ),
        (DAILY | {"day_timezone": BERLIN}, BERLIN, None),
        (DAILY, BERLIN, None),
        (OTHER_COLUMN, BERLIN, None),
        (TABLE, "UTC", None),
        (TABLE | {"timezone": BERLIN}, None, None),
        (TABLE, None, None),
        (PROJECT, None, None),
    ],
)
def test_what_may_be_right_is_only_told_by_check(
    source: dict[str, Any], zone: str | None, words: str | None, tmp_path: Path
) -> None:
    imp = importing(tmp_path, source, zone)
    said = time_zone_warning(imp.source, imp.dialect)
    assert said is None if words is None else words in (said or "")


def test_check_shows_the_doubt(project: Path) -> None:
    source = {"type": "files", "path": str(project / "exports/{day}.jsonl"), "day_timezone": BERLIN}
    write_import(project, "http://127.0.0.1:9", source=source)
    assert "times without a zone are read as UTC" in invoke(project, "check", "shop").output
