"""The sandbox against recorded requests of PostHog's SDKs, the real Python SDK, and PostHog's rules."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import uuid
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
import zstandard

from posthog_assets.sandbox import Sandbox, SandboxFailed

pytest.importorskip("chdb", reason="needs the extra posthog_assets[sandbox]")

HTTP = urllib3.PoolManager()
HEADERS = {
    "Authorization": "Bearer phc_test",
    "Content-Type": "application/json",
    "User-Agent": "test/1",
    "PostHog-Sdk-Info": "test",
    "PostHog-Attempt": "1",
    "PostHog-Request-Id": str(uuid.UUID(int=1)),
    "PostHog-Request-Timestamp": "2024-03-01T00:00:00Z",
}


def event(**changes: Any) -> dict[str, Any]:
    return {
        "event": "e",
        "uuid": str(uuid.uuid4()),
        "distinct_id": "ann",
        "timestamp": "2024-03-01T10:00:00.123Z",
        "options": {"disable_skew_correction": True},
        "properties": {"a": 1},
    } | changes


def post_v1(sandbox: Sandbox, *events: dict[str, Any], body: bytes | None = None, **headers: str | None) -> Any:
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}
    kept = {name: value for name, value in ({k.title(): v for k, v in HEADERS.items()} | named).items() if value}
    content = body or json.dumps({"created_at": "2024-03-01T00:00:00Z", "batch": list(events)}).encode()
    return HTTP.request("POST", f"{sandbox.url}/i/v1/analytics/events", body=content, headers=kept)


def post_batch(sandbox: Sandbox, *events: dict[str, Any], **envelope: Any) -> Any:
    return HTTP.request("POST", f"{sandbox.url}/batch/", json={"api_key": "phc_test", "batch": list(events)} | envelope)


def stored(sandbox: Sandbox, *uuids: str) -> list[tuple[Any, ...]]:
    return [row for row in sandbox.events() if row[0] in uuids]


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstandard.ZstdCompressor().compress),
        ("", lambda body: body),
    ],
)  # fmt: skip
def test_v1_stores_what_it_says_it_stores(encoding: str, pack: Any, shared_sandbox: Sandbox) -> None:
    one = event(session_id="s")
    body = pack(json.dumps({"created_at": "2024-03-01T00:00:00Z", "batch": [one]}).encode())
    answer = post_v1(shared_sandbox, body=body, content_encoding=encoding or None)
    assert json.loads(answer.data) == {"results": {one["uuid"]: {"result": "ok"}}}
    assert stored(shared_sandbox, one["uuid"]) == [
        (
            one["uuid"], "e", "ann", datetime(2024, 3, 1, 10, 0, 0, 123_000, tzinfo=UTC),
            {"a": 1, "$session_id": "s", "$ignore_sent_at": True},
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"event": ""}, {"result": "drop", "details": "missing_event_name"}),
        ({"event": "x" * 201}, {"result": "drop", "details": "event_name_too_long"}),
        ({"distinct_id": " "}, {"result": "drop", "details": "missing_distinct_id"}),
        ({"distinct_id": "x" * 201}, {"result": "drop", "details": "distinct_id_too_large"}),
        ({"timestamp": "2024-03-01"}, {"result": "drop", "details": "invalid_event_timestamp"}),
        ({"properties": [1]}, {"result": "drop", "details": "malformed_event_properties"}),
        ({"properties": {"x": "y" * 1_000_000}}, {"result": "drop", "details": "event_too_big"}),
        ({"distinct_id": "null"}, {"result": "warning", "details": "person_processing_disabled"}),
    ],
)
def test_v1_judges_event_by_event(changes: dict[str, Any], verdict: dict[str, Any], shared_sandbox: Sandbox) -> None:
    good, odd = event(), event(**changes)
    results = json.loads(post_v1(shared_sandbox, good, odd).data)["results"]
    assert results == {good["uuid"]: {"result": "ok"}, odd["uuid"]: verdict}


@pytest.mark.parametrize(
    ("headers", "status", "tag"),
    [
        ({"authorization": None}, 401, "missing_authorization"),
        ({"authorization": "Bearer phx_personal"}, 401, "invalid_api_token"),
        ({"posthog_attempt": None}, 400, "missing_required_headers"),
        ({"posthog_attempt": "0"}, 400, "invalid_header_value"),
        ({"posthog_request_id": "x"}, 400, "invalid_header_value"),
        ({"content_type": "text/plain"}, 415, "unsupported_content_type"),
        ({"content_encoding": "lz4"}, 415, "unsupported_encoding"),
    ],
)
def test_v1_refuses_requests(headers: dict[str, Any], status: int, tag: str, shared_sandbox: Sandbox) -> None:
    answer = post_v1(shared_sandbox, event(), **headers)
    assert (answer.status, json.loads(answer.data)["error"]) == (status, tag)


def test_v1_refuses_whole_batches(shared_sandbox: Sandbox) -> None:
    one = event()
    assert post_v1(shared_sandbox).status == 400
    assert post_v1(shared_sandbox, one, one).status == 400
    assert post_v1(shared_sandbox, event(uuid="no uuid")).status == 400
    assert post_v1(shared_sandbox, body=b"{").status == 400
    assert post_v1(shared_sandbox, body=b"x" * (10 << 20) + b"y").status == 413
    assert post_v1(shared_sandbox, body=gzip.compress(b" " * (51 << 20)), content_encoding="gzip").status == 413


def test_batch_refuses_all_for_one_bad_event(shared_sandbox: Sandbox) -> None:
    good = event()
    for bad in ({"distinct_id": ""}, {"event": ""}, {"uuid": "x"}, {"properties": 5}, {"offset": "1"}, {"$set": 1}):
        assert post_batch(shared_sandbox, good, event(**bad)).status == 400
    assert stored(shared_sandbox, good["uuid"]) == []
    assert post_batch(shared_sandbox, good, api_key="phx_x").status == 401
    answer = post_batch(shared_sandbox, good)
    assert (answer.status, answer.data) == (200, b'{"status":"Ok"}')


def test_too_large_an_event_is_a_partial_success_of_batch(shared_sandbox: Sandbox) -> None:
    first, large, last = event(), event(properties={"x": "y" * 1_000_000}), event()
    assert post_batch(shared_sandbox, first, large, last).status == 413
    assert [row[0] for row in stored(shared_sandbox, first["uuid"], large["uuid"], last["uuid"])] == [first["uuid"]]


def test_batch_cuts_long_ids_and_turns_numbers_into_text(shared_sandbox: Sandbox) -> None:
    long, number = event(distinct_id="x" * 250), event(distinct_id=42)
    post_batch(shared_sandbox, long, number)
    assert sorted(row[2] for row in stored(shared_sandbox, long["uuid"], number["uuid"])) == ["42", "x" * 200]


def test_the_same_key_is_one_event_and_the_last_to_arrive_stays(sandbox: Sandbox) -> None:
    one = event()
    for number in range(3):
        post_v1(sandbox, one | {"properties": {"n": number}, "timestamp": f"2024-03-01T1{number}:00:00Z"})
    assert [(row[3].hour, row[4]["n"]) for row in sandbox.events()] == [(12, 2)]
    post_v1(sandbox, one | {"distinct_id": "bob"})
    post_v1(sandbox, one | {"event": "other"})
    post_v1(sandbox, one | {"timestamp": "2024-03-02T00:00:00Z"})
    assert sandbox.stats()["rows_final"] == 4


def test_events_of_another_project_are_taken_and_go_nowhere() -> None:
    with Sandbox(project_key="phc_right") as sandbox:
        one = event()
        assert json.loads(post_v1(sandbox, one).data)["results"][one["uuid"]] == {"result": "ok"}
        assert (sandbox.stats()["misdirected"], sandbox.events()) == (1, [])


@pytest.mark.end_to_end
def test_rows_survive_a_kill(tmp_path: Path) -> None:
    one = event()
    with Sandbox(data=tmp_path) as sandbox:
        post_v1(sandbox, one)
        sandbox.kill()
    with Sandbox(data=tmp_path) as sandbox:
        assert [row[0] for row in sandbox.events()] == [one["uuid"]]


def test_a_port_in_use_is_one_sentence() -> None:
    with Sandbox() as first:
        port = int(first.url.rsplit(":", 1)[1])
        with pytest.raises(SandboxFailed, match=f"port {port} of 127.0.0.1 cannot be used"):
            Sandbox(port=port).__enter__()


@pytest.mark.parametrize(("v1", "status"), [("unconfigured", 503), ("absent", 404)])
def test_v1_can_be_absent_as_on_a_self_hosted_posthog(v1: str, status: int) -> None:
    with Sandbox(v1=v1) as sandbox:
        assert post_v1(sandbox, event()).status == status
        assert post_batch(sandbox, event()).status == 200


def test_queries_read_properties_and_refuse_what_they_should(shared_sandbox: Sandbox) -> None:
    name = f"query {uuid.uuid4()}"
    post_v1(
        shared_sandbox,
        *[event(event=name, properties={"n": n, "$os": 'i"OS', "deep": {"x": 1}}) for n in range(3)],
    )
    where = f"FROM events WHERE event = '{name}'"
    assert shared_sandbox.query(f"SELECT count(), count(DISTINCT uuid) {where}") == [[3, 3]]
    assert shared_sandbox.query(
        f"SELECT properties.n, properties.$os, properties['no'], properties.deep {where} ORDER BY 1 LIMIT 1"
    ) == [["0", 'i"OS', None, '{"x":1}']]
    for refused in (
        "SELECT * FROM file('/etc/passwd')", "SELECT * FROM url('http://x')", "SELECT * FROM system.tables",
        "INSERT INTO events VALUES (1)", "DROP TABLE events", "SELECT 1; SELECT 2", "SELECT * FROM events, numbers(5)",
        "SELECT 1 FROM events INTO OUTFILE 'x'", "SELECT getSetting('x')", "SELECT (SELECT 1 FROM merge('a'))",
        "SELECT * FROM `file`('/etc/passwd')", "SELECT 1 SETTINGS readonly = 0", 'SELECT * FROM "system"."tables"',
    ):  # fmt: skip
        with pytest.raises(SandboxFailed, match="HTTP 400"):
            shared_sandbox.query(refused)


def test_queries_need_a_personal_key_and_the_right_project(shared_sandbox: Sandbox) -> None:
    ask = {"query": {"kind": "HogQLQuery", "query": "SELECT 1"}}
    url = f"{shared_sandbox.url}/api/projects/"
    assert HTTP.request("POST", f"{url}1/query/", json=ask).status == 401
    assert HTTP.request("POST", f"{url}1/query/", json=ask, headers={"Authorization": "Bearer phc_x"}).status == 401
    assert HTTP.request("POST", f"{url}2/query/", json=ask, headers={"Authorization": "Bearer phx_x"}).status == 404


def test_the_official_sdk_can_send_to_it_in_both_modes(shared_sandbox: Sandbox) -> None:
    from posthog import Posthog

    for mode in ("v0", "v1"):
        marks = [str(uuid.uuid4()) for _ in range(3)]
        errors: list[Any] = []
        client = Posthog(
            "phc_sdk", host=shared_sandbox.url, historical_migration=True, gzip=True, capture_mode=mode,
            on_error=lambda error, batch: errors.append(error),  # noqa: B023
        )  # fmt: skip
        at = datetime(2020, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
        client.capture("import me", distinct_id="u1", properties={"a": 1}, timestamp=at, uuid=marks[0])
        client.alias("old", "u1", timestamp=at, uuid=marks[1])
        client.group_identify("company", "acme", {"name": "Acmé"}, timestamp=at, uuid=marks[2], distinct_id="u1")
        client.shutdown()
        assert errors == []
        rows = {row[0]: row for row in stored(shared_sandbox, *marks)}
        assert [rows[mark][1] for mark in marks] == ["import me", "$create_alias", "$groupidentify"]
        assert abs(rows[marks[0]][3] - at) < timedelta(milliseconds=1)
        assert rows[marks[0]][4]["a"] == 1
        assert rows[marks[0]][4]["$lib"] == "posthog-python"
        assert rows[marks[2]][4]["$group_set"] == {"name": "Acmé"}


def test_recorded_requests_of_the_sdks_are_stored_as_posthog_took_them(
    sandbox: Sandbox, real_data: Callable[[str], Path]
) -> None:
    expected: dict[str, tuple[str, str]] = {}
    anonymous = 0
    lines = [line for line in real_data("posthog-recorded-requests.jsonl").read_text().splitlines() if line[0] != "#"]
    for line in lines:
        recorded = json.loads(line)
        headers = {"Content-Type": recorded["content_type"]}
        answer = HTTP.request(
            "POST", sandbox.url + recorded["path"], body=base64.b64decode(recorded["body"]), headers=headers
        )
        assert answer.status == 200, (recorded["path"], answer.data)
        body = base64.b64decode(recorded["body"])
        for output in recorded["output"]:
            data = json.loads(output["data"])
            if output["uuid"].encode() in _readable(body):
                expected[output["uuid"]] = (data["event"], output["distinct_id"])
            else:
                anonymous += 1
    rows = {row[0]: (row[1], row[2]) for row in sandbox.events()}
    assert {identity: rows.get(identity) for identity in expected} == expected
    assert sandbox.stats()["events_stored"] == sum(len(json.loads(line)["output"]) for line in lines) == 88
    assert len(rows) >= len(expected) + anonymous


def _readable(body: bytes) -> bytes:
    if body[:2] == b"\x1f\x8b":
        return gzip.decompress(body)
    if body.startswith(b"data="):
        return base64.b64decode(body[5:].replace(b"%3D", b"=").replace(b"%2B", b"+").replace(b"%2F", b"/"))
    return body


def test_what_ingestion_drops_leaves_a_warning_and_group_types_get_five_slots(sandbox: Sandbox) -> None:
    dropped = str(uuid.uuid4())
    batch = [
        {"event": "e", "distinct_id": "it's u", "uuid": dropped, "properties": {"$groups": {"typo": "k" * 401}}},
        *(
            {"event": "e", "distinct_id": "u", "properties": {"$groups": {kind: "k"}}}
            for kind in ("b", "a", "b", "c", "d", "it's", "sixth")
        ),
    ]
    assert HTTP.request("POST", f"{sandbox.url}/batch/", json={"api_key": "phc_x", "batch": batch}).status == 200
    reason = (
        "SELECT type, JSONExtractString(details, 'eventUuid'), JSONExtractString(details, 'distinctId') "
        "FROM system.ingestion_warnings WHERE timestamp > now() - INTERVAL 1 DAY"
    )
    assert sandbox.query(reason) == [["group_key_too_long", dropped, "it's u"]]
    types = "SELECT group_type, group_type_index FROM system.group_type_mappings ORDER BY group_type_index"
    assert sandbox.query(types) == [["b", 0], ["a", 1], ["c", 2], ["d", 3], ["it's", 4]]


def _raw(sandbox: Sandbox, head: bytes) -> bytes:
    port = int(sandbox.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head + b"\r\n")
        return connection.recv(4096)


@pytest.mark.parametrize(
    ("path", "limit"), [("/batch/", 20 << 20), ("/e/", 2 << 20), ("/i/v1/analytics/events", 10 << 20)]
)
def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_sent(
    path: str, limit: int, shared_sandbox: Sandbox
) -> None:
    named = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {limit + 1}\r\n{named}".encode()
    assert _raw(shared_sandbox, head).startswith(b"HTTP/1.1 413 ")


def test_a_body_of_unknown_length_is_read_no_further_than_the_limit(shared_sandbox: Sandbox) -> None:
    pieces = (b"x" * (1 << 20) for _ in range(3))
    answer = HTTP.request("POST", f"{shared_sandbox.url}/e/", body=pieces, retries=False)
    assert (answer.status, answer.data) == (413, b"request body exceeds the limit")


@pytest.mark.parametrize(
    ("host", "status"),
    [("evil.example", 421), ("127.0.0.1.evil.example:80", 421), ("localhost:1", 200), ("[::1]:80", 200)],
)
def test_only_names_of_this_machine_are_answered(host: str, status: int, shared_sandbox: Sandbox) -> None:
    answer = _raw(shared_sandbox, f"GET /sandbox/stats HTTP/1.1\r\nHost: {host}\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


def test_entries_beside_the_events_are_kept_as_posthogs_api_keeps_them(shared_sandbox: Sandbox) -> None:
    def asked(method: str, path: str, **content: Any) -> Any:
        headers = {"Authorization": "Bearer phx_any"}
        return HTTP.request(
            method, f"{shared_sandbox.url}/api/projects/1/{path}", json=content or None, headers=headers
        )

    note = {"content": "a note of a test", "date_marker": "2024-03-01T00:00:00Z", "scope": "project"}
    made = asked("POST", "annotations/", **note)
    assert (made.status, made.json()["creation_type"]) == (201, "USR")
    assert asked("PATCH", f"annotations/{made.json()['id']}/", deleted=True, content="another").status == 200
    assert asked("GET", "annotations/?search=a+note+of+a+test").json()["results"] == []
    assert asked("PATCH", "annotations/999999/", content="x").status == 404
    wrong = asked("POST", "annotations/", **note | {"scope": "everywhere"})
    assert (wrong.status, wrong.json()["attr"]) == (400, "scope")
    dynamic = asked("POST", "cohorts/", name="c", query={"kind": "HogQLQuery", "query": "SELECT 1"})
    assert (dynamic.status, dynamic.json()["attr"]) == (400, "query")
    bad = asked(
        "POST", "cohorts/", name="c", is_static=True, query={"kind": "HogQLQuery", "query": "DROP TABLE events"}
    )
    assert (bad.status, bad.json()["attr"]) == (400, "query")
    assert asked("POST", "event_definitions/", name="x").status == 405
    assert HTTP.request("GET", f"{shared_sandbox.url}/api/projects/1/cohorts/").status == 401


def test_lists_come_in_pages(shared_sandbox: Sandbox) -> None:
    headers = {"Authorization": "Bearer phx_any"}
    base = f"{shared_sandbox.url}/api/projects/1/annotations/"
    for number in range(3):
        note = {"content": f"paged {number}", "date_marker": "2024-03-01T00:00:00Z", "scope": "project"}
        HTTP.request("POST", base, json=note, headers=headers)
    first = HTTP.request("GET", base, fields={"search": "paged", "limit": "2"}, headers=headers).json()
    assert (first["count"], [entry["content"] for entry in first["results"]]) == (3, ["paged 0", "paged 1"])
    rest = HTTP.request("GET", first["next"], headers=headers).json()
    assert ([entry["content"] for entry in rest["results"]], rest["next"]) == (["paged 2"], None)
