"""What PostHog's answers mean, and what follows from each.

Belongs here: reading one HTTP answer into a consequence. Does not belong here: waiting, resending, recording.

| answer | consequence |
|---|---|
| v1 200: `ok`, `warning` | acknowledged |
| v1 200: `drop` | dropped, with PostHog's reason, if it takes other events; `billing_limit_exceeded` stops the import |
| v1 200: `retry`, or a uuid missing from the results | still owed: sent again before anything later of its person |
| `/batch/` 200 `{"status":"Ok"}`, `{"status":1}`, 204 | the whole batch is acknowledged |
| 200 with any other body | no proof: the identical bytes are sent again |
| 400 | the batch was refused: halved until the bad event is found; dropped with PostHog's words if others are taken |
| 413 | as 400 (part of the batch may have been stored: uuids make the second time harmless) |
| 401, 402, 403, 415, other 4xx | stop: sending again cannot help |
| v1 404, 405, 503 "not configured" | v1 is not served: `/batch/` instead, if `protocol` is `auto`; retried if it was |
| 429, 503 with Retry-After | all lanes wait as long as asked, and no less than after a failure; uses no budget |
| 408, 429, 5xx, no answer, an unreadable or past Retry-After | the identical bytes again, with growing pauses |
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import orjson

from posthog_assets.core.errors import shorten
from posthog_assets.core.http import parse_retry_after, words
from posthog_assets.core.secrets import hidden_text
from posthog_assets.destination.settings import Protocol
from posthog_assets.destination.taken_uuids import all_taken


class Verdict(StrEnum):
    """What became of one event."""

    OK = "ok"
    WARNING = "warning"
    DROP = "drop"
    #: Sent or not, without a verdict yet; also an acknowledged event that a query did not find.
    OWED = "owed"

    @property
    def acknowledged(self) -> bool:
        return self in (Verdict.OK, Verdict.WARNING)


class Consequence(StrEnum):
    """What follows from one answer."""

    SETTLED = "settled"
    SPLIT = "split"
    WAIT = "wait"
    RETRY = "retry"
    FALL_BACK = "fall back"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read.

    `all_ok` says that every event of the batch is acknowledged without detail. Otherwise `plain` has the uuids of
    which this is true, and `verdicts` (verdict, detail) of the others; a uuid in neither is owed. `retry_after` is in
    seconds.
    """

    consequence: Consequence
    status: int | None
    words: str = ""
    retry_after: float | None = None
    all_ok: bool = False
    plain: AbstractSet[str] = frozenset()
    verdicts: Mapping[str, tuple[Verdict, str]] = field(default_factory=dict)

    @property
    def takes_any(self) -> bool:
        """Whether PostHog says that it took an event."""
        return self.all_ok or bool(self.plain) or any(verdict.acknowledged for verdict, _ in self.verdicts.values())

    def mostly_owed(self, events: int) -> bool:
        """Whether half of the batch's *events* or more got no verdict: PostHog is in trouble, not an event."""
        if self.all_ok:
            return False
        settled = sum(verdict is not Verdict.OWED for verdict, _ in self.verdicts.values())
        return 2 * (len(self.plain) + settled) <= events


_PLAIN_OK: Final = {"result": "ok"}

#: The same as it stands in an answer, and what is put there to read it quickly.
_WRITTEN_OK: Final = b':{"result":"ok"}'
_SHORT_OK: Final = b":true"
_RESULTS: Final = {"ok": Verdict.OK, "warning": Verdict.WARNING, "drop": Verdict.DROP}

#: What is looked at of the details of an event, of which 200 characters are kept.
_DETAIL_LOOKED_AT: Final = 2_000

#: The one drop that time cures: the project is over its quota.
BILLING: Final = "billing_limit_exceeded"


def no_answer(reason: str) -> Answer:
    """Return the answer that stands for none: refused, reset, timed out."""
    return Answer(Consequence.RETRY, None, reason)


def judge(
    protocol: Protocol, status: int, headers: Mapping[str, str], body: bytes, now: datetime, key: str = ""
) -> Answer:
    """Read the answer to a batch; *now* (UTC) turns an HTTP date into seconds, *key* is hidden in what it says."""
    retry_after = parse_retry_after(headers.get("Retry-After"), now)
    if 200 <= status < 300:
        return _judge_v1(status, body, retry_after, key) if protocol is Protocol.V1 else _judge_batch(status, body, key)
    said = words(body, key) or f"HTTP {status}"
    return Answer(_consequence(protocol, status, said, retry_after), status, said, retry_after)


