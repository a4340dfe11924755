"""What the `automation` section switches on, and what it refuses."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import pytest
import time_machine

from posthog_assets.core.errors import ImportFileError, SourceUnavailable
from posthog_assets.orchestration.build import build_definitions
from posthog_assets.orchestration.history import History
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.sources import RawExport, Source
from posthog_assets_tests.conftest import small_attributes, small_import
from posthog_assets_tests.fakes.records_api import settings
from posthog_assets_tests.pipeline.test_whole_way import materialize

RUNNING, STOPPED = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED


class Api(Source):
    """An API whose days are complete two hours after their end, and get late events for three days more."""

    type: str = "api"
    log: str
    refusals: int = 2
    availability_delay: ClassVar[timedelta] = timedelta(hours=2)
    look_back_days: ClassVar[int] = 3

    @property
    def pool(self) -> str:
        return "api_of_the_test"

    def fingerprint(self, day: date) -> str | None:
        return self.revision(day)

    def export(self, day: date, raw: RawExport, first_day: date) -> None:
        with Path(self.log).open("a") as log:
            log.write(f"{day}\n")
        if Path(self.log).read_text().count("\n") <= self.refusals:
            raise SourceUnavailable("please wait", retry_after=0.1)
        raw.begin(self.revision(day) or "early")
        raw.complete()


def sensors(imp: Import) -> dict[str, dg.DefaultSensorStatus]:
    return {sensor.name: sensor.default_status for sensor in build_definitions(imp).sensors or []}


def test_nothing_runs_by_itself_until_the_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSTHOG_ASSETS_NOTIFY_URL", raising=False)
    quiet = small_import(tmp_path)
    assert sensors(quiet) == {
        "small_new_data": STOPPED,
        "small_retry_failed": STOPPED,
        "small_failure_notices": STOPPED,
    }
    busy = small_import(tmp_path, automation={"new_data": True, "retry_failed": {"attempts": 2, "enabled": True}})
    assert sensors(busy) | {"small_failure_notices": STOPPED} == {
        "small_new_data": RUNNING,
        "small_retry_failed": RUNNING,
        "small_failure_notices": STOPPED,
    }
    assert (
        sensors(small_import(tmp_path, automation={"notify": {"webhook": "https://hooks.example/x"}}))[
            "small_failure_notices"
        ]
        is RUNNING
    )


@pytest.mark.parametrize(
    ("automation", "words"),
    [
        (
            {"new_data": {"evry_seconds": 5}},
            "automation.new_data.evry_seconds: is no field here; did you mean every_seconds?",
        ),
        ({"daily": {"at": "3am"}}, "automation.daily.at: must be a time of day, HH:MM"),
        ({"daily": True, "new_data": True}, "enable new_data (files, late data) or daily, not both"),
        ({"notify": {"webhook": "hooks.example/secret"}}, "automation.notify.webhook: must be a URL"),
    ],
)
def test_a_wrong_section_is_refused_with_the_field_and_without_secrets(
    automation: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ImportFileError) as caught:
        small_import(tmp_path, automation=automation)
    assert words in str(caught.value)
    assert "hooks.example/secret" not in str(caught.value)


def test_a_daily_schedule_is_refused_for_an_import_that_has_an_end(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="automation.daily keeps an import going that has no end_date"):
        small_import(tmp_path, end_date="2024-03-31", automation={"daily": True})
    names = {
        schedule.name for schedule in build_definitions(small_import(tmp_path, end_date="2024-03-31")).schedules or []
    }
    assert names == {"small_failed_days"}


def api(tmp_path: Path, refusals: int = 2, **changes: Any) -> Import:
    source = {
        "type": "posthog_assets_tests.end_to_end.test_automation.Api",
        "log": str(tmp_path / "log"),
        "refusals": refusals,
    }
    return small_import(tmp_path, source=source, **changes)


@pytest.mark.parametrize(
    ("at", "days"),
    [
        # The first day gets no late records any more, and is read once more.
        ("2024-03-05T03:00:00", ["2024-03-01", "2024-03-04"]),
        ("2024-03-05T01:59:00", ["2024-03-03"]),
        ("2024-03-01T03:00:00", []),
    ],
)
def test_the_daily_schedule_imports_the_last_day_that_is_complete_by_then(
    at: str, days: list[str], tmp_path: Path
) -> None:
    definitions = build_definitions(api(tmp_path, automation={"daily": True}))
    schedule = definitions.resolve_schedule_def("small_daily")
    now = datetime.fromisoformat(at).replace(tzinfo=UTC)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance, scheduled_execution_time=now, repository_def=definitions.get_repository_def()
        )
        ticked = schedule.evaluate_tick(context)
    assert [request.partition_key for request in ticked.run_requests or []] == days


def test_the_daily_schedule_reads_a_day_again_when_its_records_change_no_more(tmp_path: Path) -> None:
    source = settings("http://127.0.0.1:1", look_back_days=7)
    imp = small_import(tmp_path, source=source, automation={"daily": True})
    definitions = build_definitions(imp)
    schedule = definitions.resolve_schedule_def("small_daily")
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance,
            scheduled_execution_time=datetime(2024, 3, 20, 3, tzinfo=UTC),
            repository_def=definitions.get_repository_def(),
        )
        asked = schedule.evaluate_tick(context).run_requests or []
    assert [(request.partition_key, request.run_key) for request in asked] == [
        ("2024-03-10", "2024-03-10 settled"),
        ("2024-03-11", "2024-03-11 settled"),
        ("2024-03-12", "2024-03-12 settled"),
        ("2024-03-19", "2024-03-19"),
    ]


def test_the_daily_schedule_waits_until_the_records_of_a_day_are_final(tmp_path: Path) -> None:
    imp = small_import(tmp_path, dialect={"type": "ga4"}, automation={"daily": True})
    definitions = build_definitions(imp)
    schedule = definitions.resolve_schedule_def("small_daily")
    with dg.DagsterInstance.ephemeral() as instance:
        for at, day in (("2024-03-10T03:00:00", "2024-03-06"), ("2024-03-04T03:00:00", None)):
            now = datetime.fromisoformat(at).replace(tzinfo=UTC)
            context = dg.build_schedule_context(
                instance, scheduled_execution_time=now, repository_def=definitions.get_repository_def()
            )
            asked = schedule.evaluate_tick(context).run_requests or []
            assert [request.partition_key for request in asked] == ([day] if day else [])


def test_an_api_day_is_wanted_when_it_is_complete_and_once_more_when_it_gets_no_late_events(tmp_path: Path) -> None:
    source = api(tmp_path).source
    seen = []
    for moment in ("2024-03-02T01:00", "2024-03-02T02:00", "2024-03-05T01:59", "2024-03-05T02:00", "2024-04-01T00:00"):
        with time_machine.travel(datetime.fromisoformat(moment).replace(tzinfo=UTC), tick=False):
            (sighting,) = source.fingerprints([date(2024, 3, 1)])
            seen.append(sighting.fingerprint)
    assert seen == [None, "complete", "complete", "settled", "settled"]


def test_exports_of_an_account_share_a_pool_and_a_step_waits_as_long_as_it_was_asked_to(tmp_path: Path) -> None:
    imp = api(tmp_path)
    graph = build_definitions(imp).resolve_asset_graph()
    (raw,) = graph.assets_defs_for_keys([dg.AssetKey(["small", "raw_export"])])
    assert raw.op.pool == "api_of_the_test"
    result = materialize(imp, "2024-03-01", "raw_export")
    assert result.success
    assert (tmp_path / "log").read_text() == "2024-03-01\n" * 3
    waits = [
        event.step_retry_data.seconds_to_wait
        for event in result.all_events
        if event.event_type_value == "STEP_UP_FOR_RETRY"
    ]
    assert waits == [0.1, 0.1]


def test_a_step_that_was_asked_to_wait_too_often_fails_with_its_reason(tmp_path: Path) -> None:
    imp = api(tmp_path, refusals=1_000)
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(imp, "2024-03-01", "raw_export", instance=instance)
        run = instance.get_run_by_id(result.run_id)
        assert run
        days = dg.DailyPartitionsDefinition("2024-03-01", timezone="UTC")
        (failure,) = History(instance, "small", days).failures(run)
        assert (failure.asset, failure.words, failure.error) == ("raw_export", "please wait", "SourceUnavailable")
        assert (failure.retry_after, failure.waits_for_a_person) == (0.1, False)
    assert (tmp_path / "log").read_text().count("\n") == 4


def test_an_import_that_keeps_going_by_itself_counts_as_stale_when_no_day_is_finished(tmp_path: Path) -> None:
    def policy(**changes: Any) -> Any:
        graph = build_definitions(small_import(tmp_path, **changes)).resolve_asset_graph()
        return graph.get(dg.AssetKey(["small", "landed_events"])).freshness_policy

    assert policy() is None
    assert policy(end_date="2024-03-31", automation={"new_data": True}) is None
    assert policy(automation={"new_data": True}) == dg.FreshnessPolicy.time_window(timedelta(hours=36))
    assert policy(automation={"stale_after_hours": 50}) == dg.FreshnessPolicy.time_window(timedelta(hours=50))


def test_the_check_counts_failed_days_says_what_to_do_and_turns_green_again(
    tmp_path: Path, shared_sandbox: Any
) -> None:
    (tmp_path / "exports").mkdir()
    imp = Import.read(
        small_attributes(tmp_path, destination={"host": shared_sandbox.url, "project_api_key": "phc_any"})
    )
    job = build_definitions(imp).resolve_job_def("check_small")
    with dg.DagsterInstance.ephemeral() as instance:

        def look() -> dg.AssetCheckEvaluation:
            (evaluation,) = job.execute_in_process(instance=instance).get_asset_check_evaluations()
            return evaluation

        assert look().passed
        for day in ("2024-03-01", "2024-03-02"):
            assert not materialize(imp, day, instance=instance).success
        red = look()
        assert (red.passed, red.description) == (False, "2 days are failed, first at raw_export")
        assert red.metadata["failed_days"].value == 2
        assert red.metadata["sample"].value == ["2024-03-01", "2024-03-02"]
        assert "Re-execute from failure" in str(red.metadata["recovery"].value)
        for day in ("2024-03-01", "2024-03-02"):
            record = {"id": day, "user": "ada", "at": f"{day}T10:00:00Z", "what": "visit"}
            (tmp_path / f"exports/{day}.jsonl").write_text(json.dumps(record))
            assert materialize(imp, day, instance=instance).success
        assert look().passed


def test_a_run_of_a_day_does_not_count_all_days(tmp_path: Path) -> None:
    job = build_definitions(small_import(tmp_path)).resolve_job_def("import_small")
    assert sorted(job.graph.node_dict) == sorted(
        f"small__{step}"
        for step in ("raw_export", "staged_events", "posthog_events", "imported_batches", "landed_events")
    )
