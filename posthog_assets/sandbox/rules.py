"""PostHog's rules for keys, ids and times.

Belongs here: what both capture protocols share. Does not belong here: requests and answers.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson

#: Ids that PostHog never gives a person, compared without case: nodejs/src/ingestion, `isDistinctIdIllegal`. Written
#: down here again on purpose: the sandbox checks the product, so it shares none of its rules.
ILLEGAL_IDS: Final = frozenset(
    {
        "", "0", "00000000-0000-0000-0000-000000000000", "[object object]", "anonymous", "anonymous-user", "backend",
        "distinct_id", "distinctid", "email", "false", "guest", "id", "nan", "none", "not_authenticated", "null",
        "system", "true", "undefined", "user",
    }
)  # fmt: skip

#: rust/capture/src/v1/analytics/constants.rs and the Kafka message limit behind both protocols.
NAME_BYTES: Final = 200
GROUP_KEY_LENGTH: Final = 400
#: A project has no more group types; events that name another one say nothing of it (`GroupTypeManager`).
GROUP_TYPES: Final = 5
ID_LENGTH: Final = 200
EVENT_BYTES: Final = 1_000_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_AHEAD: Final = timedelta(hours=23)

#: Clock differences below this are network latency and are not corrected: rust/common/types/src/timestamp.rs.
_DEADBAND: Final = timedelta(seconds=150)

_ZONED: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_FRACTION: Final = re.compile(r"(\.\d{6})\d+")


def token_flaw(token: str) -> str | None:
    """Return why *token* cannot be a project key (rust/capture/src/token.rs); the shape is all that is checked."""
    if not token:
        return "empty"
    if len(token) > 64:
        return "too_long"
    if not token.isascii():
        return "not_ascii"
    if token.startswith("phx_"):
        return "personal_api_key"
    return "null_byte" if "\x00" in token else None


def has_person(distinct_id: str) -> bool:
    """Whether ingestion gives an id a person; those it does not are listed with and without quotes."""
    bare = distinct_id.lower()
    if len(bare) > 2 and bare[0] == bare[-1] and bare[0] in "'\"":
        bare = bare[1:-1]
    return bare not in ILLEGAL_IDS


def ingestion_warning(event: str, properties: str) -> str | None:
    """Return the type of the ingestion warning that is the only trace of an event which capture took and ingestion
    drops (nodejs/src/ingestion); None where it is kept.
    """
    if '"$group' not in properties:
        return None
    content = orjson.loads(properties)
    groups = content.get("$groups")
    keys = list(groups.values()) if isinstance(groups, dict) else []
    if event == "$groupidentify":
        keys.append(content.get("$group_key"))
        if not isinstance(content.get("$group_set") or {}, dict):
            return "invalid_group_set"
    return "group_key_too_long" if any(isinstance(key, str) and len(key) > GROUP_KEY_LENGTH for key in keys) else None


def group_types(event: str, properties: str) -> list[str]:
    """Return the group types that an event names, in its order."""
    if '"$group' not in properties:
        return []
    content = orjson.loads(properties)
    groups = content.get("$groups")
    kinds = list(groups) if isinstance(groups, dict) else []
    if event == "$groupidentify" and isinstance(content.get("$group_type"), str):
        kinds.append(content["$group_type"])
    return [kind for kind in kinds if kind]


def rfc3339(text: Any) -> datetime | None:
    """Return a time with a zone; None where it is none."""
    if not isinstance(text, str) or not _ZONED.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(_FRACTION.sub(r"\1", text.upper()))
    except ValueError:
        return None


def loose(text: Any) -> datetime | None:
    """Return a time in any of the ways the older endpoints take; None where it is none."""
    if not isinstance(text, str) or not text:
        return None
    exact = rfc3339(text)
    if exact:
        return exact
    try:
        if re.fullmatch(r"\d{10}|\d{13}", text):
            return _EPOCH + timedelta(milliseconds=int(text) * (1000 if len(text) == 10 else 1))
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text.replace("/", "-")))
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def settled(
    moment: datetime | None, now: datetime, *, sent_at: datetime | None = None, offset_ms: int | None = None
) -> datetime:
    """Return the time PostHog stores for an event that says *moment*.

    *sent_at* is the sender's clock, None where it must not be used; an unreadable *moment* is *now*.
    """
    if offset_ms is not None:
        return now - timedelta(milliseconds=offset_ms)
    if moment is None:
        return now
    if sent_at is not None:
        skew = sent_at - now
        beyond = abs(skew) - _DEADBAND
        if beyond > timedelta(0):
            moment -= beyond if skew > timedelta(0) else -beyond
    return now if moment > now + _AHEAD else moment


def micros(moment: datetime) -> int:
    """Return µs since 1970."""
    return (moment.astimezone(UTC) - _EPOCH) // _MICROSECOND
