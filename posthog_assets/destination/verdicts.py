"""What PostHog's answers mean, and what follows from each.

Belongs here: reading one HTTP answer into a consequence. Does not belong here: waiting, resending, recording.

| answer | consequence |
|---|---|
| v1 200: `ok`, `warning` | acknowledged |
| v1 200: `drop` | dropped, with PostHog's reason, if it takes other events; `billing_limit_exceeded` stops the import |
| v1 200: `retry`, or a uuid missing from the results | still owed: sent again before anything later of its person |
| `/batch/` 200 `{"status":"Ok"}`, 204 | the whole batch is acknowledged |
| 200 with any other body | no proof: the identical bytes are sent again |
| 400 | the batch was refused: halved until the bad event is found; dropped with PostHog's words if others are taken |
| 413 | as 400 (part of the batch may have been stored: uuids make the second time harmless) |
| 401, 402, 403, 415, other 4xx | stop: sending again cannot help |
| v1 404, 405, 503 "not configured" | v1 is not served here: `/batch/` instead, where `protocol` is `auto` |
| 429, 503 with Retry-After | all lanes wait as long as asked; does not use up the budget |
| 408, 429, 5xx, no answer, connection lost | ambiguous: the identical bytes are sent again, with growing pauses |
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

import orjson

from posthog_assets.core.http import parse_retry_after, words
from posthog_assets.destination.settings import Protocol


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
_RESULTS: Final = {"ok": Verdict.OK, "warning": Verdict.WARNING, "drop": Verdict.DROP}

#: The one drop that time cures: the project is over its quota.
BILLING: Final = "billing_limit_exceeded"


def no_answer(reason: str) -> Answer:
    """Return the answer that stands for none: refused, reset, timed out."""
    return Answer(Consequence.RETRY, None, reason)


def judge(protocol: Protocol, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Answer:
    """Read the answer to a batch; *now* (UTC) turns an HTTP date into seconds."""
    retry_after = parse_retry_after(headers.get("Retry-After"), now)
    if 200 <= status < 300:
        return _judge_v1(status, body, retry_after) if protocol is Protocol.V1 else _judge_batch(status, body)
    said = words(body) or f"HTTP {status}"
    return Answer(_consequence(protocol, status, said, retry_after), status, said, retry_after)


def _consequence(protocol: Protocol, status: int, said: str, retry_after: float | None) -> Consequence:
    if protocol is Protocol.V1 and _not_served(status, said):
        return Consequence.FALL_BACK
    if status in (400, 413):
        return Consequence.SPLIT
    if status in (429, 503) and retry_after is not None:
        return Consequence.WAIT
    if status in (408, 429) or status >= 500:
        return Consequence.RETRY
    return Consequence.STOP


def _not_served(status: int, said: str) -> bool:
    # A PostHog whose CAPTURE_V1_SINKS is empty answers 503 and says so; an older one has no such route.
    return status in (404, 405) or (status == 503 and "sink" in said.lower() and "not configured" in said.lower())


def _judge_v1(status: int, body: bytes, retry_after: float | None) -> Answer:
    try:
        results = orjson.loads(body)["results"]
        others = {uuid: entry for uuid, entry in results.items() if entry != _PLAIN_OK}
        verdicts = {uuid: _verdict(entry["result"], str(entry.get("details") or "")) for uuid, entry in others.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return Answer(Consequence.RETRY, status, f"an answer that is no results map: {words(body)}", retry_after)
    return Answer(
        Consequence.SETTLED, status, retry_after=retry_after, plain=results.keys() - others.keys(), verdicts=verdicts
    )


def _verdict(result: str, detail: str) -> tuple[Verdict, str]:
    verdict = _RESULTS.get(result, Verdict.OWED)
    return (Verdict.OWED if verdict is Verdict.DROP and detail == BILLING else verdict), detail


def _judge_batch(status: int, body: bytes) -> Answer:
    if status == 204:
        return Answer(Consequence.SETTLED, status, all_ok=True)
    try:
        answer = orjson.loads(body)
    except ValueError:
        answer = None
    # Older self-hosted versions answer {"status": 1}.
    if not isinstance(answer, dict) or answer.get("status") not in ("Ok", "ok", 1):
        return Answer(Consequence.RETRY, status, f"an answer that is not PostHog's: {words(body)}")
    if "events" in (answer.get("quota_limited") or []):
        return Answer(Consequence.STOP, status, "the project is over its event quota (quota_limited: events)")
    return Answer(Consequence.SETTLED, status, all_ok=True)
