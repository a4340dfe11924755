"""Reasons for missing and changed events: joined by uuid or distinct_id, never counted, shown as text only."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from posthog_assets.destination.ingestion_warnings import IngestionWarning, find_warnings, reasons
from posthog_assets.destination.query_client import QueryClient
from posthog_assets.destination.settings import Destination
from posthog_assets_tests.fakes.capture_server import Asked, CaptureServer, Reply

LOST, KEPT, OTHER = (f"0190a000-0000-7000-8000-00000000000{number}" for number in range(3))
EVENTS = {LOST: ("it's lost", "o'ann\\"), KEPT: ("page", "bob")}
SINCE = datetime(2026, 3, 1, 12, tzinfo=UTC)


def describe(uuids: set[str]) -> dict[str, tuple[str, str]]:
    return {uuid: EVENTS[uuid] for uuid in uuids & EVENTS.keys()}


def warnings_of(*rows: list[Any], status: int = 200, missing: bool = True) -> tuple[Any, list[str]]:
    """Return what is made of a PostHog's answer of these rows, and the queries that it got."""
    queries: list[str] = []

    def script(asked: Asked) -> Reply:
        queries.append(asked.body["query"]["query"])
        return Reply(status, json.dumps({"results": rows} if status == 200 else {"detail": "Unknown table"}).encode())

    with CaptureServer(script) as server:
        client = QueryClient(
            Destination.model_validate({"host": server.url, "personal_api_key": "phx_any", "project_id": "1"})
        )
        return find_warnings(client, SINCE, {"it's lost": [LOST]} if missing else {}, describe), queries


def test_a_warning_that_names_a_missing_event_is_its_reason() -> None:
    found, queries = warnings_of(["message_size_too_large", LOST.upper(), "", '{"a":1}'])
    assert found == [IngestionWarning("message_size_too_large", "it's lost", True, LOST, True, '{"a":1}')]
    assert reasons(found) == (
        "PostHog's ingestion warnings name as reasons: message_size_too_large (larger than 1 MB after the properties "
        "of person and groups were copied into the event)"
    )
    assert "timestamp >= toDateTime64('2026-03-01 11:50:00.000000', 6, 'UTC')" in queries[0]
    assert f"IN ('{LOST}') OR JSONExtractString(details, 'distinctId') IN ('o\\'ann\\\\')" in queries[0]


def test_a_warning_about_the_same_distinct_id_is_a_reason_found_by_distinct_id() -> None:
    found, _ = warnings_of(["event_dropped_too_old", OTHER, "o'ann\\", "{}"], ["merge_settled_failure", "", "bob", ""])
    assert [(warning.type, warning.uuid, warning.by_uuid) for warning in found] == [
        ("event_dropped_too_old", LOST, False)
    ]


def test_events_that_landed_are_shown_as_changed_and_not_as_dropped_by_an_earlier_delivery() -> None:
    found, queries = warnings_of(
        ["group_key_too_long", KEPT, "bob", "{}"], ["invalid_ai_token_property", KEPT, "bob", "{}"], missing=False
    )
    assert [(warning.type, warning.event, warning.missing) for warning in found] == [
        ("invalid_ai_token_property", "page", False)
    ]
    assert (reasons(found), len(queries)) == ("", 1)


def test_many_warnings_of_a_kind_are_one_reason_and_no_count() -> None:
    found, _ = warnings_of(*[["group_key_too_long", LOST, "", str(number)] for number in range(50)])
    assert [warning.details for warning in found] == ["0"]


def test_what_strangers_wrote_is_shown_on_one_line_without_escape_sequences() -> None:
    found, _ = warnings_of(["new\n\x1b]0;type", LOST, "", "<script>\u202e" + "x" * 500])
    row = found[0].as_row()
    assert (row["warning"], row["meaning"]) == ("new\\x0a\\x1b]0;type", "")
    assert row["details"].startswith("<script>\\u202exxx")
    assert len(row["details"]) < 220
    assert reasons(found) == "PostHog's ingestion warnings name as reasons: new\\x0a\\x1b]0;type"


def test_rows_of_another_shape_are_passed_over() -> None:
    found, _ = warnings_of([0], ["t", None, 1, {}], ["t", "no uuid", "stranger", "{}"], [])
    assert found == []


def test_a_posthog_without_that_table_gives_no_reasons() -> None:
    found, queries = warnings_of(status=400)
    assert (found, reasons(found), len(queries)) == (None, "", 1)
