"""Days fail for real, the daemon ticks: what can be cured is tried again, from where it failed, and not for ever."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import time_machine

from posthog_assets.pipeline.config.import_file import Import
from posthog_assets_tests.fakes.capture_server import CaptureServer, Reply
from posthog_assets_tests.fakes.daemon import World

DAY = "2024-03-01"
QUARTER = timedelta(minutes=15, seconds=30)


def world_of(folder: Path, host: str, **retry_failed: Any) -> World:
    world = World(folder, host, retry_failed={"enabled": True, **retry_failed})
    world.attributes["source"] = {
        "type": "posthog_assets_tests.fakes.flaky.Flaky",
        "path": str(folder / "exports/{day}.jsonl"),
    }
    return world


@pytest.fixture
def world(tmp_path: Path, shared_sandbox: Any) -> World:
    return world_of(tmp_path, shared_sandbox.url)


def down(world: World, day: str, asked: str) -> Path:
    """Have the source refuse *day*, asking to be left alone for so many seconds, or for ever."""
    file = world.folder / f"exports/{day}.jsonl.down"
    file.write_text(asked)
    return file


def run(world: World, day: str, *steps: str) -> bool:
    """Run the import's job for *day* as a person would; returns whether it succeeded."""
    with time_machine.travel(world.now, tick=True), world.daemon() as daemon:
        from posthog_assets.orchestration.build import build_definitions

        imp = Import.read(world.attributes)
        job = build_definitions(imp).resolve_job_def("import_small")
        result = job.execute_in_process(
            instance=daemon.instance,
            partition_key=day,
            raise_on_error=False,
            asset_selection=[dg.AssetKey(["small", step]) for step in steps] or None,
        )
        return result.success


