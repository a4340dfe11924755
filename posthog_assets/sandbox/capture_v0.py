"""`/batch/`, `/e/`, `/capture/` and their like: one answer for the whole request.

Belongs here: the rules of rust/capture/src/events/analytics.rs and v0_request.rs. Does not belong here: HTTP, storage.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import orjson

from posthog_assets.sandbox.bodies import BodyRefused
from posthog_assets.sandbox.rules import EVENT_BYTES, ID_LENGTH, loose, micros, settled, token_flaw
from posthog_assets.sandbox.store import Row


def take(raw: bytes, now: datetime, sent_at: str | None) -> tuple[str, list[Row], bool]:
    """Return the project key, the rows to store, and whether a later event was too large to be taken.

    Raises:
        BodyRefused: the first bad event refuses all of them.
    """
    events, token, historical, envelope_sent_at = _opened(raw)
    tokens = {token} if token else {str(found) for event in events if (found := _token(event))}
    if len(tokens) != 1:
        words = "event submitted without an api_key" if not tokens else "payload contains inconsistent tokens"
        raise BodyRefused(401, "token", words)
    key = tokens.pop().strip()
    flaw = token_flaw(key)
    if flaw:
        raise BodyRefused(401, "token", f"API key is not valid: {flaw}")
    clock = loose(envelope_sent_at or sent_at)
    rows = [_row(event, now, clock, historical) for event in events]
    fitting = next((index for index, row in enumerate(rows) if len(row.properties.encode()) > EVENT_BYTES), len(rows))
    return key, rows[:fitting], fitting < len(rows)


def _opened(raw: bytes) -> tuple[list[dict[str, Any]], str | None, bool, str | None]:
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BodyRefused(400, "parsing", f"failed to parse request: {error}") from error
    token, historical, sent_at = None, False, None
    if isinstance(content, dict):
        sent_at = content.get("sent_at")
        if isinstance(content.get("batch"), list):
            token = content.get("api_key") or content.get("token")
            historical = content.get("historical_migration") is True
            content = content["batch"]
        else:
            content = [content]
    if not isinstance(content, list) or not all(isinstance(event, dict) for event in content):
        raise BodyRefused(400, "parsing", "failed to parse request: expected an event or a list of events")
    if not content:
        raise BodyRefused(400, "empty", "request holds no event")
    return content, token, historical, sent_at


def _token(event: dict[str, Any]) -> Any:
    properties = event.get("properties")
    inner = properties.get("token") if isinstance(properties, dict) else None
    return event.get("token") or event.get("api_key") or event.get("$token") or inner


def _row(event: dict[str, Any], now: datetime, sent_at: datetime | None, historical: bool) -> Row:
    name = event.get("event")
    if not isinstance(name, str) or not name:
        raise BodyRefused(400, "event", "event submitted with an empty event name")
    properties = event.get("properties")
    properties = {} if properties is None else properties
    for key in ("$set", "$set_once"):
        if event.get(key) is not None and not isinstance(event[key], dict):
            raise BodyRefused(400, "parsing", f"failed to parse request: {key} is not an object")
    if not isinstance(properties, dict):
        raise BodyRefused(400, "parsing", "failed to parse request: properties is not an object")
    if not isinstance(properties.get("$cookieless_mode", False), bool):
        raise BodyRefused(400, "cookieless", "invalid $cookieless_mode")
    offset = event.get("offset")
    if offset is not None and (isinstance(offset, bool) or not isinstance(offset, int)):
        raise BodyRefused(400, "parsing", "failed to parse request: offset is not an integer")
    moment = settled(
        loose(event.get("timestamp")), now,
        sent_at=None if properties.get("$ignore_sent_at") is True else sent_at, offset_ms=offset,
    )  # fmt: skip
    kept = properties | {key: event[key] for key in ("$set", "$set_once") if event.get(key) is not None}
    return Row(
        _uuid(event), name, _distinct_id(event, properties), micros(moment), orjson.dumps(kept).decode(), historical
    )


def _uuid(event: dict[str, Any]) -> str:
    given = event.get("uuid")
    if given is None or given == "":
        return str(uuid.uuid4())
    try:
        return str(uuid.UUID(given))
    except (ValueError, AttributeError, TypeError):
        raise BodyRefused(400, "parsing", "failed to parse request: invalid uuid") from None


def _distinct_id(event: dict[str, Any], properties: dict[str, Any]) -> str:
    candidates = (event.get("distinct_id"), event.get("$distinct_id"), properties.get("distinct_id"))
    value = next((item for item in candidates if item is not None), None)
    text = value if isinstance(value, str) else "" if value is None else orjson.dumps(value).decode()
    text = text.replace("\x00", "\ufffd")
    if not text:
        raise BodyRefused(400, "distinct_id", "event submitted without a distinct_id")
    return text[:ID_LENGTH]
