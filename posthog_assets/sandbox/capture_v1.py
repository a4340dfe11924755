"""`POST /i/v1/analytics/events`: one verdict per event.

Belongs here: the rules and answers of rust/capture/src/v1. Does not belong here: HTTP, storage.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson

from posthog_assets.sandbox.bodies import BodyRefused, unpack_v1
from posthog_assets.sandbox.rules import (
    EVENT_BYTES,
    ID_LENGTH,
    NAME_BYTES,
    has_person,
    micros,
    rfc3339,
    settled,
    token_flaw,
)
from posthog_assets.sandbox.store import Row

_REQUIRED: Final = (
    "content-type", "user-agent", "posthog-sdk-info", "posthog-attempt", "posthog-request-id",
    "posthog-request-timestamp",
)  # fmt: skip
_OPTIONS: Final = {
    "cookieless_mode": "$cookieless_mode",
    "disable_skew_correction": "$ignore_sent_at",
    "product_tour_id": "$product_tour_id",
    "process_person_profile": "$process_person_profile",
}


def token_of(headers: Mapping[str, str]) -> str:
    """Return the project key of a request; raises BodyRefused as PostHog refuses it."""
    if "authorization" not in headers:
        raise BodyRefused(401, "missing_authorization", "missing Authorization header")
    missing = [name for name in _REQUIRED if name not in headers]
    if missing:
        raise BodyRefused(400, "missing_required_headers", f"missing required headers: {', '.join(missing)}")
    scheme, _, token = headers["authorization"].partition(" ")
    if scheme.lower() != "bearer":
        raise BodyRefused(400, "invalid_header_value", "Authorization must use Bearer scheme")
    flaw = token_flaw(token.strip())
    if flaw:
        raise BodyRefused(401, "invalid_api_token", f"invalid API token: {flaw}")
    _check_values(headers)
    return token.strip()


def _check_values(headers: Mapping[str, str]) -> None:
    if headers["content-type"].split(";")[0].strip().lower() != "application/json":
        raise BodyRefused(415, "unsupported_content_type", f"unsupported content type: {headers['content-type']}")
    try:
        uuid.UUID(headers["posthog-request-id"])
    except ValueError:
        raise BodyRefused(400, "invalid_header_value", "PostHog-Request-Id is not a valid UUID") from None
    attempt = headers["posthog-attempt"]
    if not attempt.isdigit() or int(attempt) < 1:
        raise BodyRefused(400, "invalid_header_value", "PostHog-Attempt must be a positive integer")
    if rfc3339(headers["posthog-request-timestamp"]) is None:
        raise BodyRefused(400, "invalid_header_value", "PostHog-Request-Timestamp is not valid RFC 3339")


def take(headers: Mapping[str, str], body: bytes, now: datetime) -> tuple[dict[str, dict[str, str]], list[Row]]:
    """Return the verdict by uuid, and the rows to store; raises BodyRefused where the whole batch is refused."""
    batch = _batch(unpack_v1(body, headers.get("content-encoding", "").lower()))
    skew = rfc3339(headers["posthog-request-timestamp"])
    results: dict[str, dict[str, str]] = {}
    rows = []
    for event in batch["batch"]:
        identity = str(_uuid(event))
        if identity in results:
            raise BodyRefused(400, "duplicate_event_uuid", f"duplicate event uuid: {identity}")
        row, result = _judge(event, identity, headers, skew, now, bool(batch.get("historical_migration")))
        results[identity] = result
        if row:
            rows.append(row)
    return results, rows


def _batch(raw: bytes) -> dict[str, Any]:
    try:
        batch = orjson.loads(raw)
        if not isinstance(batch["created_at"], str) or not isinstance(batch["batch"], list):
            raise TypeError
        for event in batch["batch"]:
            if not all(isinstance(event[key], str) for key in ("event", "uuid", "distinct_id", "timestamp")):
                raise TypeError
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise BodyRefused(400, "request_parsing_error", f"failed to parse request: {error}") from error
    if not batch["batch"]:
        raise BodyRefused(400, "empty_batch", "batch is empty")
    if rfc3339(batch["created_at"]) is None:
        raise BodyRefused(400, "invalid_batch_timestamp", "created_at is not valid RFC 3339")
    return batch


def _uuid(event: dict[str, Any]) -> uuid.UUID:
    try:
        return uuid.UUID(event["uuid"].strip())
    except ValueError:
        raise BodyRefused(400, "invalid_event_uuid", f"invalid event uuid: {event['uuid'][:64]!r}") from None


def _judge(
    event: dict[str, Any],
    identity: str,
    headers: Mapping[str, str],
    client_clock: datetime | None,
    now: datetime,
    historical: bool,
) -> tuple[Row | None, dict[str, str]]:
    distinct_id, moment = event["distinct_id"].strip(), rfc3339(event["timestamp"])
    properties, options = event.get("properties", {}), event.get("options") or {}
    flaw = _flaw(event["event"], distinct_id, moment, properties, options)
    if flaw:
        return None, {"result": "drop", "details": flaw}
    correct = None if options.get("disable_skew_correction") else client_clock
    text = orjson.dumps(properties | _injected(event, options, headers.get("posthog-sdk-info", ""))).decode()
    if len(text) > EVENT_BYTES:
        return None, {"result": "drop", "details": "event_too_big"}
    stamp = micros(settled(moment, now, sent_at=correct))
    row = Row(identity, event["event"], distinct_id, stamp, text, historical)
    if not has_person(distinct_id):
        return row, {"result": "warning", "details": "person_processing_disabled"}
    return row, {"result": "ok"}


def _flaw(name: str, distinct_id: str, moment: datetime | None, properties: Any, options: Any) -> str | None:
    if not name:
        return "missing_event_name"
    if len(name.encode()) > NAME_BYTES:
        return "event_name_too_long"
    if not distinct_id:
        return "missing_distinct_id"
    if len(distinct_id.encode()) > ID_LENGTH:
        return "distinct_id_too_large"
    if moment is None:
        return "invalid_event_timestamp"
    if name == "$performance_event":
        return "performance_event"
    if not isinstance(properties, dict):
        return "malformed_event_properties"
    return None if isinstance(options, dict) else "invalid_options"


def _injected(event: dict[str, Any], options: dict[str, Any], sdk_info: str) -> dict[str, Any]:
    """Return the properties PostHog adds itself; a sender without a version gets no `$lib`."""
    added = {f"${key}": event[key] for key in ("session_id", "window_id") if event.get(key) is not None}
    added |= {name: options[key] for key, name in _OPTIONS.items() if options.get(key) is not None}
    library, _, release = sdk_info.rpartition("/")
    if library.strip() and release.strip():
        added |= {"$lib": library.strip(), "$lib_version": release.strip()}
    return added
