"""The sql source on a real MariaDB, whose session zone is not the one the import file names."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from posthog_assets.core.errors import SourceRefused
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.sources import RawExport, load_source
from posthog_assets.storage.layout import staged_path
from posthog_assets.storage.store import Store
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.mariadb import MariaDB
from posthog_assets_tests.sources.exported import records

DAY = date(2024, 3, 1)


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDB]:
    pytest.importorskip("pymysql", reason="needs the extra posthog_assets[mysql]")
    with MariaDB() as server:
        server.run(
            "USE shop",
            "SET SESSION sql_mode = ''",
            "SET SESSION time_zone = '+00:00'",
            """
            CREATE TABLE orders (
                id bigint unsigned PRIMARY KEY, naive datetime(6) NULL, instant timestamp(6) NULL, day date NULL,
                amount decimal(40, 12), doc json, note text, blob_ varbinary(9), paid tinyint(1), took time,
                told varchar(40)
            ) CHARACTER SET utf8mb4
            """,
            """
            INSERT INTO orders (id, naive, instant, day, told) VALUES
                (1, '2024-02-29 23:59:59.999999', '2024-02-29 22:59:59.999999', '2024-02-29', '2024-02-29 23:59'),
                (2, '2024-03-01 00:00:00', '2024-02-29 23:00:00', '2024-03-01', '2024-03-01T00:00'),
                (3, '2024-03-01 23:59:59.999999', '2024-03-01 22:59:59.999999', '2024-03-01', '2024-03-01 23:59'),
                (4, '2024-03-02 00:00:00', '2024-03-01 23:00:00', '2024-03-02', '2024-03-02'),
                (5, NULL, NULL, NULL, NULL),
                (6, '0000-00-00 00:00:00', '0000-00-00 00:00:00', '0000-00-00', '0000-00-00')
            """,
            """
            UPDATE orders SET amount = 12345678901234567890.123456789, doc = '{"a": [1, 2.5, "ü"]}',
                note = 'Zürich 🎉', blob_ = x'ff00', paid = 1, took = '00:01:30' WHERE id = 2
            """,
        )
        yield server


def exported(server: MariaDB, tmp_path: Path, first_day: date = date(2020, 1, 1), /, **options: Any) -> list[Any]:
    raw = RawExport(Store(str(tmp_path), "shop"), DAY)
    where = {"type": "sql", "url": server.url, "timezone": "Europe/Berlin"}
    load_source(where | options).export(DAY, raw, first_day)
    return records(raw)


@pytest.mark.parametrize("column", ["naive", "instant", "day", "told"])
def test_every_type_of_time_selects_the_same_day_and_zero_dates_come_with_the_first(
    server: MariaDB, tmp_path: Path, column: str
) -> None:
    options = {"table": "orders", "day_column": column, "columns": ["id"]}
    assert exported(server, tmp_path / "any", **options) == [{"id": 2}, {"id": 3}]
    assert exported(server, tmp_path / "first", DAY, **options) == [{"id": 5}, {"id": 6}, {"id": 2}, {"id": 3}]


def test_every_type_is_kept(server: MariaDB, tmp_path: Path) -> None:
    # MariaDB's JSON is a text with a check.
    full, _ = exported(server, tmp_path, table="orders", day_column="naive", json_columns=["doc"])
    assert full == {
        "id": 2,
        "naive": datetime(2024, 3, 1),  # noqa: DTZ001
        # As a clock of the session, which is in the import file's zone, shows it.
        "instant": datetime(2024, 3, 1),  # noqa: DTZ001
        "day": date(2024, 3, 1),
        "amount": "12345678901234567890.123456789000",
        "doc": {"a": [1, 2.5, "ü"]},
        "note": "Zürich 🎉",
        "blob_": "/wA=",
        "paid": 1,
        "took": 90.0,
        "told": "2024-03-01T00:00",
    }


@pytest.mark.parametrize("column", ["naive", "instant", "day"])
def test_a_day_lands_at_its_instants_and_a_zero_date_is_rejected_with_its_text(
    server: MariaDB, tmp_path: Path, column: str
) -> None:
    imp = small_import(
        tmp_path,
        source={
            "type": "sql", "url": server.url, "timezone": "Europe/Berlin", "table": "orders", "day_column": column,
        },
        dialect={
            "type": "columns",
            "event": {"value": "ordered"},
            "user_id": {"column": "id"},
            "timestamp": {"column": column},
        },
    )  # fmt: skip
    assert export_day(imp, DAY).records_without_day == 2
    report = stage_day(imp, DAY)
    assert report.reject_reasons == {"timestamp is empty": 1, "timestamp cannot be read": 1}
    rows = pq.read_table(imp.store.path(staged_path(DAY)).path).to_pylist()
    assert [row["timestamp"] for row in rows if row["user_id"] == "2"] == [datetime(2024, 2, 29, 23, tzinfo=UTC)]
    assert any("'0000-00-00" in (row["reject_reason"] or "") for row in rows)
    assert json.loads(rows[-2]["properties"])["note"] == "Zürich 🎉"


def test_what_is_wrong_is_refused_in_a_sentence_without_the_password(server: MariaDB, tmp_path: Path) -> None:
    options = {"table": "orders", "day_column": "naive"}
    with pytest.raises(SourceRefused, match="source.table 'order' is not in mysql://.*; there are: orders"):
        exported(server, tmp_path, **options | {"table": "order"})
    with pytest.raises(SourceRefused, match="Unknown column 'nothing'"):
        exported(server, tmp_path, **options, where="nothing = 1")
    with pytest.raises(SourceRefused, match="Access denied for user 'test'") as caught:
        exported(server, tmp_path, **options, url=server.url.replace("p%40ss", "wr0ng"))
    assert "wr0ng" not in str(caught.value)
    with pytest.raises(SourceRefused, match="Unknown or incorrect time zone: 'Asia/Tokyo'"):
        exported(server, tmp_path, **options, timezone="Asia/Tokyo")


_MEASURED = """
import resource, sys
from datetime import date
from posthog_assets.sources import RawExport, load_source
from posthog_assets.storage.store import Store

url, folder = sys.argv[1:]
for count in (100_000, 1_000_000):
    query = (
        "SELECT seq AS id, now() AS at, concat(md5(seq), md5(seq)) AS note FROM seq_1_to_" + str(count) +
        " WHERE :day_start < :day_end"
    )
    raw = RawExport(Store(folder, f"rows_{count}"), date(2024, 3, 1))
    load_source({"type": "sql", "url": url, "query": query}).export(date(2024, 3, 1), raw, date(2024, 3, 1))
    print(sum(part.records for part in raw.parts()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


def test_a_million_rows_are_streamed_in_the_memory_of_a_few_thousand(server: MariaDB, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, server.url, str(tmp_path)], capture_output=True, text=True, check=True
    )
    few, many = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert (few[0], many[0]) == (100_000, 1_000_000)
    assert many[1] - few[1] < 50, f"{few[1]} MB for {few[0]:,} rows, {many[1]} MB for {many[0]:,}"
