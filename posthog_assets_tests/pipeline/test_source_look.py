"""What `check` finds out about an API: whether it answers, and what the dialect makes of its records."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.destination.preflight import Finding
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.source_look import look_at_source
from posthog_assets.sources.http.api import sleeping_by
from posthog_assets_tests.conftest import small_attributes
from posthog_assets_tests.fakes.amplitude_server import API_KEY, SECRET_KEY, AmplitudeServer, make_day
from posthog_assets_tests.fakes.export_server import Reply
from posthog_assets_tests.fakes.mixpanel_server import MixpanelServer
from posthog_assets_tests.fakes.records_api import RecordsApi, day_of_records, settings


def look(tmp_path: Path, source: dict[str, Any], dialect: dict[str, Any], **changes: Any) -> list[Finding]:
    attributes = small_attributes(tmp_path, source=source, dialect=dialect, end_date="2024-03-02") | changes
    found = list(look_at_source(Import.read(attributes)))
    assert not (tmp_path / "data").exists(), "a look stores nothing"
    return found


COLUMNS = {
    "type": "columns", "event": {"value": "sold"}, "user_id": {"column": "user"}, "timestamp": {"column": "at"},
    "source_id": {"column": "id"},
}  # fmt: skip


def test_one_page_of_an_api_goes_through_the_dialect(tmp_path: Path) -> None:
    with RecordsApi(day_of_records()) as api:
        found = look(tmp_path, settings(api.url), COLUMNS)
        assert len(api.requests) == 1
    assert found == [
        Finding("ok", "source", "answers; 2024-03-01 has records"),
        Finding("ok", "records", "3 records were read through the dialect columns and the mapping"),
    ]


def test_columns_that_the_records_of_an_api_lack_are_named(tmp_path: Path) -> None:
    with RecordsApi(day_of_records()) as api:
        found = look(tmp_path, settings(api.url), COLUMNS | {"user_id": {"column": "users"}})
    assert found[1] == Finding(
        "warning", "columns",
        "dialect.user_id names the column users, which none of 3 records has; did you mean user?",
    )  # fmt: skip
    assert (found[2].level, "3 of 3 records are rejected" in found[2].words) == ("problem", True)


def test_an_api_that_is_read_as_a_whole_is_asked_for_one_page(tmp_path: Path) -> None:
    source = settings("http://127.0.0.1:9", endpoint_incremental=None, whole=True, day_column="at")
    with RecordsApi(day_of_records()) as api:
        source["client"]["base_url"] = f"{api.url}/v1"
        found = look(tmp_path, source, COLUMNS)
        assert len(api.requests) == 1
    assert found[1].words == "3 records were read through the dialect columns and the mapping"


def test_where_the_first_day_is_empty_the_last_one_is_asked_for(tmp_path: Path) -> None:
    with RecordsApi(day_of_records()) as api:
        found = look(tmp_path, settings(api.url), COLUMNS, start_date="2024-02-28", end_date="2024-03-01")
        assert found[0].words == "answers; 2024-03-01 has records"
        empty = look(tmp_path, settings(api.url), COLUMNS, start_date="2024-02-01", end_date="2024-02-02")
    assert [finding.level for finding in empty] == ["warning"]
    assert empty[0].words.startswith("answers, and has no record of 2024-02-01 and 2024-02-02; correct start_date")


def test_wrong_credentials_and_a_closed_port_are_problems(tmp_path: Path) -> None:
    with RecordsApi([]) as api:
        source = settings(api.url)
        source["client"]["auth"]["token"] = "wrong"
        (refused,) = look(tmp_path, source, COLUMNS)
    assert (refused.level, "The API does not know these credentials" in refused.words) == ("problem", True)
    with sleeping_by(lambda seconds: None):
        (closed,) = look(tmp_path, settings("http://127.0.0.1:9"), COLUMNS)
    assert (closed.level, "no answer: no connection: Connection refused" in closed.words) == ("problem", True)


def test_an_api_that_asks_to_be_left_alone_is_left_alone(tmp_path: Path) -> None:
    began = time.monotonic()
    with RecordsApi([], script=lambda asked, reply: Reply(429, b"slow down", {"Retry-After": "900"})) as api:
        (found,) = look(tmp_path, settings(api.url), COLUMNS)
        assert len(api.requests) == 1
    assert found.level == "problem"
    assert found.words.endswith("slow down; it asks to be left alone for 900 s")
    assert time.monotonic() - began < 5


def test_an_hour_of_amplitude_is_enough(tmp_path: Path) -> None:
    with AmplitudeServer(make_day(1)) as amplitude:
        source = {"type": "amplitude", "api_key": API_KEY, "secret_key": SECRET_KEY, "host": amplitude.url}
        found = look(tmp_path, source, {"type": "amplitude"})
        (asked,) = amplitude.requests
    assert (asked.fields["start"], asked.fields["end"]) == ("20240301T00", "20240301T00")
    assert found[0] == Finding("ok", "source", "answers; 2024-03-01 has records")
    assert [finding.subject for finding in found] == ["source", "records"]


def test_what_mixpanel_delivers_too_much_of_is_not_fetched_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posthog_assets.pipeline.api_sample._BYTES", 1_000)
    with MixpanelServer(lambda asked, reply: replace(reply)) as mixpanel:
        source = {
            "type": "mixpanel", "project_id": 7, "service_account": "importer.1", "service_account_secret": "s3cret",
            "host": mixpanel.url,
        }  # fmt: skip
        found = look(tmp_path, source, {"type": "mixpanel"})
        monkeypatch.undo()
        whole = look(tmp_path, source, {"type": "mixpanel"})
    assert [finding.words.split(":")[0] for finding in found] == [
        "answers; the first part of 2024-03-01 is too large to be fetched for a look"
    ]
    assert whole[1].words == "200 records were read through the dialect mixpanel and the mapping"


def table_of(tmp_path: Path, *days: str, **changes: Any) -> dict[str, Any]:
    """Return the import of a table with a row at noon of each of *days*."""
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, who TEXT, at TEXT, kind TEXT)")
        database.executemany(
            "INSERT INTO orders (who, at, kind) VALUES ('ann', ?, 'order')", [(f"{day} 12:00:00",) for day in days]
        )
    source = {"type": "sql", "url": f"sqlite:///{tmp_path}/shop.db", "table": "orders", "day_column": "at"} | changes
    dialect = {
        "type": "columns", "event": {"value": "ordered"}, "user_id": {"column": "who"},
        "timestamp": {"column": "at"}, "source_id": {"column": "id"},
    }  # fmt: skip
    return small_attributes(tmp_path, source=source, dialect=dialect, start_date="2024-03-01")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "3 days have rows, 2 days have none: 2024-03-02, 2024-03-04"),
        ({"where": "at < '2024-03-04'"}, "last row is of 2024-03-03; 2 days have rows, 1 day has none: 2024-03-02"),
    ],
)
def test_the_days_of_a_table_without_rows_are_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    pytest.importorskip("sqlalchemy", reason="needs the extra posthog_assets[sql]")
    attributes = table_of(tmp_path, "2024-02-20", "2024-03-01", "2024-03-03", "2024-03-05", **changes)
    first = next(look_at_source(Import.read(attributes)))
    assert first.level == "ok"
    assert first.words.endswith(words)


def test_a_table_is_not_asked_for_days_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sqlalchemy", reason="needs the extra posthog_assets[sql]")
    monkeypatch.setattr("posthog_assets.pipeline.source_look._SECONDS", 0.0)
    first = next(look_at_source(Import.read(table_of(tmp_path, "2024-03-01", "2024-05-31"))))
    assert first.words == (
        "orders answers; its last row is of 2024-05-31; 1 day has rows, 29 days have none: 2024-03-02, 2024-03-03, "
        "2024-03-04, 2024-03-05, 2024-03-06 and 24 more (of the days until 2024-03-30: more take too long)"
    )