def last_run(world: World) -> tuple[dict[str, str], list[str]]:
    """Return the tags of the newest run, and the assets it materialized."""
    with world.daemon() as daemon:
        newest = daemon.instance.get_runs(limit=1)[0]
        events = daemon.instance.all_logs(newest.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        assets = [entry.dagster_event.asset_key.path[-1] for entry in events if entry.dagster_event.asset_key]  # type: ignore[union-attr]
        return dict(newest.tags), assets


def test_a_day_whose_source_was_down_is_tried_with_growing_pauses_until_it_succeeds(world: World) -> None:
    world.write(DAY, "ada")
    file = down(world, DAY, "901")
    assert not run(world, DAY)
    early = world.tick("retry_failed", timedelta(minutes=5))
    assert (early.days, early.skip_reason) == ([], "1 day to be tried again 16 minutes after failing: 2024-03-01")
    assert world.tick("retry_failed", QUARTER).days == [DAY]
    # The second pause is 15 minutes by the settings too, the third one 45.
    assert world.tick("retry_failed", QUARTER).days == [DAY]
    assert (
        world.tick("retry_failed", QUARTER).skip_reason
        == "1 day to be tried again 45 minutes after failing: 2024-03-01"
    )
    file.unlink()
    assert world.tick("retry_failed", timedelta(minutes=45)).days == [DAY]
    assert last_run(world)[0]["posthog_assets/retry_attempt"] == "3"
    assert world.tick("retry_failed").skip_reason == "no day is failed"


def test_after_so_many_tries_a_day_is_left_to_a_person_and_a_persons_run_counts_again(
    tmp_path: Path, shared_sandbox: Any
) -> None:
    world = world_of(tmp_path, shared_sandbox.url, attempts=1)
    world.write(DAY, "ada")
    down(world, DAY, "901")
    run(world, DAY)
    assert world.tick("retry_failed", QUARTER).days == [DAY]
    assert world.tick("retry_failed", timedelta(days=3)).skip_reason == "1 day given up after 1 try: 2024-03-01"
    run(world, DAY)
    assert world.tick("retry_failed", QUARTER).days == [DAY]


def test_what_trying_again_cannot_cure_is_left_to_a_person_and_the_others_go_on(world: World) -> None:
    for day, asked in ((DAY, "never"), ("2024-03-02", "901")):
        world.write(day, "ada")
        down(world, day, asked)
        run(world, day)
    tick = world.tick("retry_failed", QUARTER)
    assert tick.days == ["2024-03-02"]
    later = world.tick("retry_failed", timedelta(days=3))
    assert later.days == ["2024-03-02"]
    (world.folder / "exports/2024-03-02.jsonl.down").unlink()
    world.tick("retry_failed", timedelta(days=3))
    assert world.tick("retry_failed").skip_reason == "1 day left to a person (SourceError): 2024-03-01"


def test_only_the_failed_step_and_what_follows_it_runs_again(tmp_path: Path) -> None:
    with CaptureServer(lambda asked: Reply(401, b'{"detail": "key is invalid"}', take=False)) as server:
        world = world_of(tmp_path, server.url)
        world.write(DAY, "ada")
        assert not run(world, DAY)
        assert world.tick("retry_failed", QUARTER).skip_reason == "1 day left to a person (Refused): 2024-03-01"
        server.script = lambda asked: None
        # The person repairs the key and sends; that nobody has looked since is no reason to wait for them again.
        assert run(world, DAY, "imported_batches")
        assert world.tick("retry_failed", QUARTER).days == [DAY]
        assert last_run(world)[1] == ["imported_batches", "landed_events"]
        assert len(server.uuids()) == 1


def test_events_that_did_not_land_are_sent_again_and_looked_for_again(tmp_path: Path) -> None:
    pytest.importorskip("chdb", reason="needs the extra posthog_assets[sandbox]")
    from posthog_assets.sandbox import Sandbox

    # The sandbox answers 200 to a key of no project, and stores nothing, as PostHog does.
    with Sandbox(project_key="phc_right") as sandbox:
        world = world_of(tmp_path, sandbox.url)
        world.attributes["destination"] |= {
            "project_api_key": "phc_wrong", "personal_api_key": "phx_any", "project_id": "1", "landing_seconds": 0,
        }  # fmt: skip
        world.write(DAY, "ada", "bob")
        assert not run(world, DAY)
        world.attributes["destination"] |= {"project_api_key": "phc_right", "landing_seconds": 10}
        assert world.tick("retry_failed").days == [DAY]
        assert last_run(world)[1] == ["imported_batches", "landed_events"]
        assert sandbox.stats()["rows_final"] == 2
        assert world.tick("retry_failed").skip_reason == "no day is failed"


def test_a_day_that_is_queued_is_not_requested_a_second_time(world: World) -> None:
    world.write(DAY, "ada")
    down(world, DAY, "901")
    run(world, DAY)
    world.queue = True
    assert world.tick("retry_failed", QUARTER).days == [DAY]
    assert world.tick("retry_failed", timedelta(days=1)).skip_reason == "no day is failed"


def test_a_run_whose_process_died_belongs_to_dagsters_daemon_while_it_says_so(world: World) -> None:
    world.write(DAY, "ada")
    down(world, DAY, "901")
    run(world, DAY)
    with world.daemon() as daemon:
        newest = daemon.instance.get_runs(limit=1)[0]
        daemon.instance.add_run_tags(newest.run_id, {"dagster/will_retry": "true"})
    assert world.tick("retry_failed", QUARTER).skip_reason == "1 day retried by Dagster itself: 2024-03-01"
    assert world.tick("retry_failed", timedelta(hours=1)).days == [DAY]


@pytest.mark.parametrize("broken", ["{", "[]", '{"after": 3}'])
def test_a_broken_cursor_does_not_stop_the_sensor(world: World, broken: str) -> None:
    world.write(DAY, "ada")
    down(world, DAY, "901")
    run(world, DAY)
    world.tick("retry_failed", timedelta(minutes=1))
    world.set_cursor(broken)
    assert world.tick("retry_failed", QUARTER).days == [DAY]


def test_requests_are_bounded_and_go_on_with_the_next_days(tmp_path: Path, shared_sandbox: Any) -> None:
    world = world_of(tmp_path, shared_sandbox.url, days_at_once=1)
    for day in (DAY, "2024-03-02"):
        world.write(day, "ada")
        down(world, day, "901")
        run(world, day)
    assert world.tick("retry_failed", QUARTER).days == [DAY]
    assert world.tick("retry_failed").days == ["2024-03-02"]
