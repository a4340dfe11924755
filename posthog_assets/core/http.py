"""What both ends of the pipeline need to know about HTTP: exporting from an API, and importing into PostHog.

Belongs here: reading answers and spacing out tries. Does not belong here: what an answer leads to (`sources.http.api`,
`destination.verdicts`).
"""

from __future__ import annotations

import math
import random
import re
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import orjson
import urllib3

from posthog_assets.core.errors import shorten
from posthog_assets.core.secrets import hidden

#: The longest pause between two tries that the server did not ask for, seconds.
LONGEST_PAUSE: Final = 30.0

#: The first of them, as PostHog asks of its clients, seconds.
FIRST_PAUSE: Final = 0.1

#: More of an answer is not looked at for a message.
_WORDS_BYTES: Final = 64 << 10

#: A server that asks to be left alone for longer has not said anything that can be used, seconds.
_FURTHEST: Final = 7 * 86_400.0


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return a Retry-After header as seconds from *now* (seconds or an HTTP date), 0 where that is past.

    None where it is neither, or further away than any pause: `nan`, `1e200`, a date in the year 9999.
    """
    try:
        seconds = _seconds((value or "").strip(), now)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return max(0.0, seconds) if math.isfinite(seconds) and seconds <= _FURTHEST else None


def _seconds(value: str, now: datetime) -> float:
    try:
        return float(value)
    except ValueError:
        when = parsedate_to_datetime(value)
    return ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds()


def words(body: bytes, *secrets: str) -> str:
    """Return what the server said, for a message: text or the error fields of a JSON answer, without *secrets*."""
    body = hidden(body[:_WORDS_BYTES], *secrets)
    text = body[:4096].decode("utf-8", "replace").strip()
    try:
        answer = orjson.loads(body)
    except ValueError:
        return shorten(" ".join(text.split()))
    if isinstance(answer, dict):
        said = [str(answer[key]) for key in ("error", "error_description", "detail", "message") if answer.get(key)]
        return shorten(": ".join(said) or text)
    return shorten(text)


def failure_reason(error: BaseException) -> str:
    """Return what went wrong below HTTP as the end of a sentence, without the wrapping of libraries."""
    cause = getattr(error, "reason", None) or error
    match cause:
        case urllib3.exceptions.NameResolutionError():
            return "its name cannot be resolved; check the spelling, and the network"
        case urllib3.exceptions.NewConnectionError():
            return _refusal(cause)
        case urllib3.exceptions.ConnectTimeoutError():
            return "it does not accept the connection in time"
        case urllib3.exceptions.ReadTimeoutError():
            return "it accepted the connection, and did not answer in time"
        case ssl.SSLError() | urllib3.exceptions.SSLError():
            return f"no secure connection: {_last(cause)}"
        case urllib3.exceptions.IncompleteRead():
            return "the answer ended early"
        case urllib3.exceptions.ProtocolError():
            return f"the connection broke: {_last(cause)}"
        case TimeoutError() if str(cause):
            return str(cause)
    return f"{type(cause).__name__}: {cause}"


def _refusal(error: BaseException) -> str:
    """Return why no connection came about: what the operating system says."""
    words = str(error.__cause__ or _last(error))
    return f"no connection: {re.sub(r'^.*Errno -?[0-9]+[^A-Za-z]*', '', words)}"


def _last(error: BaseException) -> str:
    """Return the innermost words of nested errors."""
    inner = next((part for part in reversed(error.args) if part), None)
    if isinstance(inner, BaseException):
        return _last(inner)
    return str(inner if inner is not None else error) or type(error).__name__


def backoff(failures: int) -> float:
    """Return a pause in seconds that doubles with each failure, with jitter so that processes do not march in step."""
    return min(FIRST_PAUSE * 2.0 ** min(failures, 60) * random.uniform(1.0, 1.5), LONGEST_PAUSE)
