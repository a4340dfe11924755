"""The sql source on a real PostgreSQL, whose session zone is not the one the import file names."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pyarrow.parquet as pq
import pytest

from posthog_assets.core.errors import MissingUpstream, SourceRefused, SourceUnavailable
from posthog_assets.pipeline.config.people import PEOPLE
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.derived_imports import people_import
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.sources import RawExport, load_source
from posthog_assets.sources.formats import Framing
from posthog_assets.sources.sql import parquet_rows as rows_module
from posthog_assets.storage.layout import staged_path
from posthog_assets.storage.store import Store
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.capture_server import CaptureServer
from posthog_assets_tests.fakes.postgres import Postgres
from posthog_assets_tests.sources.exported import records

DAY = date(2024, 3, 1)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    pytest.importorskip("psycopg", reason="needs the extra posthog_assets[postgres]")
    with Postgres() as server:
        server.run(
            """
            CREATE SCHEMA shop;
            CREATE TABLE shop."Orders" (
                id bigint PRIMARY KEY, aware timestamptz, naive timestamp, day date, amount numeric,
                price numeric(10, 2), doc jsonb, raw json, token uuid, blob bytea, paid boolean, note text,
                tags text[], took interval
            );
            INSERT INTO shop."Orders" (id, aware, naive, day) VALUES
                (1, '2024-02-29 22:59:59.999999+00', '2024-02-29 23:59:59.999999', '2024-02-29'),
                (2, '2024-02-29 23:00:00+00', '2024-03-01 00:00:00', '2024-03-01'),
                (3, '2024-03-01 22:59:59.999999+00', '2024-03-01 23:59:59.999999', '2024-03-01'),
                (4, '2024-03-01 23:00:00+00', '2024-03-02 00:00:00', '2024-03-02'),
                (5, NULL, NULL, NULL);
            UPDATE shop."Orders" SET
                amount = 12345678901234567890.123456789, price = 9.90, doc = '{"a": [1, 2.5, "ü"]}',
                raw = '{"b":  null}', token = '6f1d8c9e-4f0b-5c8a-9f6e-2f6f3b1a7d42', blob = '\\xff00', paid = true,
                note = 'Zürich 🎉', tags = '{a,b}', took = '90 seconds' WHERE id = 2;
            UPDATE shop."Orders" SET amount = 'NaN', doc = 'null' WHERE id = 3;
            """
        )
        yield server


def exported(server: Postgres, tmp_path: Path, first_day: date = date(2020, 1, 1), /, **options: Any) -> list[Any]:
    raw = RawExport(Store(str(tmp_path), "shop"), DAY)
    load_source({"type": "sql", "url": server.url} | options).export(DAY, raw, first_day)
    return records(raw)


@pytest.mark.parametrize("column", ["aware", "naive", "day"])
def test_times_with_a_zone_without_one_and_dates_select_the_same_day(
    server: Postgres, tmp_path: Path, column: str
) -> None:
    where = {"timezone": "Europe/Berlin"}
    table = exported(server, tmp_path, table="shop.Orders", day_column=column, columns=["id"], **where)
    query = f'SELECT id FROM shop."Orders" WHERE {column} >= :day_start AND {column} < :day_end ORDER BY id'
    assert table == exported(server, tmp_path, query=query, **where) == [{"id": 2}, {"id": 3}]


@pytest.mark.parametrize("column", ["aware", "naive", "day"])
def test_the_days_that_have_rows_are_found(server: Postgres, column: str) -> None:
    table = {"table": "shop.Orders", "day_column": column, "timezone": "Europe/Berlin"}
    source: Any = load_source({"type": "sql", "url": server.url} | table)
    days = [date(2024, 2, 27) + timedelta(days=number) for number in range(6)]
    assert source.days_with_rows(days) == [date(2024, 2, 29), DAY, date(2024, 3, 2)]


def test_every_type_is_kept(server: Postgres, tmp_path: Path) -> None:
    options = {"table": "shop.Orders", "day_column": "aware", "timezone": "Europe/Berlin"}
    full, sparse = exported(server, tmp_path, **options)
    assert full == {
        "id": 2,
        "aware": datetime(2024, 2, 29, 23, tzinfo=UTC),
        "naive": datetime(2024, 3, 1),  # noqa: DTZ001
        "day": date(2024, 3, 1),
        "amount": "12345678901234567890.123456789",
        "price": 9.9,
        "doc": {"a": [1, 2.5, "ü"]},
        "raw": {"b": None},
        "token": "6f1d8c9e-4f0b-5c8a-9f6e-2f6f3b1a7d42",
        "blob": "/wA=",
        "paid": True,
        "note": "Zürich 🎉",
        "tags": ["a", "b"],
        "took": 90.0,
    }
    assert (sparse["aware"].microsecond, sparse["amount"], sparse["doc"]) == (999_999, "NaN", None)


def test_rows_without_a_day_come_with_the_first_day(server: Postgres, tmp_path: Path) -> None:
    found = exported(server, tmp_path, DAY, table="shop.Orders", day_column="naive", columns=["id"])
    assert found == [{"id": 5}, {"id": 2}, {"id": 3}]


TEXTS = {
    1: "2024-03-01", 2: "2024-03-01 10:00:00", 3: "2024-03-01T23:59:59.999+01:00", 4: "2024-02-29 23:59:59",
    5: "2024-03-02", 6: "2024/03/01 10:00", 7: "01.03.2024", 8: "", 9: None, 10: "in March", 11: "0000-00-00 00:00:00",
    12: "24-03-01", 13: "abcd-ef-gh", 14: "20240301", 15: " 2024-03-01", 16: "2024-3-1", 17: "9999-99-99",
    18: "2024/12/31", 19: "2023-07-01",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["text", "varchar(40)", 'text COLLATE "de-x-icu"', 'text COLLATE "shifted"'])
def test_of_texts_each_row_is_one_days_and_what_begins_with_no_date_is_the_first_ones(
    server: Postgres, tmp_path: Path, kind: str
) -> None:
    server.run(
        "CREATE SCHEMA IF NOT EXISTS odd",
        "CREATE COLLATION IF NOT EXISTS shifted (provider = icu, locale = 'und-u-ka-shifted')",
        f"DROP TABLE IF EXISTS odd.told; CREATE TABLE odd.told (id int, at {kind})",
        *(f"INSERT INTO odd.told VALUES ({n}, {'NULL' if text is None else repr(text)})" for n, text in TEXTS.items()),
    )
    made = load_source({"type": "sql", "url": server.url, "table": "odd.told", "day_column": "at"})
    by_day, unknown = {}, 0
    for day in (*(DAY + timedelta(days=number) for number in range(3)), date(2024, 12, 30), date(2024, 12, 31)):
        raw = RawExport(Store(str(tmp_path), "told"), day)
        made.export(day, raw, DAY)
        by_day[day] = [record["id"] for record in records(raw)]
        unknown += raw.manifest().records_without_day
    assert {day: sorted(found) for day, found in by_day.items() if found} == {
        date(2024, 3, 1): [1, 2, 3, *range(6, 19)],
        date(2024, 3, 2): [5],
    }
    assert unknown == 13


def test_instants_beyond_the_calendar_come_with_the_first_day_and_are_rejected_with_their_text(
    server: Postgres, tmp_path: Path
) -> None:
    server.run(
        "CREATE SCHEMA IF NOT EXISTS odd",
        "CREATE TABLE odd.endless (id int, aware timestamptz, naive timestamp, day date, until timestamptz)",
        "INSERT INTO odd.endless VALUES (1, '2024-03-01 12:00Z', '2024-03-01 12:00', '2024-03-01', 'infinity')",
        "INSERT INTO odd.endless VALUES (2, '2024-03-01 13:00Z', '2024-03-01 13:00', '2024-03-01', '2024-04-01Z')",
        *(
            f"INSERT INTO odd.endless VALUES ({n}, '{text}', '{text}', '{text}', NULL)"
            for n, text in enumerate(["infinity", "-infinity", "0044-03-15 BC", "12024-03-01"], 3)
        ),
    )
    for column in ("aware", "naive", "day"):
        imp = small_import(
            tmp_path,
            name=f"endless_{column}",
            source={"type": "sql", "url": server.url, "table": "odd.endless", "day_column": column},
            dialect={
                "type": "columns",
                "event": {"value": "seen"},
                "user_id": {"column": "id"},
                "timestamp": {"column": column},
            },
        )
        assert export_day(imp, DAY).records_without_day == 4
        report = stage_day(imp, DAY)
        assert (report.rows, report.reject_reasons) == (6, {"timestamp cannot be read": 4})
        rows = pq.read_table(imp.store.path(staged_path(DAY)).path).to_pylist()
        assert sorted(row["reject_reason"].split(":", 1)[1][:12] for row in rows if row["reject_reason"]) == [
            " '-infinity'",
            " '0044-03-15",
            " '12024-03-0",
            " 'infinity'",
        ]
        until = [json.loads(row["properties"])["until"] for row in rows if not row["reject_reason"]]
        # A column with an odd value among its instants writes the others as ever.
        assert until == ["infinity", "2024-04-01T00:00:00+00:00"]


def test_people_of_a_table_keep_their_types(server: Postgres, tmp_path: Path) -> None:
    server.run(
        """
        CREATE SCHEMA crm;
        CREATE TABLE crm.users (id uuid, name text, plan jsonb, spent numeric, since timestamptz, until timestamptz);
        INSERT INTO crm.users VALUES ('6f1d8c9e-4f0b-5c8a-9f6e-2f6f3b1a7d42', 'Zoë', '{"seats": [1, 2]}', 9.90,
            '2024-03-01 00:30+01', 'infinity'), (NULL, 'Nobody', NULL, NULL, NULL, NULL);
        """
    )
    with CaptureServer() as posthog:
        imp = small_import(
            tmp_path,
            people={
                "source": {"type": "sql", "url": server.url, "table": "crm.users"},
                "dialect": {"type": "columns", "user_id": {"column": "id"}},
            },
            destination={"host": posthog.url, "project_api_key": "phc_any"},
        )
        people = people_import(imp)
        assert export_day(people, PEOPLE).parts[0].records == 2
        assert stage_day(people, PEOPLE).reject_reasons == {"source_id is empty": 1}
        transform_day(people, PEOPLE)
        deliver_day(people, PEOPLE)
    (told,) = posthog.stored
    assert told["distinct_id"] == "6f1d8c9e-4f0b-5c8a-9f6e-2f6f3b1a7d42"
    assert told["properties"]["$set_once"] == {
        "name": "Zoë", "plan": {"seats": [1, 2]}, "spent": 9.9, "since": "2024-02-29T23:30:00+00:00",
        "until": "infinity",
    }  # fmt: skip


def test_the_older_driver_does_not_take_infinity_for_the_year_9999(server: Postgres, tmp_path: Path) -> None:
    pytest.importorskip("psycopg2", reason="needs the extra posthog_assets[instance]")
    server.run(
        "CREATE SCHEMA IF NOT EXISTS odd",
        "CREATE TABLE odd.endless2 (id int, aware timestamptz, naive timestamp, day date)",
        "INSERT INTO odd.endless2 VALUES (1, 'infinity', '-infinity', 'infinity')",
    )
    url = server.url.replace("postgresql", "postgresql+psycopg2", 1)
    found = exported(server, tmp_path, DAY, url=url, table="odd.endless2", day_column="aware")
    assert found == [{"id": 1, "aware": "infinity", "naive": "-infinity", "day": "infinity"}]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"table": "orders"}, "source.table 'orders' is not in postgresql://127.0.0.1:[0-9]+/postgres; there are no"),
        ({"table": "shop.orders"}, "is not in schema shop of postgresql://.*; there are: Orders"),
        ({"where": "nothing = 1"}, 'column "nothing" does not exist'),
    ],
)
def test_a_wrong_name_is_refused_with_those_there_are(
    server: Postgres, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(SourceRefused, match=words):
        exported(server, tmp_path, **({"table": "shop.Orders", "day_column": "aware"} | changes))


def test_wrong_credentials_are_refused_and_a_server_that_is_away_is_temporary(server: Postgres, tmp_path: Path) -> None:
    options = {"table": "shop.Orders", "day_column": "aware"}
    with pytest.raises(SourceRefused, match='password authentication failed for user "test"') as caught:
        exported(server, tmp_path, **options, url=server.url.replace("p%40ss", "wrong"))
    assert "wrong" not in str(caught.value)
    with pytest.raises(SourceRefused, match='database "nowhere" does not exist'):
        exported(server, tmp_path, **options, url=server.url.replace("/postgres", "/nowhere"))
    with pytest.raises(SourceUnavailable, match="127.0.0.1:1/postgres: .*Connection refused"):
        exported(server, tmp_path, **options, url=server.url.replace(str(server.port), "1"))


class CutAfterOnePart(RawExport):
    """Cuts all connections of the server when the first part is written."""

    server: Postgres
    cut = False

    @contextmanager
    def part(
        self, name: str, framing: Framing, origin: str, origin_fingerprint: str = "", *, without_day: bool = False
    ) -> Iterator[IO[bytes]]:
        with super().part(name, framing, origin, origin_fingerprint, without_day=without_day) as sink:
            yield sink
        if not self.cut:
            self.cut = True
            self.server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")


def test_a_lost_connection_is_temporary_and_the_next_export_never_mixes_two_reads(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "PART_ROWS", 2_000)
    server.run(
        "CREATE TABLE moving (id int, at timestamptz, version int)",
        "INSERT INTO moving SELECT n, '2024-03-01 12:00+00', 1 FROM generate_series(1, 9000) n",
    )
    made = load_source({"type": "sql", "url": server.url, "table": "moving", "day_column": "at"})
    store = Store(str(tmp_path), "moving")
    cutting = CutAfterOnePart(store, DAY)
    cutting.server = server
    with pytest.raises(SourceUnavailable, match="terminating connection|connection") as caught:
        made.export(DAY, cutting, DAY)
    assert caught.value.temporary
    with pytest.raises(MissingUpstream, match="was interrupted"):
        RawExport(store, DAY).manifest()
    server.run("UPDATE moving SET version = 2", "DELETE FROM moving WHERE id > 5000")
    again = RawExport(store, DAY)
    made.export(DAY, again, DAY)
    found = records(again)
    assert sorted(record["id"] for record in found) == list(range(1, 5001))
    assert {record["version"] for record in found} == {2}
    assert store.names("raw_export/2024-03-01") == [
        "manifest.json", "rows-0001.parquet", "rows-0002.parquet", "rows-0003.parquet",
    ]  # fmt: skip


_MEASURED = """
import resource, sys
from datetime import date
from posthog_assets.sources import RawExport, load_source
from posthog_assets.storage.store import Store

url, folder = sys.argv[1:]
for count in (100_000, 1_000_000):
    query = (
        "SELECT n AS id, now() AS at, md5(n::text) || md5(n::text) AS note "
        "FROM generate_series(1, " + str(count) + ") n WHERE :day_start < :day_end"
    )
    raw = RawExport(Store(folder, f"rows_{count}"), date(2024, 3, 1))
    load_source({"type": "sql", "url": url, "query": query}).export(date(2024, 3, 1), raw, date(2024, 3, 1))
    print(sum(part.records for part in raw.parts()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


def test_a_million_rows_are_streamed_in_the_memory_of_a_few_thousand(server: Postgres, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, server.url, str(tmp_path)], capture_output=True, text=True, check=True
    )
    few, many = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert (few[0], many[0]) == (100_000, 1_000_000)
    assert many[1] - few[1] < 50, f"{few[1]} MB for {few[0]:,} rows, {many[1]} MB for {many[0]:,}"
