"""What both ends of the pipeline need to know about HTTP: exporting from an API, and importing into PostHog.

Belongs here: reading answers and spacing out tries. Does not belong here: what an answer leads to (`sources.http.api`,
`destination.verdicts`).
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import orjson

from posthog_assets.core.errors import shorten

#: The longest pause between two tries that the server did not ask for, seconds.
LONGEST_PAUSE: Final = 30.0


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return a Retry-After header as seconds from *now* (seconds or an HTTP date); None where it is neither."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds())


def words(body: bytes) -> str:
    """Return what the server said, for a message: text or the error fields of a JSON answer."""
    text = body[:4096].decode("utf-8", "replace").strip()
    try:
        answer = orjson.loads(body)
    except ValueError:
        return shorten(" ".join(text.split()))
    if isinstance(answer, dict):
        said = [str(answer[key]) for key in ("error", "error_description", "detail", "message") if answer.get(key)]
        return shorten(": ".join(said) or text)
    return shorten(text)


def hidden(body: bytes, *secrets: str) -> bytes:
    """Return an answer without credentials, should the server have repeated them: answers are quoted in messages."""
    for secret in secrets:
        body = body.replace(secret.encode(), b"(the key)") if secret else body
    return body


def failure_reason(error: Exception) -> str:
    """Return what went wrong below HTTP, without the wrapping."""
    cause = getattr(error, "reason", None) or error
    return f"{type(cause).__name__}: {cause}"


def backoff(failures: int) -> float:
    """Return a pause in seconds that doubles with each failure, with jitter so that processes do not march in step."""
    return min(0.05 * 2.0 ** min(failures, 60), LONGEST_PAUSE) * random.uniform(0.5, 1.0)