def _consequence(protocol: Protocol, status: int, said: str, retry_after: float | None) -> Consequence:
    if protocol is Protocol.V1 and _not_served(status, said):
        return Consequence.FALL_BACK
    if status in (400, 413):
        return Consequence.SPLIT
    # Asking to wait for no time at all is no permission to come back without a pause, for ever.
    if status in (429, 503) and retry_after:
        return Consequence.WAIT
    if status in (408, 429) or status >= 500:
        return Consequence.RETRY
    return Consequence.STOP


def _not_served(status: int, said: str) -> bool:
    # A PostHog whose CAPTURE_V1_SINKS is empty answers 503 and says so; an older one has no such route.
    return status in (404, 405) or (status == 503 and "sink" in said.lower() and "not configured" in said.lower())


def _judge_v1(status: int, body: bytes, retry_after: float | None, key: str) -> Answer:
    if (taken := all_taken(body)) is not None:
        return Answer(Consequence.SETTLED, status, retry_after=retry_after, plain=taken)
    try:
        plain, others = _plain_and_others(body)
        verdicts = {uuid: _verdict(entry["result"], entry.get("details"), key) for uuid, entry in others.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return Answer(Consequence.RETRY, status, f"an answer that is no results map: {words(body, key)}", retry_after)
    return Answer(Consequence.SETTLED, status, retry_after=retry_after, plain=plain, verdicts=verdicts)


def _plain_and_others(body: bytes) -> tuple[AbstractSet[str], dict[str, Any]]:
    """Return the uuids of which a v1 answer says `ok` and nothing else, and what it says of each of the others.

    Raises ValueError, KeyError, TypeError or AttributeError where it is no results map.
    """
    if (found := _shortened(body)) is not None:
        return found
    results = orjson.loads(body)["results"]
    others = {uuid: entry for uuid, entry in results.items() if entry != _PLAIN_OK}
    return results.keys() - others.keys(), others


def _shortened(body: bytes) -> tuple[AbstractSet[str], dict[str, Any]] | None:
    """Return the same without making an object of each plain entry, which is most of the work of reading an answer.

    None where that cannot be told for certain.
    """
    count = body.count(_WRITTEN_OK)
    if not count or b"true" in body:
        return None
    try:
        results = orjson.loads(body.replace(_WRITTEN_OK, _SHORT_OK))["results"]
        others = {uuid: entry for uuid, entry in results.items() if entry is not True}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    # Fewer than were replaced: some stand elsewhere, or a uuid came twice, of which the last one counts.
    if len(results) - len(others) != count:
        return None
    return results.keys() - others.keys() if others else results.keys(), others


def _verdict(result: str, details: object, key: str) -> tuple[Verdict, str]:
    # Long before it is cut to what is kept, so that no half of the key is left of it.
    detail = _shown(str(details)[:_DETAIL_LOOKED_AT], key) if details else ""
    verdict = _RESULTS.get(result, Verdict.OWED)
    return (Verdict.OWED if verdict is Verdict.DROP and detail == BILLING else verdict), detail


@lru_cache(maxsize=64)
def _shown(details: str, key: str) -> str:
    # Hundreds of events of an answer have the same details.
    return shorten(hidden_text(details, key))


def _judge_batch(status: int, body: bytes, key: str) -> Answer:
    if status == 204:
        return Answer(Consequence.SETTLED, status, all_ok=True)
    try:
        answer = orjson.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not _says_ok(answer.get("status")):
        return Answer(Consequence.RETRY, status, f"an answer that is not PostHog's: {words(body, key)}")
    limited = answer.get("quota_limited")
    if isinstance(limited, list) and "events" in limited:
        return Answer(Consequence.STOP, status, "the project is over its event quota (quota_limited: events)")
    return Answer(Consequence.SETTLED, status, all_ok=True)


def _says_ok(status: object) -> bool:
    # Older self-hosted versions answer {"status": 1}; true and 1.0, which Python takes for 1, no PostHog has written.
    return status in ("Ok", "ok") if type(status) is str else type(status) is int and status == 1
