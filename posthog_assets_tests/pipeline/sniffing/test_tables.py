"""What is told from a database: which table holds events."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.pipeline.sniffing.preview import preview_draft
from posthog_assets.pipeline.sniffing.tables import database_url, sniff_database


def test_the_invoices_of_a_shop_are_its_events(real_data: Callable[[str], Path]) -> None:
    path = real_data("chinook.sqlite")
    draft = sniff_database("shop", f"sqlite:///{path}")
    assert draft.attributes["source"] == {
        "type": "sql", "url": f"sqlite:///{path}", "table": "Invoice", "day_column": "InvoiceDate", "timezone": "UTC",
    }  # fmt: skip
    assert draft.attributes["dialect"] == {
        "type": "columns",
        "edition": 2,
        "event": {"value": "invoice"},
        "user_id": {"column": "CustomerId"},
        "timestamp": {"column": "InvoiceDate"},
        "source_id": {"column": "InvoiceId"},
    }
    assert (draft.first_day, draft.last_day) == (date(2021, 1, 1), date(2025, 12, 22))
    assert [sample.after["event"] for sample in preview_draft(draft) if sample.after] == ["invoice"] * 5


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, created_at TEXT)")
        connection.execute("CREATE TABLE event_log (id INTEGER PRIMARY KEY, user_id INT, action TEXT, at TEXT)")
        connection.execute("CREATE TABLE prices (id INTEGER PRIMARY KEY, amount REAL)")
        for n in range(30):
            connection.execute("INSERT INTO users VALUES (?, ?, ?)", (n, f"p{n}@mail.example", "2024-03-01 10:00:00"))
            connection.execute(
                "INSERT INTO event_log VALUES (?, ?, ?, ?)", (n, n % 5, "buy", f"2024-03-{1 + n:02} 10:00:00")
            )
            connection.execute("INSERT INTO prices VALUES (?, 1.5)", (n,))
    connection.close()
    return path


def test_of_several_tables_the_one_that_looks_most_like_events_is_taken(database: Path) -> None:
    draft = sniff_database("shop", f"sqlite:///{database}")
    assert draft.attributes["source"]["table"] == "event_log"
    assert draft.attributes["dialect"]["event"] == {"column": "action"}
    found = draft.finding("source.table")
    assert found is not None
    assert "other tables with a time and a user: users" in found.evidence


def test_a_table_that_is_named_is_taken(database: Path) -> None:
    assert sniff_database("shop", f"sqlite:///{database}", "users").attributes["source"]["table"] == "users"
    with pytest.raises(ImportFileError, match="no table of prices has both a time and a user"):
        sniff_database("shop", f"sqlite:///{database}", "prices")


def test_databases_are_told_from_files(database: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}")
    assert database_url(str(database)) == f"sqlite:///{database}"
    assert database_url("postgresql://u:p@h/d") == "postgresql://u:p@h/d"
    assert [database_url(where) for where in (str(tmp_path / "a.jsonl"), "s3://bucket/x", str(tmp_path))] == [None] * 3
