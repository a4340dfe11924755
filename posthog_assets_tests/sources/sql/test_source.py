"""Tables and queries of a database, on SQLite; the oracle asks the database by itself."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.core.errors import ImportFileError, SourceRefused
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.sources import RawExport, load_source
from posthog_assets.sources.account import Account
from posthog_assets.sources.base import Scope
from posthog_assets.sources.sql import parquet_rows as rows_module
from posthog_assets.storage.store import Store
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.examples import some
from posthog_assets_tests.sources.exported import records

pytest.importorskip("sqlalchemy", reason="needs the extra posthog_assets[sql]")

DAY = date(2024, 3, 1)


@pytest.fixture
def database(tmp_path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    connection.executescript(
        """
        CREATE TABLE orders (id INTEGER PRIMARY KEY, at DATETIME, total NUMERIC(10, 2), basket JSON, changed DATETIME);
        INSERT INTO orders VALUES
            (1, '2024-02-29 23:59:59.999999', 1, NULL, '2024-03-05'),
            (2, '2024-03-01 00:00:00', 9.99, '{"apples": [1, 2.5]}', '2024-03-05'),
            (3, '2024-03-01T23:59:59.999', 5, 'not json', '2024-03-05'),
            (4, '2024-03-02 00:00:00', 7, NULL, '2024-03-05'),
            (5, NULL, 2, NULL, NULL),
            (6, 1709251200, 3, NULL, NULL),
            (7, 'in March', 4, NULL, NULL);
        """
    )
    return connection


def source(tmp_path: Path, **options: Any) -> Any:
    where = {} if "query" in options else {"table": "orders", "day_column": "at"}
    return load_source({"type": "sql", "url": f"sqlite:///{tmp_path}/shop.db"} | where | options)


def exported(
    tmp_path: Path, day: date = DAY, first_day: date = date(2020, 1, 1), **options: Any
) -> list[dict[str, Any]]:
    raw = RawExport(Store(str(tmp_path), "shop"), day)
    source(tmp_path, **options).export(day, raw, first_day)
    return records(raw)


def ids(found: list[dict[str, Any]]) -> list[int]:
    return sorted(record["id"] for record in found)


def test_a_day_begins_at_its_midnight_and_ends_before_the_next_one(
    tmp_path: Path, database: sqlite3.Connection
) -> None:
    assert ids(exported(tmp_path)) == [2, 3]
    assert ids(exported(tmp_path, date(2024, 2, 29))) == [1]
    assert ids(exported(tmp_path, date(2024, 3, 2))) == [4]


def test_a_day_without_rows_is_a_complete_export_without_parts(tmp_path: Path, database: sqlite3.Connection) -> None:
    raw = RawExport(Store(str(tmp_path), "shop"), date(2024, 3, 9))
    source(tmp_path).export(date(2024, 3, 9), raw, DAY)
    assert raw.manifest().complete
    assert raw.parts() == ()


def test_rows_whose_day_cannot_be_told_come_with_the_first_day_and_are_counted(
    tmp_path: Path, database: sqlite3.Connection
) -> None:
    assert ids(exported(tmp_path, first_day=DAY)) == [2, 3, 5, 6, 7]
    raw = RawExport(Store(str(tmp_path), "shop"), DAY)
    assert raw.manifest().records_without_day == 3
    assert [(part.name, part.without_day) for part in raw.parts()] == [
        ("without-day-0001.parquet", True),
        ("rows-0001.parquet", False),
    ]


def test_of_texts_and_numbers_each_row_is_one_days_and_no_dates_are_the_first_ones(
    tmp_path: Path, database: sqlite3.Connection
) -> None:
    database.execute("CREATE TABLE told (id INTEGER, at)")
    told: list[Any] = [
        "2024-03-01 10:00",
        "2024-03-02",
        "2024/03/01",
        "01.03.2024",
        "",
        None,
        "abcd-ef-gh",
        "0000-00-00",
        20240301,
    ]
    told += [1.5, b"2024-03-01", "2024/12/31", "9999-99-99", "2023-07-01"]
    database.executemany("INSERT INTO told VALUES (?, ?)", enumerate(told))
    filled = (date(2024, 3, 1), date(2024, 3, 2))
    days = {*filled, *some([DAY + timedelta(days=number) for number in range(366)])}
    found = {day: ids(exported(tmp_path, day, DAY, table="told", columns=["id"])) for day in days}
    assert {day: rows for day, rows in found.items() if rows} == {
        filled[0]: [0, *range(2, 13)],
        filled[1]: [1],
    }


def test_columns_and_where_select(tmp_path: Path, database: sqlite3.Connection) -> None:
    found = exported(tmp_path, columns=["id", "total"], where="total > 6 OR total < 0")
    assert found == [{"id": 2, "total": 9.99}]


def test_a_query_gets_the_bounds_of_the_day(tmp_path: Path, database: sqlite3.Connection) -> None:
    query = "SELECT id, total * 2 AS twice FROM orders WHERE at >= :day_start AND at < :day_end ORDER BY id;"
    assert exported(tmp_path, query=query) == [{"id": 2, "twice": 19.98}, {"id": 3, "twice": 10}]


def test_epochs_are_bounded_in_their_unit_and_in_the_zone(tmp_path: Path, database: sqlite3.Connection) -> None:
    berlin = int(datetime(2024, 2, 29, 23, tzinfo=UTC).timestamp())
    database.execute("CREATE TABLE clicks (id INTEGER, at INTEGER)")
    database.executemany("INSERT INTO clicks VALUES (?, ?)", [(1, berlin - 1), (2, berlin), (3, berlin + 86_400)])
    assert exported(tmp_path, table="clicks", bounds="s", timezone="Europe/Berlin") == [{"id": 2, "at": berlin}]
    with pytest.raises(SourceRefused, match="source.day_column 'at' holds numbers: set source.bounds to s, ms or us"):
        exported(tmp_path, table="clicks")


def test_a_day_of_a_clock_change_has_its_own_length(tmp_path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE clicks (at INTEGER)")
    start = int(datetime(2024, 3, 30, 23, tzinfo=UTC).timestamp())
    database.executemany("INSERT INTO clicks VALUES (?)", [(start + hour * 3600,) for hour in range(48)])
    hours = [
        len(exported(tmp_path, date(2024, 3, day), table="clicks", bounds="s", timezone="Europe/Berlin"))
        for day in (30, 31)
    ]
    assert hours == [0, 23]


def test_json_columns_are_read_as_json_and_bad_json_stays_text(tmp_path: Path, database: sqlite3.Connection) -> None:
    assert [record["basket"] for record in exported(tmp_path)] == [{"apples": [1, 2.5]}, "not json"]
    query = "SELECT basket AS b FROM orders WHERE at >= :day_start AND at < :day_end AND id = 2"
    assert exported(tmp_path, query=query) == [{"b": '{"apples": [1, 2.5]}'}]
    assert exported(tmp_path, query=query, json_columns=["b"]) == [{"b": {"apples": [1, 2.5]}}]


def test_without_an_updated_column_a_day_is_read_once_when_it_is_over_and_once_more_later(
    tmp_path: Path, database: sqlite3.Connection
) -> None:
    assert source(tmp_path).fingerprint(DAY) == "settled"
    assert source(tmp_path, late_days=100_000).fingerprint(DAY) == "complete"
    assert source(tmp_path).fingerprint(datetime.now(UTC).date() + timedelta(days=1)) is None
    assert ids(exported(tmp_path)) == [2, 3]
    database.execute("DELETE FROM orders")
    assert ids(exported(tmp_path)) == [2, 3]


def test_a_day_whose_rows_changed_is_read_again(tmp_path: Path, database: sqlite3.Connection) -> None:
    watching = source(tmp_path, updated_column="changed", where="id < 100")
    assert watching.fingerprint(DAY) == "2 2024-03-05"
    assert len(exported(tmp_path, updated_column="changed")) == 2
    database.execute("UPDATE orders SET total = 10.5, changed = '2024-03-06' WHERE id = 2")
    assert watching.fingerprint(DAY) == "2 2024-03-06"
    assert [record["total"] for record in exported(tmp_path, updated_column="changed")] == [10.5, 5]
    query = "SELECT * FROM orders WHERE at >= :day_start AND at < :day_end"
    assert source(tmp_path, query=query, updated_column="changed").fingerprint(DAY) == "2 2024-03-06"


def test_the_end_of_a_day_is_its_zones(tmp_path: Path) -> None:
    at = source(tmp_path, timezone="America/New_York").available_at(DAY)
    assert at == datetime(2024, 3, 2, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"table": "order"}, "source.table 'order' is not in sqlite:///.*shop.db; there are: orders"),
        ({"day_column": "when"}, "source.day_column 'when' is no column of orders; it has: id, at, total, basket"),
        ({"columns": ["id", "sum"]}, "source.columns 'sum' is no column of orders"),
        ({"updated_column": "sum"}, "source.updated_column 'sum' is no column of orders"),
        ({"where": "sum = 1"}, "no such column: sum"),
        ({"query": "SELECT 1 AS a, 2 AS a WHERE 1 OR :day_start < :day_end"}, "several columns named a: rename them"),
        ({"query": "SELEKT :day_start, :day_end"}, "syntax error"),
        ({"url": "sqlite:////nowhere/shop.db"}, "source.url: there is no file /nowhere/shop.db"),
    ],
)
def test_what_the_database_refuses_is_one_sentence(
    tmp_path: Path, database: sqlite3.Connection, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(SourceRefused, match=words):
        exported(tmp_path, **options)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "source.url is empty: set it to a SQLAlchemy URL"),
        ("nosuchdb://u:s3cret@host/d", "the driver of nosuchdb:// is not installed: pip install nosuchdb"),
        ("postgresql+pg8000://u:s3cret@host/d", "pip install pg8000"),
        ("postgresql://u:s3cret@s3cret@/d@host/d", "must be percent-encoded"),
        ("postgresql://u:s3cret@host:port/d", "must be percent-encoded"),
    ],
)
def test_a_wrong_url_is_one_sentence_without_the_password(tmp_path: Path, url: str, words: str) -> None:
    with pytest.raises(ImportFileError, match=words) as caught:
        exported(tmp_path, url=url)
    assert "s3cret" not in str(caught.value)


def test_without_sqlalchemy_the_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(ImportFileError, match=r"needs SQLAlchemy: pip install 'posthog_assets\[sql\]'"):
        exported(tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"table": None, "day_column": None}, "needs either table or query"),
        ({"day_column": None}, "table needs day_column"),
        ({"query": "SELECT * FROM orders"}, "query must select the day: WHERE created_at >= :day_start"),
        ({"query": "SELECT :day_start, :day_end", "where": "id = 1"}, "where belong to table"),
        ({"timezone": "Berlin"}, "'Berlin' is no time zone"),
        ({"url": "mysecretpassword"}, "source.url: is no SQLAlchemy URL"),
    ],
)
def test_a_wrong_setting_is_refused_when_the_import_file_is_read(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    settings = {"type": "sql", "url": "sqlite://", "table": "orders", "day_column": "at"} | options
    if "query" in options:
        del settings["table"], settings["day_column"]
    with pytest.raises(ImportFileError, match=words) as caught:
        small_import(tmp_path, source=settings)
    assert "mysecret" not in str(caught.value)


def test_a_password_is_shown_nowhere(tmp_path: Path) -> None:
    url = "postgresql://me:p%40ss@db.example:5432/shop?sslpassword=0ther"
    made = load_source({"type": "sql", "url": url, "table": "t", "day_column": "at", "options": {"token": "third"}})
    assert not any(secret in repr(made) for secret in ("p%40ss", "p@ss", "0ther", "third"))
    assert set(made.secrets()) == {url, "p@ss", "p%40ss", "0ther", "third"}
    assert made.pool == "postgresql___db_example_5432_shop"


def test_a_part_has_so_many_rows_at_most(
    tmp_path: Path, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "PART_ROWS", 4_000)
    database.execute(
        "WITH RECURSIVE n(id) AS (SELECT 100 UNION ALL SELECT id + 1 FROM n WHERE id < 9099) "
        "INSERT INTO orders (id, at) SELECT id, '2024-05-01' FROM n"
    )
    assert ids(exported(tmp_path, date(2024, 5, 1))) == list(range(100, 9_100))
    raw = RawExport(Store(str(tmp_path), "shop"), date(2024, 5, 1))
    assert [part.records for part in raw.parts()] == [4_000, 4_000, 1_000]


def test_days_of_invoices_lands_as_it_is_in_the_table(
    tmp_path: Path, sandbox: Any, real_data: Callable[[str], Path]
) -> None:
    path = real_data("chinook.sqlite")
    imp: Import = small_import(
        tmp_path,
        name="chinook",
        start_date="2021-01-01",
        source={"type": "sql", "url": f"sqlite:///{path}", "table": "Invoice", "day_column": "InvoiceDate"},
        dialect={
            "type": "columns",
            "event": {"value": "invoice paid"},
            "user_id": {"column": "CustomerId"},
            "timestamp": {"column": "InvoiceDate", "timezone": "America/New_York"},
            "source_id": {"column": "InvoiceId"},
        },
        destination={"host": sandbox.url, "project_api_key": "phc_any"},
    )
    for number in range(6):
        day = date(2021, 1, 1) + timedelta(days=number)
        export_day(imp, day)
        stage_day(imp, day)
        transform_day(imp, day)
        deliver_day(imp, day)
    with sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True) as connection:
        truth = {
            (str(row[0]), row[1], row[2], row[3], row[4])
            for row in connection.execute(
                "SELECT CustomerId, InvoiceDate, Total, BillingCity, BillingAddress FROM Invoice "
                "WHERE substr(InvoiceDate, 1, 10) BETWEEN '2021-01-01' AND '2021-01-06'"
            )
        }
    landed = {
        (user, at.replace(tzinfo=None).isoformat(" "), p["Total"], p["BillingCity"], p["BillingAddress"])
        for _, _, user, at, p in sandbox.events()
    }
    # The shop's times have no zone: midnight in New York is five o'clock in UTC.
    assert landed == {(user, at.replace("00:00:00", "05:00:00"), *rest) for user, at, *rest in truth}
    assert "Theodor-Heuss-Straße 34" in {row[4] for row in landed}


def account_of_the_first_day(tmp_path: Path, first: date, last: date | None, **options: Any) -> Account:
    raw = RawExport(Store(str(tmp_path), "shop"), first)
    source(tmp_path, **options).within(Scope(first, last)).export(first, raw, first)
    assert raw.account is not None
    return raw.account


def test_the_first_day_says_where_every_row_of_the_table_went(tmp_path: Path, database: sqlite3.Connection) -> None:
    assert account_of_the_first_day(tmp_path, DAY, DAY) == Account(
        "text", records=7, in_days=2, without_day=3, outside=2, first_outside="2024-02-29", last_outside="2024-03-02"
    )
    assert account_of_the_first_day(tmp_path, date(2024, 2, 29), None).warnings(date(2024, 2, 29), None) == [
        "3 of 7 records have no day that can be read or be true: they are rows of 2024-02-29"
    ]


def test_a_row_of_the_future_is_counted_as_outside(tmp_path: Path, database: sqlite3.Connection) -> None:
    database.execute("INSERT INTO orders VALUES (8, '2099-01-01', 1, NULL, NULL)")
    account = account_of_the_first_day(tmp_path, date(2024, 2, 29), None)
    assert (account.outside, account.first_outside, account.last_outside) == (1, "2099-01-01", "2099-01-01")


def test_only_the_rows_that_are_wanted_are_accounted_for(tmp_path: Path, database: sqlite3.Connection) -> None:
    account = account_of_the_first_day(tmp_path, DAY, DAY, where="id > 3 OR id = 2")
    assert (account.records, account.in_days, account.without_day, account.outside) == (5, 1, 3, 1)


def test_a_table_without_rows_has_an_account_of_nothing(tmp_path: Path, database: sqlite3.Connection) -> None:
    account = account_of_the_first_day(tmp_path, DAY, DAY, where="id > 1000")
    assert account == Account("text", records=0, in_days=0, without_day=0, outside=0)


@pytest.mark.parametrize("kind", ["INTEGER", "VARCHAR(8)"])
def test_digits_of_a_date_are_bounds_and_every_row_is_one_days(
    tmp_path: Path, database: sqlite3.Connection, kind: str
) -> None:
    database.execute(f"CREATE TABLE visits (id INTEGER, date_key {kind})")
    keys = [20240229, 20240301, 20240302, 20240331, 0, None, 99999999]
    values = [key if kind == "INTEGER" or key is None else f"{key:08d}" for key in keys]
    database.executemany("INSERT INTO visits VALUES (?, ?)", enumerate(values))
    options = {"table": "visits", "day_column": "date_key", "bounds": "digits"}
    days = [date(2024, 2, 29) + timedelta(days=number) for number in range(40)]
    found = {day: ids(exported(tmp_path, day, days[0], **options)) for day in days}
    assert {day: rows for day, rows in found.items() if rows} == {
        date(2024, 2, 29): [0, 4, 5, 6], date(2024, 3, 1): [1], date(2024, 3, 2): [2], date(2024, 3, 31): [3],
    }  # fmt: skip
    account = account_of_the_first_day(tmp_path / "again", DAY, date(2024, 3, 2), **options, url=url_of(tmp_path))
    assert (account.in_days, account.without_day, account.outside) == (2, 3, 2)
    assert (account.first_outside, account.last_outside) == ("2024-02-29", "2024-03-31")


def url_of(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/shop.db"


def test_digits_of_a_date_are_the_bounds_of_a_query(tmp_path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE visits (id INTEGER, date_key INTEGER)")
    database.executemany("INSERT INTO visits VALUES (?, ?)", [(1, 20240229), (2, 20240301), (3, 20240302)])
    query = "SELECT id FROM visits WHERE date_key >= :day_start AND date_key < :day_end"
    assert exported(tmp_path, query=query, bounds="digits") == [{"id": 2}]


def test_a_column_of_numbers_asks_what_they_are(tmp_path: Path, database: sqlite3.Connection) -> None:
    with pytest.raises(SourceRefused, match="holds numbers: set source.bounds to s, ms or us if they are epochs, to "):
        exported(tmp_path, day_column="id")


def test_numbers_in_json_of_a_database_keep_all_their_digits(tmp_path: Path, database: sqlite3.Connection) -> None:
    text = '{"n": 123456789012345678901234567890, "m": [9007199254740993], "far": 1e400}'
    database.execute("UPDATE orders SET basket = ? WHERE id = 2", [text])
    (found,) = exported(tmp_path, columns=["basket"], where="id = 2")
    assert found == {"basket": {"n": 123456789012345678901234567890, "m": [9007199254740993], "far": None}}
