"""Files appear, grow, change, change back and disappear; the daemon ticks; the right days are imported, once."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from posthog_assets_tests.fakes.daemon import NOON, World
from posthog_assets_tests.sources.test_posthog import Project, row


@pytest.fixture
def world(tmp_path: Path, shared_sandbox: Any) -> World:
    return World(tmp_path, shared_sandbox.url, new_data={"enabled": True})


def test_a_day_is_imported_when_its_file_appears_and_once(world: World) -> None:
    world.write("2024-03-01", "ada")
    world.write("2024-03-03", "bob", "cy")
    assert world.tick("new_data").days == ["2024-03-01", "2024-03-03"]
    again = world.tick("new_data")
    assert (again.days, again.skip_reason) == ([], "looked at 4 days; nothing is new")
    world.write("2024-03-02", "dan")
    assert world.tick("new_data").days == ["2024-03-02"]


def test_a_changed_day_is_imported_again_and_only_its_changed_events_are_sent(world: World) -> None:
    world.write("2024-03-01", "ada", "bob")
    world.tick("new_data")
    assert world.sent("2024-03-01") == 2
    world.write("2024-03-01", "ada", "bob", "cy")
    assert world.tick("new_data").days == ["2024-03-01"]
    assert world.sent("2024-03-01") == 1


def test_a_day_that_changes_and_changes_back_is_imported_each_time(world: World) -> None:
    two_hours, three_hours = NOON - timedelta(hours=2), NOON - timedelta(hours=3)
    days = []
    for users, written in [(["ada"], two_hours), (["ada", "bob"], three_hours)] * 2:
        world.write("2024-03-01", *users, age=world.now - written)
        days.append(world.tick("new_data").days)
    assert days == [["2024-03-01"]] * 4


def test_a_file_that_is_still_being_written_waits(world: World) -> None:
    world.now += timedelta(minutes=10)
    world.write("2024-03-01", "ada", age=timedelta(seconds=20))
    world.now -= timedelta(minutes=10)
    first = world.tick("new_data")
    assert first.days == []
    assert "2024-03-01: changed less than 60 s ago (automation.new_data.settle_seconds)" in str(first.skip_reason)
    assert world.tick("new_data").days == ["2024-03-01"]


def test_days_in_progress_and_days_outside_are_left_out_with_the_reason_and_do_not_stop_others(world: World) -> None:
    world.attributes["end_date"] = "2024-03-05"
    world.attributes["start_date"] = "2024-02-28"
    for day in ("2024-02-27", "2024-02-28", "2024-03-05", "2024-03-06"):
        world.write(day, "ada")
    assert world.tick("new_data").days == ["2024-02-28"]
    tick = world.tick("new_data")
    assert not tick.failed
    assert "2024-02-27: outside the import's start_date and end_date" in str(tick.skip_reason)
    assert "2024-03-05, 2024-03-06: not over yet (days are UTC)" in str(tick.skip_reason)
    world.now = datetime(2024, 3, 6, 0, 1, tzinfo=UTC)
    assert world.tick("new_data").days == ["2024-03-05"]


def test_a_file_that_disappears_is_said_once_and_coming_back_unchanged_it_is_not_imported_again(world: World) -> None:
    written = world.now - timedelta(hours=1)
    world.write("2024-03-01", "ada")
    world.tick("new_data")
    (world.folder / "exports/2024-03-01.jsonl").unlink()
    assert "2024-03-01: disappeared from the source; what was imported stays" in str(world.tick("new_data").skip_reason)
    assert world.tick("new_data").skip_reason == "looked at 4 days; nothing is new"
    world.write("2024-03-01", "ada", age=world.now - written)
    back = world.tick("new_data")
    assert (back.days, "1 day imported already, with the same content" in str(back.skip_reason)) == ([], True)


@pytest.mark.parametrize("broken", ["{", '{"record_id": 3}'])
def test_a_broken_or_foreign_cursor_starts_again_and_imports_nothing_twice(world: World, broken: str) -> None:
    world.write("2024-03-01", "ada")
    world.tick("new_data")
    world.write("2024-03-02", "bob")
    world.set_cursor(broken)
    assert world.tick("new_data").days == ["2024-03-02"]
    assert world.tick("new_data").skip_reason == "looked at 4 days; nothing is new"


@contextmanager
def _database(folder: Path) -> Iterator[dict[str, Any]]:
    pytest.importorskip("sqlalchemy", reason="needs the extra posthog_assets[sql]")
    with sqlite3.connect(folder / "shop.db") as connection:
        connection.execute("CREATE TABLE visits (id, user, at, what)")
        connection.execute("INSERT INTO visits VALUES (1, 'ada', '2024-03-01 10:00', 'visit')")
    yield {"type": "sql", "url": f"sqlite:///{folder}/shop.db", "table": "visits", "day_column": "at"}


@contextmanager
def _project(folder: Path) -> Iterator[dict[str, Any]]:
    with Project([row(1, "10:00:00.000000")]) as server:
        yield {"type": "posthog", "host": server.url, "project_id": "1", "personal_api_key": "phx_any"}


@pytest.mark.parametrize("source", [_database, _project])
def test_a_lost_cursor_imports_no_day_twice_whatever_the_source(
    world: World, source: Callable[[Path], AbstractContextManager[dict[str, Any]]]
) -> None:
    days = ["2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04"]
    with source(world.folder) as world.attributes["source"]:
        assert world.tick("new_data").days == days
        world.set_cursor("{")
        assert world.tick("new_data").skip_reason == "looked at 4 days; 4 days imported already, with the same content"


def test_days_imported_by_hand_before_the_sensor_was_started_are_not_imported_again(world: World) -> None:
    for day in ("2024-03-01", "2024-03-02"):
        world.write(day, "ada")
    with time_machine.travel(world.now, tick=True), world.daemon() as daemon:
        from posthog_assets.pipeline.config.import_file import Import
        from posthog_assets_tests.pipeline.test_whole_way import materialize

        assert materialize(Import.read(world.attributes), "2024-03-01", instance=daemon.instance).success
    assert world.tick("new_data").days == ["2024-03-02"]


def test_no_more_days_are_requested_than_may_be_under_way_and_the_rest_follow(world: World) -> None:
    world.attributes["automation"]["new_data"]["days_at_once"] = 2
    for day in ("2024-03-01", "2024-03-02", "2024-03-03"):
        world.write(day, "ada")
    world.queue = True
    assert world.tick("new_data").days == ["2024-03-01", "2024-03-02"]
    full = world.tick("new_data")
    assert full.days == []
    assert "2024-03-03: new, with too many days under way" in str(full.skip_reason)
    with world.daemon() as daemon:
        for run in daemon.instance.get_runs():
            daemon.instance.report_run_canceled(run)
    assert world.tick("new_data").days == ["2024-03-03"]


def test_a_day_that_changes_while_it_is_queued_is_imported_again_after_that(world: World) -> None:
    world.write("2024-03-01", "ada")
    world.queue = True
    assert world.tick("new_data").days == ["2024-03-01"]
    world.write("2024-03-01", "ada", "bob")
    assert "2024-03-01: queued or running already" in str(world.tick("new_data").skip_reason)
    with world.daemon() as daemon:
        for run in daemon.instance.get_runs():
            daemon.instance.report_run_canceled(run)
    assert world.tick("new_data").days == ["2024-03-01"]


def test_a_source_that_cannot_be_reached_costs_neither_the_cursor_nor_the_tick(world: World) -> None:
    world.write("2024-03-01", "ada")
    world.tick("new_data")
    path = world.attributes["source"]["path"]
    world.attributes["source"]["path"] = "http://127.0.0.1:1/exports/{day}.jsonl"
    tick = world.tick("new_data")
    assert not tick.failed
    assert "could not be reached" in str(tick.skip_reason)
    world.attributes["source"]["path"] = path
    assert world.tick("new_data").skip_reason == "looked at 4 days; nothing is new"
