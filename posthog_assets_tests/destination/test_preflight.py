"""Before the first event: what a destination tells, and what a canary shows."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from posthog_assets.destination.canary import canary
from posthog_assets.destination.preflight import preflight
from posthog_assets.destination.settings import Destination
from posthog_assets.sandbox import Sandbox
from posthog_assets_tests.fakes.capture_server import Asked, CaptureServer, Reply

FIRST, LAST, NOW = date(2023, 1, 1), date(2023, 12, 31), datetime(2024, 3, 1, tzinfo=UTC)


def findings(url: str, last: date | None = LAST, **options: Any) -> dict[str, tuple[str, str]]:
    given = {"host": url, "project_api_key": "phc_right", "personal_api_key": "phx_any", "project_id": 1}
    destination = Destination.model_validate(given | options)
    found: dict[str, tuple[str, str]] = {}
    for finding in preflight(destination, FIRST, last, now=NOW):
        if found.get(finding.subject, ("ok",))[0] == "ok":
            found[finding.subject] = (finding.level, finding.words)
    return found


def test_a_good_destination_passes_and_nothing_is_stored() -> None:
    pytest.importorskip("chdb", reason="needs the extra posthog_assets[sandbox]")
    with Sandbox(project_key="phc_right") as sandbox:
        found = findings(sandbox.url)
        assert {level for level, _ in found.values()} == {"ok"}
        assert found["project key"][1] == "is the key of project 1"
        assert sandbox.stats()["events_received"] == 0
        assert findings(sandbox.url, project_api_key="phc_wrong")["project key"][0] == "problem"
        assert findings(sandbox.url, project_id=2)["personal key"][0] == "problem"


def test_a_canary_shows_that_a_key_of_the_right_shape_belongs_to_nobody() -> None:
    pytest.importorskip("chdb", reason="needs the extra posthog_assets[sandbox]")
    with Sandbox(project_key="phc_right") as sandbox:
        given = {"host": sandbox.url, "personal_api_key": "phx_any", "project_id": 1, "landing_seconds": 2}
        right = Destination.model_validate(given | {"project_api_key": "phc_right"})
        wrong = Destination.model_validate(given | {"project_api_key": "phc_wrong"})
        batch = Destination.model_validate(given | {"project_api_key": "phc_right", "protocol": "batch"})
        assert canary(right, FIRST).level == canary(batch, FIRST).level == "ok"
        found = canary(wrong, FIRST)
        assert found.level == "problem"
        assert "PostHog accepted" in found.words
        assert sandbox.stats()["misdirected"] == 1
        assert [(event[1], event[3].date()) for event in sandbox.events()] == [("posthog_assets canary", FIRST)] * 2


@pytest.mark.parametrize(("v1", "where"), [("on", "/i/v1/"), ("absent", "/batch/"), ("unconfigured", "/batch/")])
def test_the_protocol_is_found_without_sending_an_event(v1: str, where: str) -> None:
    pytest.importorskip("chdb", reason="needs the extra posthog_assets[sandbox]")
    with Sandbox(v1=v1) as sandbox:
        level, words = findings(sandbox.url)["protocol"]
        assert (level, where in words) == ("ok", True)
        if v1 != "on":
            assert findings(sandbox.url, protocol="v1")["protocol"][0] == "problem"


def test_keys_of_the_wrong_shape_end_it_at_once() -> None:
    found = findings("https://eu.i.posthog.com", project_api_key="phx_personal")
    assert list(found) == ["destination"]
    assert "is a personal key" in found["destination"][1]
    assert "phx_personal" not in found["destination"][1]


def test_a_host_that_does_not_answer_is_one_problem_and_is_not_asked_again() -> None:
    found = findings("http://127.0.0.1:9")
    assert found["host"] == (
        "problem",
        "no answer from http://127.0.0.1:9: no connection: Connection refused. Correct destination.host, or try again "
        "when it can be reached",
    )
    assert found["personal key"] == ("warning", "was not tried, because the host does not answer")


def settings_server(settings: dict[str, Any] | None) -> CaptureServer:
    """A PostHog of which only the answers matter: capture, query, and the project's settings."""

    def script(asked: Asked) -> Reply:
        if asked.path.endswith("/query/"):
            return Reply(200, b'{"results": [[0]]}')
        if asked.path == "/api/projects/1/":
            return Reply(403) if settings is None else Reply(200, json.dumps(settings).encode())
        return Reply(400, b'{"error":"empty_batch"}')

    return CaptureServer(script)


@pytest.mark.parametrize("value", ["90 00:00:00", 7_776_000, "2160:00:00"])
def test_a_project_that_drops_old_events_is_a_problem(value: Any) -> None:
    with settings_server({"api_token": "phc_right", "drop_events_older_than": value}) as server:
        level, words = findings(server.url)["old events"]
    assert level == "problem"
    assert "older than 2023-12-02 without an error" in words


