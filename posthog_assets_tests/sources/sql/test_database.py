"""Asking a database, and what each failure means; on SQLite."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.core.errors import ImportFileError, SourceRefused, SourceUnavailable
from posthog_assets.sources.sql.database import Database
from posthog_assets.sources.sql.parquet_rows import JsonText

sa = pytest.importorskip("sqlalchemy", reason="needs the extra posthog_assets[sql]")

SECRET = "postgresql://me:s3%40cret@db.example:5433/shop?sslpassword=hunter2"


@pytest.fixture
def database(tmp_path: Path) -> Database:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.executescript(
            """
            CREATE TABLE orders (id INTEGER, total REAL, basket JSON);
            INSERT INTO orders VALUES (1, 9.5, '{"apples": 1.50}'), (2, 7, NULL);
            CREATE VIEW big_orders AS SELECT * FROM orders WHERE total > 8;
            """
        )
    return Database(f"sqlite:///{tmp_path}/shop.db")


def test_a_bare_name_means_the_driver_of_the_extras_and_nothing_secret_is_shown() -> None:
    database = Database(SECRET, {"connect_args": {"password": "t00"}})
    assert (database.backend, database.shown) == ("postgresql", "postgresql://db.example:5433/shop")
    assert {"s3@cret", "s3%40cret", "hunter2", "t00", SECRET} <= set(database.secrets())
    assert "cret" not in repr(database)


@pytest.mark.parametrize("url", ["shop.db", "postgresql://me:p@ss@host/db", "postgresql://me:p@ss:w/rd@host/db"])
def test_what_is_no_url_says_how_one_is_written(url: str) -> None:
    with pytest.raises(
        ImportFileError, match="source.url is no SQLAlchemy URL; write it as postgresql://user"
    ) as caught:
        Database(url)
    assert url not in str(caught.value)


def test_a_driver_that_is_not_installed_says_what_to_install() -> None:
    with pytest.raises(ImportFileError, match="the driver of snowflake:// is not installed: pip install snowflake-sql"):
        with Database("snowflake://me:pw@account/db").connect():
            pass


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match=f"source.url: there is no file {tmp_path}/gone.db"):
        with Database(f"sqlite:///{tmp_path}/gone.db").connect():
            pass
    assert not (tmp_path / "gone.db").exists()


def test_a_table_or_view_is_its_columns_and_those_of_json_are_known(database: Database) -> None:
    with database.connect() as connection:
        table = database.table(connection, "orders")
        assert (table.name, table.schema, list(table.columns)) == ("orders", None, ["id", "total", "basket"])
        assert table.json_columns() == ["basket"]
        assert list(database.table(connection, "big_orders").columns) == ["id", "total", "basket"]


def test_a_table_that_is_not_there_names_the_nearest_first(database: Database) -> None:
    with database.connect() as connection, pytest.raises(SourceRefused) as caught:
        database.table(connection, "Orderz")
    assert str(caught.value).endswith("/shop.db; there are: orders, big_orders")
    assert str(caught.value).startswith("source.table 'Orderz' is not in sqlite:////")


def test_rows_come_as_they_are_and_json_as_its_text(database: Database) -> None:
    statement = sa.text("SELECT id, basket FROM orders ORDER BY id").columns(
        sa.column("id"), sa.column("basket", sa.JSON)
    )
    with database.connect() as connection:
        names, batches = database.read(connection, statement, {})
        rows = [tuple(row) for batch in batches for row in batch]
    assert names == ["id", "basket"]
    assert rows == [(1, JsonText('{"apples": 1.50}')), (2, None)]
    assert isinstance(rows[0][1], JsonText)


def test_two_columns_of_one_name_are_refused(database: Database) -> None:
    with database.connect() as connection:
        with pytest.raises(SourceRefused, match="the query gives several columns named id: rename them with AS"):
            database.read(connection, sa.text("SELECT id, total, id FROM orders"), {})


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT gone FROM orders", "no such column: gone"),
        ("SELECT FROM orders", "syntax error"),
        ("SELECT :missing", "A value is required for bind parameter 'missing'"),
    ],
)
def test_what_asking_again_cannot_mend_is_refused(database: Database, query: str, words: str) -> None:
    with database.connect() as connection, pytest.raises(SourceRefused, match=words):
        database.read(connection, sa.text(query), {})


def test_what_may_pass_is_unavailable(database: Database, tmp_path: Path) -> None:
    writer = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    writer.execute("PRAGMA locking_mode = EXCLUSIVE")
    writer.execute("BEGIN EXCLUSIVE")
    database.options = {"connect_args": {"timeout": 0}}
    with pytest.raises(SourceUnavailable, match="database is locked"):
        with database.connect() as connection:
            list(database.read(connection, sa.text("SELECT * FROM orders"), {})[1])
    writer.close()


def test_options_that_the_driver_does_not_know_are_named() -> None:
    options: dict[str, Any] = {"no_such_option": 1}
    with pytest.raises(ImportFileError, match=r"source.url or source.options: .*no_such_option"):
        with Database("sqlite://", options).connect():
            pass
