"""Asking a vendor's export API, politely and until it has answered.

Belongs here: HTTP for exports - rates, waiting, trying again, and bodies as they are delivered. Does not belong here:
any vendor's endpoints, and what a day consists of (each source's own file).

| answer | consequence |
|---|---|
| 200 | the body, streamed |
| 204, or a status in `nothing` | there is nothing |
| a status in `too_much` | `TooMuch`: the source asks for less at a time |
| 401, 403, any other 3xx or 4xx | `SourceRefused`, with the vendor's words |
| 429; 403, 503 that say how long | waits as asked, an hour at most; costs no budget |
| 408, 5xx, no answer, a body that stops | tried again with growing pauses, for `retry_seconds` |
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any, Final, TypeVar

import urllib3
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from posthog_assets.core.deadlines import pool, read_body
from posthog_assets.core.errors import BrokenPart, SourceRefused, SourceUnavailable, shorten
from posthog_assets.core.http import backoff, failure_reason, parse_retry_after, words
from posthog_assets.core.secrets import hidden, hidden_text
from posthog_assets.sources.http.answer import Answer, Stopped
from posthog_assets.storage.rates import Limit, rate_of

#: No error message is longer.
_WORDS_BYTES: Final = 64 << 10

#: The longest wait one answer may ask for, seconds.
_LONGEST_WAIT: Final = 3600.0

#: A vendor that asks to wait this often in a row is asked again in another run.
_WAITS: Final = 100

#: How often a delivery that cannot be read to its end is fetched again.
_DELIVERIES: Final = 3

T = TypeVar("T")

_patience: ContextVar[float | None] = ContextVar("patience", default=None)
_sleep: ContextVar[Callable[[float], None]] = ContextVar("sleep", default=time.sleep)


@contextmanager
def hurried(seconds: float) -> Iterator[None]:
    """Inside this block no API is given more time than *seconds*: to answer, to fail, or to be left alone."""
    token = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(token)


@contextmanager
def sleeping_by(sleep: Callable[[float], None]) -> Iterator[None]:
    """Each API that is made inside this block waits by *sleep*, which gets seconds, unless it is given another one."""
    token = _sleep.set(sleep)
    try:
        yield
    finally:
        _sleep.reset(token)


class TooMuch(SourceUnavailable):
    """The vendor cannot deliver this much at a time."""


@dataclass
class Api:
    """One account at one vendor's API. Its limits hold across all processes of this machine.

    `headers` and `secrets` hold credentials and are never shown; `retry_seconds` is how long failures may go on.
    """

    base: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    limits: tuple[Limit, ...] = ()
    timeout_seconds: float = 300.0
    retry_seconds: float = 900.0
    sleep: Callable[[float], None] = field(default_factory=lambda: _sleep.get(), repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)

    def __post_init__(self) -> None:
        if (patience := _patience.get()) is not None:
            self.timeout_seconds = min(self.timeout_seconds, patience)
            self.retry_seconds = min(self.retry_seconds, patience)
        self._pool = pool(self.timeout_seconds, connect_seconds=15)
        self._rate = rate_of(self.base, self.secrets, self.limits, self.sleep)

    @contextmanager
    def request(
        self,
        method: str,
        path: str,
        *,
        fields: Mapping[str, Any] | None = None,
        json: Any = None,
        nothing: frozenset[int] = frozenset(),
        too_much: frozenset[int] = frozenset(),
        deliver: frozenset[int] = frozenset(),
        too_slow: bool = False,
    ) -> Iterator[Answer | None]:
        """Ask until there is an answer; yields it with its body unread, or None where there is nothing.

        *fields* go into the URL, or into a form where the method is POST. Statuses in *deliver* are answers too.

        Raises:
            SourceRefused: asking again cannot help.
            TooMuch: the vendor answered with a status in *too_much*, or, with *too_slow*, not in `timeout_seconds`.
            SourceUnavailable: there was no answer within `retry_seconds`.
        """
        given = nothing | deliver | {204}
        response = self._answered(method, path, fields, json, given, too_much, too_slow)
        answer = None
        try:
            if response.status == 200 or response.status in deliver:
                answer = Answer(response, self)
            yield answer
        finally:
            if answer is not None and answer.is_read:
                # Nothing is left to read; this notices it, and the connection serves the next request.
                response.drain_conn()
            # Else it does not: a body that was not read to its end would be taken for the next answer.
            response.close()

    def read(self, method: str, path: str, most_bytes: int, **options: Any) -> bytes:
        """Return the body of an answer, *most_bytes* of it at most; empty where there is nothing.

        *options* and errors are those of `request`.
        """
        with self.request(method, path, **options) as answer:
            return answer.read(most_bytes) if answer is not None else b""

    def persist(self, fetch: Callable[[], T]) -> T:
        """Return what *fetch* returns, calling it again where a body stopped or cannot be read to its end.

        Raises:
            BrokenPart: several deliveries in a row could not be read.
            SourceUnavailable: the body kept stopping, for `retry_seconds`.
        """
        broken = 0

        def given_up(state: RetryCallState) -> bool:
            nonlocal broken
            error = state.outcome.exception() if state.outcome else None
            broken += isinstance(error, BrokenPart)
            if isinstance(error, BrokenPart):
                return broken >= _DELIVERIES
            return (state.seconds_since_start or 0.0) > self.retry_seconds

        tries = Retrying(
            stop=given_up,
            wait=lambda state: backoff(state.attempt_number - 1) * 5,
            retry=retry_if_exception_type((BrokenPart, Stopped)),
            sleep=self.sleep,
            reraise=True,
        )
        return tries(fetch)

    def safe(self, text: str) -> str:
        """Return *text* without credentials."""
        return hidden_text(text, *self.secrets)

    def _answered(
        self,
        method: str,
        path: str,
        fields: Mapping[str, Any] | None,
        json: Any,
        nothing: frozenset[int],
        too_much: frozenset[int],
        too_slow: bool,
    ) -> urllib3.BaseHTTPResponse:
        spent, failures, waits = 0.0, 0, 0
        while True:
            self._rate.wait()
            began, timed_out = self.clock(), False
            try:
                response = self._send(method, path, fields, json)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                timed_out = isinstance(error, urllib3.exceptions.ReadTimeoutError)
                said, asked, status = f"no answer: {failure_reason(error)}", None, 0
            else:
                status = response.status
                if status == 200 or status in nothing:
                    return response
                asked = _asked_to_wait(response)
                said = f"HTTP {status}: {words(hidden(self._words(response), *self.secrets))}"
            message = self.safe(shorten(f"{self.base}{path}: {said}", 400))
            if status in too_much or (too_slow and timed_out):
                raise TooMuch(message)
            if status == 429 or (status in (403, 503) and asked is not None):
                waits += 1
                if waits > _WAITS:
                    raise SourceUnavailable(f"{message}, {_WAITS} times in a row")
                # Nothing asked for, or a time that is past, is no permission to ask without a pause.
                wait = min(asked or 5 * 2.0 ** min(waits, 6), _LONGEST_WAIT)
                if (patience := _patience.get()) is not None and wait > patience:
                    raise SourceUnavailable(f"{message}; it asks to be left alone for {wait:,.0f} s")
                self.sleep(wait)
                continue
            if status and status != 408 and status < 500:
                raise SourceRefused(message)
            wait = max(asked or 0.0, backoff(failures) * 5)
            spent += self.clock() - began + wait
            if spent > self.retry_seconds:
                raise SourceUnavailable(f"{message}; tried for {self.retry_seconds:.0f} s")
            failures += 1
            self.sleep(min(wait, _LONGEST_WAIT))

    def _send(self, method: str, path: str, fields: Mapping[str, Any] | None, json: Any) -> urllib3.BaseHTTPResponse:
        headers = {"Accept-Encoding": "gzip", "User-Agent": _user_agent()}
        more: dict[str, Any] = {"json": json} if json is not None else {}
        if fields:
            more["fields"] = {key: str(value) for key, value in fields.items()}
        if fields and method == "POST":
            more["encode_multipart"] = False
        return self._pool.request(
            method, self.base + path, headers=headers | dict(self.headers), redirect=False, preload_content=False,
            decode_content=False, **more,
        )  # fmt: skip

    def _words(self, response: urllib3.BaseHTTPResponse) -> bytes:
        try:
            return read_body(response, _WORDS_BYTES, self.timeout_seconds)
        except (urllib3.exceptions.HTTPError, OSError):
            return b""
        finally:
            response.close()


@cache
def _user_agent() -> str:
    return f"posthog-assets/{version('posthog_assets')}"


def _asked_to_wait(response: urllib3.BaseHTTPResponse) -> float | None:
    """Return how many seconds an answer asks to wait, None where it does not.

    Besides Retry-After there are the headers of a limit that is used up. GitHub answers with 403 and these
    (docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api), GitLab without the X.
    """
    now = datetime.now(UTC)
    if (asked := parse_retry_after(response.headers.get("Retry-After"), now)) is not None:
        return asked
    for prefix in ("X-RateLimit", "RateLimit"):
        reset = response.headers.get(f"{prefix}-Reset", "")
        if response.headers.get(f"{prefix}-Remaining") == "0" and reset.isdecimal():
            # Seconds since 1970, or from now.
            return max(0.0, float(reset) - (now.timestamp() if len(reset) > 8 else 0.0)) + 1.0
    return None


def basic(user: str, password: str) -> dict[str, str]:
    """Return the header of HTTP's basic authentication."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
