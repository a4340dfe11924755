"""Tables of users become properties of persons."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import fastavro
import pytest

from posthog_assets.orchestration.assets.person_profiles import build_person_profiles
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.capture_server import CaptureServer
from posthog_assets_tests.fakes.mixpanel_server import MixpanelServer
from posthog_assets_tests.pipeline.test_whole_way import checks

USERS = "id,name,plan,seats,internal\n1,Ann,pro,3,x\n2,Bob,,1,y\n,Nobody,pro,1,z\n3,,,,\n"


def importing(tmp_path: Path, url: str, **people: Any) -> Import:
    (tmp_path / "users.csv").write_text(USERS)
    section: dict[str, Any] = {
        "source": {"type": "files", "path": str(tmp_path / "users.csv")},
        "dialect": {"type": "columns", "user_id": {"column": "id"}, "properties": ["name", "plan", "seats"]},
    }
    destination = {"host": url, "project_api_key": "phc_any"}
    return small_import(tmp_path, people=section | people, destination=destination)


def materialize(imp: Import) -> dg.ExecuteInProcessResult:
    return dg.materialize([build_person_profiles(imp)], instance=dg.DagsterInstance.ephemeral())


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    return {key: value.value for key, value in event.materialization.metadata.items()}


def test_each_user_is_told_once_with_what_is_known(tmp_path: Path) -> None:
    with CaptureServer() as server:
        imp = importing(tmp_path, server.url)
        result = materialize(imp)
        # Whether they have landed is not verified: there is no personal key.
        assert checks(result) == {"no_profile_lost": True, "every_profile_has_landed": False}
        told = {event["distinct_id"]: event["properties"].get("$set_once") for event in server.stored}
        assert told == {"1": {"name": "Ann", "plan": "pro", "seats": 3}, "2": {"name": "Bob", "seats": 1}}
        assert {(event["event"], event["timestamp"][:10]) for event in server.stored} == {("$set", "2024-03-01")}
        assert (metadata(result)["records"], metadata(result)["rejected"]) == (4, 2)
        assert metadata(materialize(imp))["sent"] == 0


def test_a_changed_profile_alone_is_sent_again_and_replaces_itself(tmp_path: Path) -> None:
    with CaptureServer() as server:
        imp = importing(tmp_path, server.url, person_properties="set")
        materialize(imp)
        (tmp_path / "users.csv").write_text(USERS.replace("Bob,,1", "Bob,team,1"))
        assert metadata(materialize(imp))["sent"] == 1
        first, again = [event for event in server.stored if event["distinct_id"] == "2"]
    assert again["properties"]["$set"] == {"name": "Bob", "plan": "team", "seats": 1}
    assert (first["uuid"], first["timestamp"]) == (again["uuid"], again["timestamp"])


def test_columns_get_the_names_persons_have(tmp_path: Path) -> None:
    dialect = {"type": "columns", "user_id": {"column": "id"}, "properties": ["name"], "rename": {"name": "full_name"}}
    with CaptureServer() as server:
        materialize(importing(tmp_path, server.url, dialect=dialect))
    assert server.stored[0]["properties"]["$set_once"] == {"full_name": "Ann"}


def test_customers_of_a_database_are_told_as_they_are_in_its_table(
    tmp_path: Path, real_data: Callable[[str], Path]
) -> None:
    pytest.importorskip("sqlalchemy", reason="needs the extra posthog_assets[sql]")
    path = real_data("chinook.sqlite")
    section = {
        "source": {"type": "sql", "url": f"sqlite:///{path}", "table": "Customer", "where": "Country <> 'Brazil'"},
        "dialect": {
            "type": "columns",
            "user_id": {"column": "CustomerId"},
            "properties": ["Email", "City", "Company"],
            "rename": {"Email": "email"},
        },
    }
    with CaptureServer() as server:
        imp = importing(tmp_path, server.url, **section)
        assert metadata(materialize(imp))["sent"] == 54
        assert metadata(materialize(imp))["sent"] == 0
    with sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True) as connection:
        truth = {
            str(number): {name: value for name, value in zip(("email", "City", "Company"), row, strict=True) if value}
            for number, *row in connection.execute(
                "SELECT CustomerId, Email, City, Company FROM Customer WHERE Country <> 'Brazil'"
            )
        }
    assert {event["distinct_id"]: event["properties"]["$set_once"] for event in server.stored} == truth


def test_a_changed_row_of_a_query_alone_is_sent_again(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy", reason="needs the extra posthog_assets[sql]")
    with sqlite3.connect(tmp_path / "shop.db", isolation_level=None) as database:
        database.execute("CREATE TABLE users (id INTEGER, name TEXT, orders INTEGER)")
        database.executemany("INSERT INTO users VALUES (?, ?, ?)", [(1, "Ann", 3), (2, "Bob", 0), (None, "Nobody", 1)])
        query = "SELECT id, name, orders > 0 AS has_bought FROM users ORDER BY name;"
        section = {
            "source": {"type": "sql", "url": f"sqlite:///{tmp_path}/shop.db", "query": query},
            "dialect": {"type": "columns", "user_id": {"column": "id"}},
        }
        with CaptureServer() as server:
            imp = importing(tmp_path, server.url, **section)
            first = metadata(materialize(imp))
            assert (first["records"], first["rejected"], first["sent"]) == (3, 1, 2)
            database.execute("UPDATE users SET orders = 1 WHERE id = 2")
            assert metadata(materialize(imp))["sent"] == 1
    told = [event["properties"]["$set_once"] for event in server.stored if event["distinct_id"] == "2"]
    assert told == [{"name": "Bob", "has_bought": 0}, {"name": "Bob", "has_bought": 1}]


def test_profiles_of_mixpanel_are_told_page_by_page(tmp_path: Path) -> None:
    with MixpanelServer(profiles=23) as mixpanel, CaptureServer() as server:
        account = {"project_id": 7, "service_account": "importer.1", "service_account_secret": "s3cret"}
        section = {"source": account | {"type": "mixpanel", "host": mixpanel.url}, "dialect": {"type": "mixpanel"}}
        imp = importing(tmp_path, server.url, **section)
        assert metadata(materialize(imp))["sent"] == 23
        told = {event["distinct_id"]: event["properties"]["$set_once"] for event in server.stored}
        assert told == {f"user-{n}": {"name": f"N. {n}"} for n in range(23)}
        assert server.stored[0]["timestamp"].startswith("2024-03-01")
        assert metadata(materialize(imp))["sent"] == 0


def test_users_may_be_in_avro(tmp_path: Path) -> None:
    fields = [{"name": "id", "type": "long"}, {"name": "since", "type": {"type": "int", "logicalType": "date"}}]
    with (tmp_path / "users.avro").open("wb") as file:
        fastavro.writer(
            file, {"type": "record", "name": "user", "fields": fields}, [{"id": 7, "since": date(2020, 2, 29)}]
        )
    section = {
        "source": {"type": "files", "path": str(tmp_path / "users.avro")},
        "dialect": {"type": "columns", "user_id": {"column": "id"}},
    }
    with CaptureServer() as server:
        materialize(importing(tmp_path, server.url, **section))
        assert [(event["distinct_id"], event["properties"]["$set_once"]) for event in server.stored] == [
            ("7", {"since": "2020-02-29"})
        ]
