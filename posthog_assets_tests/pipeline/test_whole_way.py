"""Real data through the real Dagster assets into the sandbox; the oracle reads the file by itself."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from posthog_assets.orchestration.build import build_definitions
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets_tests.conftest import small_import

STEPS = ["raw_export", "staged_events", "posthog_events", "imported_batches", "landed_events"]


def destination(sandbox: Any, **more: Any) -> dict[str, Any]:
    return {
        "host": sandbox.url, "project_api_key": "phc_any", "personal_api_key": "phx_any", "project_id": 1,
        "landing_seconds": 5,
    } | more  # fmt: skip


def materialize(
    imp: Import, day: str, *names: str, instance: dg.DagsterInstance | None = None
) -> dg.ExecuteInProcessResult:
    """Run some (default: all) assets of *imp* for *day* as the UI would."""
    assets = build_definitions(imp).resolve_asset_graph().assets_defs
    chosen = dg.AssetSelection.assets(*[[imp.name, name] for name in names or STEPS])
    return dg.materialize(
        assets,
        selection=chosen,
        partition_key=day,
        instance=instance or dg.DagsterInstance.ephemeral(),
        raise_on_error=False,
    )


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.get_step_failure_events()
    assert event.step_failure_data.user_failure_data
    return event.step_failure_data.user_failure_data.description or ""


def metadata(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    (found,) = [
        event.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key and event.asset_key.path[-1] == name
    ]
    return {key: value.value for key, value in found.items()}


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {evaluation.check_name: evaluation.passed for evaluation in result.get_asset_check_evaluations()}


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


@pytest.mark.end_to_end
def test_a_day_of_wikipedia_lands_as_it_is_in_the_file(
    tmp_path: Path, sandbox: Any, real_data: Callable[[str], Path]
) -> None:
    path = real_data("wikipedia-edits-2015-09-12.jsonl.gz")
    imp = small_import(
        tmp_path,
        name="wikipedia",
        start_date="2015-09-12",
        source={"type": "files", "path": str(path.parent / "wikipedia-edits-{day}.jsonl.gz")},
        dialect={
            "type": "columns",
            "event": {"value": "page edited"},
            "user_id": {"column": "user"},
            "timestamp": {"column": "time"},
        },
        mapping={"events": {"page edited": "wiki_edit"}, "properties": {"rename": {"cityName": "$geoip_city_name"}}},
        destination=destination(sandbox),
    )
    result = materialize(imp, "2015-09-12")
    assert result.success
    assert checks(result) == {
        "as_many_records_as_neighbours": True,
        "every_raw_record_is_a_row": True,
        "every_staged_row_is_an_event": True,
        "few_records_are_rejected": True,
        "events_are_near_their_day": True,
        "some_record_has_a_user": True,
        "no_event_long_before_start": True,
        "nothing_lost": True,
        "nothing_orphaned": True,
        "few_dropped": True,
        "everything_acknowledged_has_landed": True,
        "no_partition_left_failed": True,
    }
    truth: Counter[tuple[Any, ...]] = Counter()
    for line in gzip.decompress(path.read_bytes()).split(b"\n")[:-1]:
        record = json.loads(line)
        moment = datetime.fromisoformat(record["time"])
        truth[
            "wiki_edit",
            record["user"].strip(),
            milliseconds(moment),
            record["page"],
            record["delta"],
            record["cityName"],
        ] += 1
    landed = Counter(
        (event, user, milliseconds(at), p["page"], p["delta"], p["$geoip_city_name"])
        for _, event, user, at, p in sandbox.events()
    )
    assert landed == truth
    assert sum(truth.values()) == 39_244
    before = sandbox.stats()
    again = materialize(imp, "2015-09-12")
    after = sandbox.stats()
    assert metadata(again, "imported_batches")["sent"] == 0
    assert after["requests_by_path"]["/i/v1/analytics/events"] == before["requests_by_path"]["/i/v1/analytics/events"]
    assert (after["rows"], after["rows_final"]) == (39_244, 39_244)


def test_github_events_land_with_their_ids_and_nesting(
    tmp_path: Path, sandbox: Any, real_data: Callable[[str], Path]
) -> None:
    path = real_data("github-events-2021-07-21.jsonl.gz")
    imp = small_import(
        tmp_path,
        name="github",
        start_date="2021-07-21",
        source={"type": "files", "path": str(path), "day_column": "created_at"},
        dialect={
            "type": "columns",
            "event": {"column": "type"},
            "user_id": {"column": "actor.login"},
            "timestamp": {"column": "created_at"},
            "source_id": {"column": "id"},
        },
        destination=destination(sandbox, protocol="batch"),
    )
    result = materialize(imp, "2021-07-21")
    assert result.success
    truth = set()
    for line in gzip.decompress(path.read_bytes()).split(b"\n")[:-1]:
        record = json.loads(line)
        at = milliseconds(datetime.fromisoformat(record["created_at"]))
        truth.add(
            (record["id"], record["type"], record["actor"]["login"], at, json.dumps(record["payload"], sort_keys=True))
        )
    landed = {
        (p["$import_source_id"], event, user, milliseconds(at), json.dumps(p["payload"], sort_keys=True))
        for _, event, user, at, p in sandbox.events()
    }
    assert landed == truth
    assert sandbox.stats()["requests_by_path"].keys() >= {"/batch/"}


def write_day(tmp_path: Path, *records: dict[str, Any], day: str = "2024-03-01") -> None:
    folder = tmp_path / "exports"
    folder.mkdir(exist_ok=True)
    (folder / f"{day}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def record(number: int, **changes: Any) -> dict[str, Any]:
    return {"id": number, "user": f"user-{number}", "at": f"2024-03-01T10:00:{number:02}Z", "what": "click"} | changes


def test_bad_records_are_rejected_with_reasons_and_the_rest_arrives(tmp_path: Path, shared_sandbox: Any) -> None:
    write_day(
        tmp_path, record(1), record(2, at="soon"), record(3, user="null"), record(4, user=None),
        record(5, what="x" * 201), record(6, note="y" * 1_000_000), record(7, at=None),
        record(8, n=2**53 + 1, text="a\rb\u0000ü"),
    )  # fmt: skip
    imp = small_import(tmp_path, name="bad", destination=destination(shared_sandbox))
    result = materialize(imp, "2024-03-01")
    assert result.success
    assert (metadata(result, "staged_events")["rejected"], metadata(result, "posthog_events")["rejected"]) == (2, 4)
    mine = [event for event in shared_sandbox.events() if event[4].get("$import_job_id") == "bad"]
    assert [(user, properties.get("n")) for _, _, user, _, properties in mine] == [
        ("user-1", None),
        ("user-8", str(2**53 + 1)),
    ]
    assert mine[1][4]["text"] == "a\rb\u0000ü"
    assert mine[0][3] == datetime(2024, 3, 1, 10, 0, 1, tzinfo=UTC)


def test_an_empty_day_materializes_with_no_rows(tmp_path: Path, shared_sandbox: Any) -> None:
    write_day(tmp_path)
    imp = small_import(tmp_path, name="empty", destination=destination(shared_sandbox))
    result = materialize(imp, "2024-03-01")
    assert result.success
    assert all(metadata(result, name)["dagster/partition_row_count"] == 0 for name in STEPS)


@pytest.mark.end_to_end
def test_each_asset_runs_alone_in_any_order_and_twice_gives_the_same(tmp_path: Path, shared_sandbox: Any) -> None:
    write_day(tmp_path, *[record(n) for n in range(9, 0, -1)])
    write_day(tmp_path, record(1, at="2024-03-02T00:00:00Z"), day="2024-03-02")
    imp = small_import(tmp_path, name="alone", destination=destination(shared_sandbox))
    assert "materialize raw_export for 2024-03-02 first" in failure(materialize(imp, "2024-03-02", "staged_events"))
    assert "materialize staged_events for 2024-03-01 first" in failure(materialize(imp, "2024-03-01", "posthog_events"))
    assert "materialize posthog_events for 2024-03-01 first" in failure(
        materialize(imp, "2024-03-01", "imported_batches")
    )
    assert "materialize imported_batches for 2024-03-01 first" in failure(
        materialize(imp, "2024-03-01", "landed_events")
    )
    for day in ("2024-03-02", "2024-03-01"):
        for name in STEPS:
            assert materialize(imp, day, name).success
    folder = tmp_path / "data/alone"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for name in reversed(STEPS):
        assert materialize(imp, "2024-03-01", name).success
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {path.name for path in before if before[path] != after[path]} == set()


def test_a_broken_file_fails_its_day_by_name_and_its_neighbour_goes_on(tmp_path: Path, shared_sandbox: Any) -> None:
    write_day(tmp_path, record(1))
    (tmp_path / "exports/2024-03-02.jsonl.gz").write_bytes(gzip.compress(b'{"id":1}\n' * 1000)[:-20])
    imp = small_import(
        tmp_path,
        name="broken",
        source={"type": "files", "path": str(tmp_path / "exports/{day}.jsonl*")},
        destination=destination(shared_sandbox),
    )
    assert "2024-03-02.jsonl.gz cannot be read" in failure(materialize(imp, "2024-03-02", "raw_export"))
    assert materialize(imp, "2024-03-01").success


def test_a_wrong_key_or_host_is_one_sentence(tmp_path: Path) -> None:
    write_day(tmp_path, record(1))
    for changes, words in (
        ({"host": None}, "destination.host is empty"),
        ({"host": "http://127.0.0.1:1", "project_api_key": "phx_p"}, "is a personal key"),
    ):
        imp = small_import(tmp_path, name="wrong", destination={"project_api_key": "phc_a"} | changes)
        assert words in failure(materialize(imp, "2024-03-01", *STEPS[:4]))


def test_markers_of_other_names_are_looked_for_under_these(tmp_path: Path, shared_sandbox: Any) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "2024-03-01.jsonl").write_text('{"id":"m1","user":"ann","at":"2024-03-01T10:00:00Z","what":"page"}\n')
    names = {"import": "batch", "day": "batch_day", "source_id": "original", "source": "from"}
    imp = small_import(
        tmp_path, name="own_markers", mapping={"markers": names}, destination=destination(shared_sandbox)
    )
    result = materialize(imp, "2024-03-01")
    assert checks(result)["everything_acknowledged_has_landed"]
    (event,) = [p for *_, p in shared_sandbox.events() if p.get("batch") == "own_markers"]
    assert {key: event[key] for key in ("batch_day", "original", "from")} == {
        "batch_day": "2024-03-01", "original": "m1", "from": "columns",
    }  # fmt: skip
