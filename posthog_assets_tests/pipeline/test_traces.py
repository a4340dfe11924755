"""What an import leaves in PostHog beside its events, once however often it is left."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import urllib3

from posthog_assets.core.errors import DamagedFile, ImportFileError, MissingUpstream, VerificationError
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.traces import Trace, leave_traces
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.storage.layout import traces_path
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.capture_server import Asked, CaptureServer, Reply

HTTP = urllib3.PoolManager()


def imported(
    folder: Path, url: str, traces: dict[str, Any], name: str, *, days: int = 1, event: str = "buy", **more: Any
) -> Import:
    """Deliver a day or more with an event of each of two persons, and return the import."""
    destination = {"host": url, "project_api_key": "phc_any", "personal_api_key": "phx_any", "project_id": "1"}
    imp = small_import(folder, name=name, traces=traces, destination=destination | more)
    (folder / "exports").mkdir(exist_ok=True)
    for day in [date(2024, 3, number + 1) for number in range(days)]:
        rows = [{"id": f"{name} {day} {n}", "user": f"u{n}", "at": f"{day}T10:00:0{n}Z", "what": event} for n in (0, 1)]
        (folder / f"exports/{day}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        export_day(imp, day)
        stage_day(imp, day)
        transform_day(imp, day)
        deliver_day(imp, day)
    return imp


def entries(sandbox: Any, what: str, search: str) -> list[dict[str, Any]]:
    url = f"{sandbox.url}/api/projects/1/{what}/"
    answer = HTTP.request("GET", url, fields={"search": search}, headers={"Authorization": "Bearer phx_any"})
    return list(answer.json()["results"])


def change(sandbox: Any, what: str, key: Any, **changes: Any) -> int:
    url = f"{sandbox.url}/api/projects/1/{what}/{key}/"
    return HTTP.request("PATCH", url, json=changes, headers={"Authorization": "Bearer phx_any"}).status


def outcomes(imp: Import) -> list[str]:
    return [trace.outcome.split(";")[0].split(":")[0] for trace in leave_traces(imp)]


def test_an_annotation_stands_where_the_history_ends_and_moves_with_it(tmp_path: Path, shared_sandbox: Any) -> None:
    words = "2 events of 2024-03-01 to 2024-03-01 were imported (posthog-assets: noted)"
    imp = imported(tmp_path, shared_sandbox.url, {"annotation": True}, "noted")
    assert leave_traces(imp) == [Trace("annotation", words, "created")]
    assert outcomes(imp) == ["as it was"]
    (entry,) = entries(shared_sandbox, "annotations", "noted")
    assert (entry["content"], entry["date_marker"], entry["scope"]) == (words, "2024-03-01T10:00:01+00:00", "project")
    assert outcomes(imported(tmp_path, shared_sandbox.url, {"annotation": True}, "noted", days=2)) == ["changed"]
    (entry,) = entries(shared_sandbox, "annotations", "noted")
    assert entry["date_marker"] == "2024-03-02T10:00:01+00:00"


def test_a_cohort_holds_the_imported_persons_and_is_made_once(tmp_path: Path, shared_sandbox: Any) -> None:
    imp = imported(tmp_path, shared_sandbox.url, {"cohort": True}, "peopled")
    assert outcomes(imp) == ["created"]
    assert outcomes(imp) == ["as it was"]
    (cohort,) = entries(shared_sandbox, "cohorts", "peopled")
    assert (cohort["name"], cohort["count"], cohort["is_static"]) == ("Imported by posthog-assets: peopled", 2, True)
    assert change(shared_sandbox, "cohorts", cohort["id"], deleted=True) == 200
    assert outcomes(imp) == ["created"]


def test_events_are_described_and_what_somebody_else_wrote_stays(tmp_path: Path, shared_sandbox: Any) -> None:
    def described(**words: Any) -> Import:
        return imported(tmp_path, shared_sandbox.url, {"describe": {"item bought": words}}, "told", event="item bought")

    imp = described(description="A customer bought one item", tags=["funnel"], verified=True)
    assert outcomes(imp) == ["changed"]
    assert outcomes(imp) == ["as it was"]
    (entry,) = entries(shared_sandbox, "event_definitions", "item bought")
    assert (entry["description"], entry["tags"], entry["verified"]) == ("A customer bought one item", ["funnel"], True)
    # The import's own words may change; tags that people added stay.
    assert change(shared_sandbox, "event_definitions", entry["id"], tags=["funnel", "theirs"]) == 200
    assert outcomes(described(description="One item was bought", tags=["new"])) == ["changed"]
    (entry,) = entries(shared_sandbox, "event_definitions", "item bought")
    assert (entry["description"], entry["tags"]) == ("One item was bought", ["funnel", "theirs", "new"])
    assert change(shared_sandbox, "event_definitions", entry["id"], description="Mine") == 200
    assert outcomes(described(description="Again another")) == ["kept"]
    assert entries(shared_sandbox, "event_definitions", "item bought")[0]["description"] == "Mine"


def test_an_event_that_posthog_does_not_know_is_said_and_nothing_fails(tmp_path: Path, shared_sandbox: Any) -> None:
    imp = imported(tmp_path, shared_sandbox.url, {"describe": {"never happened": "Nothing"}}, "unknown")
    assert outcomes(imp) == ["not there yet"]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"descriptions": 1}', b'{"described": {}}'])
def test_a_damaged_record_of_what_was_described_is_named_with_what_to_do(content: bytes, tmp_path: Path) -> None:
    def script(asked: Asked) -> Reply | None:
        answer = b'{"results": [{"id": 1, "name": "buy", "description": "Mine"}], "next": null}'
        return Reply(200, answer) if "/event_definitions/" in asked.path else None

    with CaptureServer(script) as server:
        imp = imported(tmp_path, server.url, {"describe": {"buy": {"description": "Bought"}}}, "damaged")
        imp.store.write_bytes(traces_path(), content)
        with pytest.raises(DamagedFile, match=r"damaged/traces.json, which keeps .* Delete it: no description is lost"):
            leave_traces(imp)


def test_a_key_without_the_scope_names_it_and_the_other_traces_are_left(tmp_path: Path) -> None:
    def script(asked: Asked) -> Reply | None:
        if "/annotations/" in asked.path:
            return Reply(403, b'{"detail": "API key missing required scope"}')
        if "/cohorts/" in asked.path:
            return Reply(200, b'{"results": [], "next": null}')
        return None

    with CaptureServer(script) as server:
        imp = imported(tmp_path, server.url, {"annotation": True, "cohort": True}, "poor", protocol="v1")
        with pytest.raises(VerificationError, match="needs the scope annotation:read"):
            leave_traces(imp)
        assert [asked.body["name"] for asked in server.requests if asked.body.get("is_static")] == [
            "Imported by posthog-assets: poor"
        ]


def test_what_is_missing_before_a_trace_can_be_left_is_said(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="personal_api_key"):
        leave_traces(small_import(tmp_path, traces={"annotation": True}))
    destination = {
        "host": "http://127.0.0.1:9",
        "project_api_key": "phc_a",
        "personal_api_key": "phx_a",
        "project_id": 1,
    }
    with pytest.raises(MissingUpstream, match="has imported nothing yet"):
        leave_traces(small_import(tmp_path, traces={"annotation": True}, destination=destination))
