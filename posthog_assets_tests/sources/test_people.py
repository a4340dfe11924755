"""Sources of profiles, which have no days."""

from __future__ import annotations

import sqlite3
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from posthog_assets.sources import RawExport
from posthog_assets.sources.formats import read_records
from posthog_assets.sources.people import PeopleFiles, PeopleSql
from posthog_assets.storage.store import Store

DAY = date(2024, 3, 1)
DATABASE = "sqlite:///x.db"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"path": "people/{day}.csv"}, r"people have no days: path has no \{day\}, and there is no day_column"),
        ({"path": "people.csv", "day_column": "at"}, r"people have no days: path has no \{day\}"),
        ({"path": "people.csv", "available_after_hours": 1}, "people have no days: there is no available_after_hours"),
    ],
)
def test_files_of_people_say_nothing_of_days(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        PeopleFiles.model_validate(settings)
    assert PeopleFiles.model_validate({"path": "people.csv"}).path == "people.csv"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "needs either table or query"),
        ({"table": "users", "query": "SELECT 1"}, "needs either table or query"),
        ({"query": "SELECT 1", "where": "x"}, "columns and where belong to table; write them into the query"),
        (
            {"table": "users", "day_column": "at", "late_days": 1},
            "people have no days: there is no day_column",
        ),
    ],
)
def test_a_table_of_people_says_nothing_of_days(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        PeopleSql.model_validate({"url": DATABASE} | settings)


@pytest.mark.parametrize("rows", [{"table": "users"}, {"query": "SELECT * FROM users ; "}])
def test_all_rows_are_read_each_time_whatever_the_day(rows: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy", reason="needs the extra posthog_assets[sql]")
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE users (id INTEGER, plan TEXT)")
        connection.execute("INSERT INTO users VALUES (1, 'free'), (2, NULL)")
    source = PeopleSql.model_validate({"url": f"sqlite:///{tmp_path}/shop.db"} | rows)
    positions = []
    for _ in range(2):
        raw = RawExport(Store(str(tmp_path / "data"), "shop"), DAY)
        source.export(DAY, raw, DAY)
        (part,) = raw.parts()
        with raw.open(part) as file:
            (chunk,) = read_records(file, part.framing, part.name)
        assert list(chunk.records) == [{"id": 1, "plan": "free"}, {"id": 2, "plan": None}]
        positions.append(raw.manifest().position)
    assert positions[0] != positions[1]
