"""One verdict per event."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from posthog_assets.sandbox.bodies import BodyRefused
from posthog_assets.sandbox.capture_v1 import take, token_of

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
HEADERS = {
    "authorization": "Bearer phc_a", "content-type": "application/json", "user-agent": "t",
    "posthog-sdk-info": "lib/1.2",
    "posthog-attempt": "1", "posthog-request-id": str(uuid.UUID(int=1)),
    "posthog-request-timestamp": "2024-03-01T12:00:00Z",
}  # fmt: skip
ID = str(uuid.UUID(int=7))
EVENT: dict[str, Any] = {
    "event": "e", "uuid": ID, "distinct_id": "ann", "timestamp": "2024-03-01T10:00:00Z", "properties": {"a": 1},
}  # fmt: skip


def taken(*events: dict[str, Any], **more: Any) -> tuple[dict[str, dict[str, str]], list[Any]]:
    body = {"created_at": "2024-03-01T12:00:00Z", "batch": list(events)} | more
    return take(HEADERS, json.dumps(body).encode(), NOW)


def test_what_the_sdk_says_of_itself_becomes_properties() -> None:
    results, (row,) = taken(EVENT | {"session_id": "s"}, historical_migration=True)
    assert results == {ID: {"result": "ok"}}
    assert json.loads(row.properties) == {"a": 1, "$session_id": "s", "$lib": "lib", "$lib_version": "1.2"}
    assert row.historical_migration


@pytest.mark.parametrize(
    ("changes", "details"),
    [
        ({"event": ""}, "missing_event_name"), ({"event": "x" * 201}, "event_name_too_long"),
        ({"distinct_id": " "}, "missing_distinct_id"), ({"timestamp": "soon"}, "invalid_event_timestamp"),
        ({"properties": [1]}, "malformed_event_properties"), ({"options": [1]}, "invalid_options"),
    ],
)  # fmt: skip
def test_a_bad_event_is_dropped_and_the_others_are_taken(changes: dict[str, Any], details: str) -> None:
    other = EVENT | {"uuid": str(uuid.UUID(int=8))}
    results, rows = taken(EVENT | changes, other)
    assert results[ID] == {"result": "drop", "details": details}
    assert [row.uuid for row in rows] == [other["uuid"]]


def test_an_id_without_a_person_is_stored_with_a_warning() -> None:
    results, rows = taken(EVENT | {"distinct_id": "null"})
    assert results == {ID: {"result": "warning", "details": "person_processing_disabled"}}
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [("authorization", "Basic x", 400), ("authorization", "Bearer phx_a", 401), ("content-type", "text/plain", 415),
     ("posthog-attempt", "0", 400), ("posthog-request-id", "x", 400), ("posthog-request-timestamp", "2024-03-01", 400)],
)  # fmt: skip
def test_a_wrong_header_refuses_the_request(header: str, value: str, status: int) -> None:
    assert token_of(HEADERS) == "phc_a"
    with pytest.raises(BodyRefused) as refused:
        token_of(HEADERS | {header: value})
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("events", "tag"),
    [([EVENT, EVENT], "duplicate_event_uuid"), ([], "empty_batch"), ([EVENT | {"uuid": "x"}], "invalid_event_uuid")],
)
def test_a_batch_that_is_wrong_as_a_whole_is_refused(events: list[dict[str, Any]], tag: str) -> None:
    with pytest.raises(BodyRefused) as refused:
        taken(*events)
    assert refused.value.tag == tag