def test_settings_that_may_not_be_read_are_said() -> None:
    with settings_server(None) as server:
        assert findings(server.url)["project settings"][0] == "warning"


def test_what_costs_money_is_said() -> None:
    with settings_server({"api_token": "phc_right"}) as server:
        assert findings(server.url, last=None)["age"][0] == "warning"
        assert findings(server.url, last=None, recent_events="hold_back")["age"][0] == "ok"
        assert findings(server.url, historical_migration=False)["historical_migration"][0] == "warning"
        assert findings(server.url, personal_api_key=None)["verification"][0] == "warning"


@pytest.mark.parametrize(
    ("host", "set_rate", "rate"),
    [
        ("https://us.i.posthog.com", None, 2_000), ("https://eu.posthog.com", None, 2_000),
        ("https://eu.i.posthog.com", 9_000, 9_000), ("https://posthog.example.com", None, None),
        ("http://localhost:8010", 50, 50), ("https://i.posthog.com.evil.example", None, None),
    ],
)  # fmt: skip
def test_posthog_cloud_has_a_rate_that_does_not_hurt_and_other_hosts_have_none(
    host: str, set_rate: float | None, rate: float | None
) -> None:
    assert Destination(host=host, max_events_per_second=set_rate).events_per_second == rate


def test_check_shows_the_rate() -> None:
    with CaptureServer() as server:
        found = findings(server.url, personal_api_key=None, max_events_per_second=70)
    assert found["rate"] == ("ok", "at most 70 events a second over all workers")


def test_a_group_type_that_takes_a_place_for_ever_must_be_asked_for(sandbox: Any) -> None:
    # Its own: the five places of a project may be taken by the groups of other tests.
    given = {"host": sandbox.url, "project_api_key": "phc_any", "personal_api_key": "phx_any", "project_id": 1}

    def found(**options: Any) -> Any:
        destination = Destination.model_validate(given | options)
        kinds = ["a new kind of group"]
        return next(f for f in preflight(destination, FIRST, LAST, group_types=kinds) if f.subject == "group types")

    assert (found().level, "set destination.new_group_types: [a new kind of group]" in found().words) == (
        "problem",
        True,
    )
    assert found(new_group_types=["a new kind of group"]).level == "ok"


def test_a_project_that_processes_no_persons_or_enforces_schemas_is_named() -> None:
    def script(asked: Asked) -> Reply:
        if asked.path.startswith("/api/projects/1/event_definitions/"):
            entries = [{"name": "buy", "enforcement_mode": "reject"}, {"name": "see", "enforcement_mode": "allow"}]
            return Reply(200, json.dumps({"results": entries, "next": None}).encode())
        if asked.path == "/api/projects/1/":
            return Reply(200, json.dumps({"api_token": "phc_right", "person_processing_opt_out": True}).encode())
        if asked.path.endswith("/query/"):
            return Reply(200, b'{"results": [["company"]]}')
        return Reply(400, b'{"error": "empty_batch", "error_description": "batch is empty"}')

    with CaptureServer(script) as server:
        found = findings(server.url)
    assert found["persons"][0] == "warning"
    assert "these events must keep to a schema" in found["schemas"][1]
    assert found["schemas"][1].count("buy") == 1
    assert found["group types"] == ("ok", "the project has 1 of 5: company")


def test_a_project_that_does_not_say_its_group_types_is_asked_twice_and_named() -> None:
    asked_for_types: list[Asked] = []

    def script(asked: Asked) -> Reply:
        if asked.path.endswith("/query/") and b"group_type" in asked.raw:
            asked_for_types.append(asked)
            return Reply(503, b'{"detail": "busy"}')
        if asked.path.endswith("/query/"):
            return Reply(200, b'{"results": [[0]]}')
        return Reply(403) if asked.path == "/api/projects/1/" else Reply(400, b'{"error": "empty_batch"}')

    with CaptureServer(script) as server:
        level, words = findings(server.url)["group types"]
    assert (level, len(asked_for_types)) == ("warning", 2)
    assert words.startswith("those of the project are not known: PostHog's query API at")
    assert words.endswith("did not answer a look (HTTP 503: busy)")


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_may_not_ask_for_group_types_names_the_scope_that_it_lacks(status: int) -> None:
    def script(asked: Asked) -> Reply:
        if asked.path.endswith("/query/") and b"group_type" in asked.raw:
            return Reply(status, b'{"detail": "API key missing required scope"}')
        return Reply(200, b'{"results": [[0]]}') if asked.path.endswith("/query/") else Reply(400)

    with CaptureServer(script) as server:
        level, words = findings(server.url)["group types"]
    assert (level, words.endswith("the personal key needs the scope query:read")) == ("warning", True)
    assert words.startswith("are not checked, so a new one or a sixth will not be noticed: PostHog's query API at")
