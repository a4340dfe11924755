"""Days as recorded runs: one that fails, one that is retried, a process that dies, somebody who presses Ctrl-C."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from posthog_assets.core.errors import ImportFileError, PosthogAssetsError
from posthog_assets_tests.fakes.capture_server import Asked, CaptureServer, Reply
from posthog_assets_tests.records.shop_of_days import Shop, day_of, days_of, refusing, stored_by_day


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Shop]:
    monkeypatch.syspath_prepend(str(tmp_path))
    # The command settles it for its process.
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster_home"))
    return lambda days: Shop.made(tmp_path, days)


def test_every_day_is_a_recorded_run_and_a_second_backfill_sends_nothing(shop: Callable[[int], Shop]) -> None:
    project = shop(3)
    with CaptureServer() as server:
        project.write(server.url, 3)
        first = project.call("backfill", "shop")
        assert (first.exit_code, stored_by_day(server)) == (0, dict.fromkeys(days_of(3), 3))
        assert "events acknowledged        9" in first.output
        again = project.call("backfill", "shop", "--from", "2024-03-02", "--assets", "imported_batches,landed_events")
    assert (again.exit_code, len(server.stored)) == (0, 9)
    assert project.runs() == [
        ("2024-03-01", "SUCCESS", "backfill"),
        ("2024-03-02", "SUCCESS", "backfill"),
        ("2024-03-02", "SUCCESS", "backfill"),
        ("2024-03-03", "SUCCESS", "backfill"),
        ("2024-03-03", "SUCCESS", "backfill"),
    ]
    with dg.DagsterInstance.from_config(str(project.home)) as instance:
        chosen = instance.get_runs(limit=1)[0].asset_selection
    assert chosen == {dg.AssetKey(["shop", "imported_batches"]), dg.AssetKey(["shop", "landed_events"])}


def test_days_that_are_not_complete_in_the_source_are_left_out_and_named(shop: Callable[[int], Shop]) -> None:
    project = shop(3)
    hours = (datetime.now(UTC) - datetime(2024, 3, 3, 12, tzinfo=UTC)) // timedelta(hours=1)
    with CaptureServer() as server:
        project.write(server.url, 3, source={"available_after_hours": hours})
        done = project.call("backfill", "shop")
    assert (done.exit_code, stored_by_day(server)) == (0, {"2024-03-01": 3, "2024-03-02": 3})
    assert "UTC and later: 2024-03-03" in done.output


def test_a_day_that_fails_stops_no_other_and_is_the_only_one_retried(shop: Callable[[int], Shop]) -> None:
    project = shop(4)
    with CaptureServer(refusing("2024-03-02")) as server:
        project.write(server.url, 4)
        failed = project.call("backfill", "shop", "--jobs", "2")
        assert failed.exit_code == 1
        assert "2024-03-02: imported_batches: PostHog refuses" in failed.output
        assert "To run only what failed: posthog-assets retry-failed shop" in failed.output
        assert stored_by_day(server) == {"2024-03-01": 3, "2024-03-03": 3, "2024-03-04": 3}

        facts = project.facts()
        assert facts["assets"]["imported_batches"] == {
            "materialized": 3, "failed": 1, "missing": 0, "in_progress": 0, "behind": 0,
        }  # fmt: skip
        assert facts["assets"]["posthog_events"]["failed"] == 0
        assert (facts["owed"], facts["owed_by_day"]) == (3, {"2024-03-02": 3})
        (failure,) = facts["failed_days"]
        assert (failure["day"], failure["asset"], failure["error"]) == ("2024-03-02", "imported_batches", "Refused")
        assert failure["waits_for_a_person"] is True
        assert facts["oldest_failure"] == failure
        assert "until somebody puts right" in facts["next"]

        asked = len(server.requests)
        dry = project.call("retry-failed", "shop", "--dry-run")
        assert (dry.exit_code, len(server.requests)) == (0, asked)
        assert "2024-03-02 │ imported_batches, landed_events │ PostHog refuses" in dry.output
        assert "Trying again alone does not cure 1 day of them (1 Refused)" in dry.output

        server.script = lambda asked: None
        retried = project.call("retry-failed", "shop")
        assert (retried.exit_code, stored_by_day(server)) == (0, dict.fromkeys(days_of(4), 3))
        assert project.runs()[1:3] == [
            ("2024-03-02", "FAILURE", "backfill"),
            ("2024-03-02", "SUCCESS", "retry-failed"),
        ]
        nothing = project.call("retry-failed", "shop")
    assert (nothing.exit_code, "Nothing failed, and nothing is owed" in nothing.output) == (0, True)
    assert project.facts()["next"] == "nothing: every day is imported, and nothing is owed"


def test_with_missing_only_days_that_are_not_complete_run(shop: Callable[[int], Shop]) -> None:
    project = shop(4)
    with CaptureServer(refusing("2024-03-02")) as server:
        project.write(server.url, 4)
        project.call("backfill", "shop", "--to", "2024-03-03")
        # Made again from what is behind it: the day is behind.
        project.call("backfill", "shop", "--from", "2024-03-03", "--to", "2024-03-03", "--assets", "posthog_events")
        assert project.facts()["assets"]["imported_batches"]["behind"] == 1
        server.script = lambda asked: None
        project.call("backfill", "shop", "--missing", "--skip-check")
        done = project.call("backfill", "shop", "--missing")
    assert [run[0] for run in project.runs()] == [
        "2024-03-01",
        "2024-03-02", "2024-03-02",
        "2024-03-03", "2024-03-03", "2024-03-03",
        "2024-03-04",
    ]  # fmt: skip
    assert "Every day is complete" in done.output
    assert len(server.stored) == 12


def test_a_worker_that_is_killed_costs_its_day_and_no_other(shop: Callable[[int], Shop]) -> None:
    project = shop(5)
    project.dies_on("2024-03-03")
    with CaptureServer() as server:
        project.write(server.url, 5)
        result = project.call("backfill", "shop", "--jobs", "2")
        assert result.exit_code == 1
        assert "2024-03-03: The process that ran this day died (SIGKILL)" in result.output
        assert sorted(stored_by_day(server)) == ["2024-03-01", "2024-03-02", "2024-03-04", "2024-03-05"]
        assert [run[1] for run in project.runs()] == ["SUCCESS", "SUCCESS", "FAILURE", "SUCCESS", "SUCCESS"]
        (failure,) = project.facts()["failed_days"]
        assert (failure["asset"], failure["waits_for_a_person"]) == (None, False)
        project.heals()
        dry = project.call("retry-failed", "shop", "--dry-run")
        assert "posthog_events, imported_batches, landed_events" in dry.output
        assert project.call("retry-failed", "shop").exit_code == 0
    assert len(server.stored) == 15


def test_workers_that_die_before_they_can_work_end_the_command(shop: Callable[[int], Shop]) -> None:
    project = shop(1)
    (project.folder / project.package / "__init__.py").write_text(
        "import multiprocessing, os\nif multiprocessing.parent_process():\n    os._exit(3)\n"
    )
    with CaptureServer() as server:
        project.write(server.url, 1)
        result = project.call("backfill", "shop")
    assert isinstance(result.exception, PosthogAssetsError)
    assert "3 processes in a row died while loading shop" in str(result.exception)
    assert project.runs() == []


class Held:
    """A server script that answers the events of the first day only after `release`."""

    def __init__(self) -> None:
        self.reached, self.release = threading.Event(), threading.Event()

    def __call__(self, asked: Asked) -> Reply | None:
        if day_of(asked) == "2024-03-01":
            self.reached.set()
            assert self.release.wait(240)
        return None


def test_ctrl_c_lets_the_day_under_way_end_and_begins_no_other(shop: Callable[[int], Shop]) -> None:
    project, held = shop(4), Held()
    with CaptureServer(held) as server:
        project.write(server.url, 4)
        command = project.begun("backfill", "shop", "--jobs", "1")
        assert held.reached.wait(240)
        # A terminal sends it to every process of the group.
        os.killpg(command.pid, signal.SIGINT)
        held.release.set()
        said = command.communicate(timeout=240)[0]
    assert command.returncode == 130, said
    assert "Stopped: 3 days not begun" in said
    assert project.runs() == [("2024-03-01", "SUCCESS", "backfill")]
    assert stored_by_day(server) == {"2024-03-01": 3}


@pytest.mark.parametrize("way", ["a second Ctrl-C", "kill -9"])
def test_a_day_cut_off_in_the_middle_is_found_and_run_again(shop: Callable[[int], Shop], way: str) -> None:
    project, held = shop(2), Held()
    project.one_at_a_time()
    with CaptureServer(held) as server:
        project.write(server.url, 2)
        command = project.begun("backfill", "shop", "--jobs", "1")
        assert held.reached.wait(240)
        if way == "kill -9":
            command.kill()
        else:
            command.send_signal(signal.SIGINT)
            command.send_signal(signal.SIGTERM)
        said = command.communicate(timeout=240)[0]
        held.release.set()
        assert (
            "2024-03-01 │ imported_batches, landed_events" in project.call("retry-failed", "shop", "--dry-run").output
        )
        facts = project.facts()
        with dg.DagsterInstance.from_config(str(project.home)) as instance:
            pools = instance.event_log_storage.get_concurrency_keys()
            assert [instance.event_log_storage.get_concurrency_info(pool).active_slot_count for pool in pools] == [0]
        assert command.returncode == (-signal.SIGKILL if way == "kill -9" else 130), said
        assert [run[1] for run in project.runs()] == ["FAILURE"]
        assert facts["assets"]["imported_batches"]["failed"] == 1
        assert facts["assets"]["imported_batches"]["in_progress"] == 0
        assert project.call("retry-failed", "shop").exit_code == 0
    # The cut-off request may have arrived: its events come again, under the same uuids.
    assert (set(stored_by_day(server)), len(set(server.uuids()))) == ({"2024-03-01"}, 3)
    facts = project.facts()
    assert (facts["owed"], facts["assets"]["landed_events"]["missing"]) == (0, 1)
    assert [run[1] for run in project.runs()] == ["FAILURE", "SUCCESS"]


def test_events_that_have_not_landed_are_owed_and_sent_again_by_a_retry(shop: Callable[[int], Shop]) -> None:
    pytest.importorskip("chdb", reason="needs the extra posthog_assets[sandbox]")
    from posthog_assets.sandbox import Sandbox

    project = shop(1)
    looking = {"personal_api_key": "phx_any", "project_id": "1", "landing_seconds": 0}
    # PostHog says yes to the key of another project, and the events are nowhere.
    with Sandbox(project_key="phc_another") as elsewhere:
        project.write(elsewhere.url, 1, **looking)
        refused = project.call("backfill", "shop")
        assert (refused.exit_code, "is not the key of project 1" in refused.output) == (1, True)
        assert "Nothing was started" in refused.output
        assert project.call("backfill", "shop", "--skip-check").exit_code == 1
    facts = project.facts()
    assert facts["owed"] == 3
    assert (facts["assets"]["imported_batches"]["failed"], facts["assets"]["landed_events"]["failed"]) == (0, 1)
    with Sandbox(project_key="phc_any") as right:
        project.write(right.url, 1, **looking | {"landing_seconds": 120})
        assert "imported_batches, landed_events" in project.call("retry-failed", "shop", "--dry-run").output
        assert project.call("retry-failed", "shop").exit_code == 0
        assert right.stats()["rows_final"] == 3
    assert project.facts()["owed"] == 0


def test_dagsters_pools_hold_for_days_of_a_backfill(shop: Callable[[int], Shop]) -> None:
    project = shop(4)
    project.one_at_a_time()
    with CaptureServer(lambda asked: Reply(delay=0.3)) as server:
        project.write(server.url, 4)
        assert project.call("backfill", "shop", "--jobs", "2").exit_code == 0
    with dg.DagsterInstance.from_config(str(project.home)) as instance:
        stats = [instance.get_run_step_stats(run.run_id, ["shop__imported_batches"])[0] for run in instance.get_runs()]
    spans = sorted((step.start_time, step.end_time) for step in stats if step.start_time and step.end_time)
    assert len(spans) == 4
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


def test_what_cannot_be_run_is_said_in_one_sentence(shop: Callable[[int], Shop]) -> None:
    project = shop(2)
    project.write("http://127.0.0.1:1", 2)
    for arguments, words in [
        (["backfill", "shop", "--from", "2024-02-01"], "2024-02-01 is no day of shop, which has 2024-03-01 to"),
        (["backfill", "shop", "--from", "2024-03-02", "--to", "2024-03-01"], "lies before the first"),
        (["backfill", "shop", "--assets", "imported"], "shop has no asset imported; there are: raw_export"),
        (["backfill", "other"], "there is no import 'other'; there are: shop"),
    ]:
        result = project.call(*arguments)
        assert (result.exit_code, words in str(result.exception)) == (1, True), arguments


def test_a_day_whose_records_are_all_rejected_is_not_a_success(shop: Callable[[int], Shop]) -> None:
    project = shop(2)
    export = project.folder / "exports/2024-03-02.jsonl"
    export.write_text(export.read_text().replace('"at"', '"when"'))
    with CaptureServer() as server:
        project.write(server.url, 2)
        ran = project.call("backfill", "shop")
    assert (ran.exit_code, stored_by_day(server)) == (1, {"2024-03-01": 3})
    assert "2024-03-02: 3 of 3 records are rejected (100.0%); most often: column at is missing" in ran.output
    facts = project.facts()
    assert (facts["rejected"], facts["too_many_rejected"]) == (3, ["2024-03-02"])
    assert "1 day has too many rejected records" in facts["next"]


def test_an_import_without_an_end_ends_where_its_source_does(shop: Callable[[int], Shop]) -> None:
    project = shop(2)
    with CaptureServer() as server:
        project.write(server.url, None)
        ran = project.call("backfill", "shop")
        again = project.call("backfill", "shop", "--missing")
    assert (ran.exit_code, stored_by_day(server)) == (0, dict.fromkeys(days_of(2), 3))
    assert "Left out, the source reaches to 2024-03-02" in ran.output
    assert "Every day is complete" in again.output
    facts = project.facts()
    assert (facts["days"], facts["source_reaches_to"]) == (2, "2024-03-02")
    assert facts["next"] == "nothing: every day is imported, and nothing is owed"


def test_a_wrong_import_file_is_one_sentence_for_every_command(shop: Callable[[int], Shop]) -> None:
    project = shop(1)
    project.write("http://127.0.0.1:1", 1, batch_event=5)
    for command in ("backfill", "retry-failed", "status"):
        raised = project.call(command, "shop").exception
        assert isinstance(raised, ImportFileError)
        assert "destination.batch_event (line" in str(raised)


def test_asking_does_not_create_a_dagster_history(shop: Callable[[int], Shop]) -> None:
    project = shop(1)
    project.write("http://127.0.0.1:1", 1)
    for command in ("status", "retry-failed"):
        assert "there is no Dagster history" in str(project.call(command, "shop").exception)
    assert not project.home.exists()


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from posthog_assets.cli import main\n"
        "sys.argv = ['posthog-assets', 'backfill', '--help']\n"
        "main()\n"
        "sys.exit(str({'dagster', 'pyarrow', 'pandas', 'rich', 'posthog'} & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "--missing" in result.stdout
    assert result.stderr.strip() == "set()"


def test_days_of_another_mapping_are_behind_and_those_it_would_duplicate_are_named(
    shop: Callable[[int], Shop], tmp_path: Path
) -> None:
    project = shop(2)
    file = tmp_path / project.package / "defs/shop/defs.yaml"
    with CaptureServer() as server:
        project.write(server.url, 2)
        assert project.call("backfill", "shop").exit_code == 0
        assert (len(server.stored), project.facts()["assets"]["posthog_events"]["behind"]) == (6, 0)

        # Other properties: the days are to be made again, and PostHog replaces their events.
        file.write_text(file.read_text().replace("mapping:\n", "mapping:\n    properties: {add: {origin: shop}}\n"))
        facts = project.facts()
        assert facts["assets"]["posthog_events"]["behind"] == 2
        assert facts["next"].startswith("2 days were made by other settings of mapping and dialect: posthog-assets")
        assert project.call("backfill", "shop", "--missing").exit_code == 0
        assert (len(server.stored), project.facts()["assets"]["posthog_events"]["behind"]) == (12, 0)

        # Another name of the events would be another event: named, not begun.
        project.write(server.url, 2)
        file.write_text(file.read_text().replace("mapping:\n", "mapping:\n    events: {page: renamed}\n"))
        result = project.call("backfill", "shop", "--missing")
    assert "Left out, 2 days: the changed mapping would give 6 events another day, name or distinct_id" in result.output
    assert "Every other day is complete." in result.output
    assert len(server.stored) == 12
