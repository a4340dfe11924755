"""Requests to the API of one PostHog project, with the personal key.

Belongs here: the connection, its time limit, how much of an answer is read, asking again, and the error where there is
no good answer. Does not belong here: what is asked, and what a good answer means (`query_client`, `project_api`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import urllib3

from posthog_assets.core.deadlines import pool, read_body
from posthog_assets.core.errors import KeyRefused, LookUnavailable, VerificationError, shorten
from posthog_assets.core.http import failure_reason, parse_retry_after, words
from posthog_assets.destination.settings import Destination

_ANSWER_BYTES: Final = 64 << 20


@dataclass(frozen=True)
class Outcome:
    """What became of a request: the answer, or why there is none."""

    #: None: there is no answer.
    status: int | None
    body: bytes
    #: The status and what the answer says, or why there is none; without the key.
    said: str
    #: Seconds after which PostHog wants to be asked again, where it says so.
    retry_after: float | None = None

    @property
    def is_good(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_refusal(self) -> bool:
        """Whether asking again would change nothing."""
        return self.status is not None and self.status != 429 and self.status < 500 and not self.is_good

    @property
    def is_of_key(self) -> bool:
        """Whether it is the key that is refused: it is wrong, or lacks a scope or the project."""
        return self.status in (401, 403)

    def error(self, where: str, look: str, of_key: str) -> VerificationError:
        """Return what it means that the request was not good.

        *where* was asked, *look* what for (a word or nothing); *of_key* is said where the key is refused.
        """
        if self.is_of_key:
            return KeyRefused(of_key)
        if self.is_refusal:
            return VerificationError(f"{where} refused{look} ({self.said})")
        return LookUnavailable(f"{where} did not answer{look} ({self.said})", retry_after=self.retry_after)


class ProjectRequests:
    """Sends requests to the API of one project; `base` is its address, without a slash at the end."""

    def __init__(self, destination: Destination, pause: Callable[[float], None] = time.sleep) -> None:
        """Open a connection; *pause* waits for so many seconds.

        Raises:
            ImportFileError: no personal key or project id is set.
        """
        self.key = destination.look_key()
        self.base = f"{destination.app_host()}/api/projects/{destination.project_id}"
        self._seconds = destination.timeout_seconds
        self._pool = pool(self._seconds)
        self._pause = pause
        self._not_before = 0.0

    def ask(
        self,
        method: str,
        url: str,
        content: Any = None,
        *,
        tries: int,
        longest_pause: float,
        only_reads: bool,
        wait: Callable[[], None] = lambda: None,
    ) -> Outcome:
        """Return what became of a request that is sent *tries* times at most, until it is answered or refused.

        Between two requests are growing pauses, or as many seconds as PostHog asks for, *longest_pause* at most; the
        next request after one that was not answered waits as well. One that may have been carried out is repeated only
        where it *only_reads*. *wait* is called before each.
        """
        outcome = Outcome(None, b"", "not asked")
        for attempt in range(tries):
            if (seconds := self._not_before - time.monotonic()) > 0:
                self._pause(seconds)
            wait()
            outcome = self._outcome(method, url, content)
            if outcome.is_good or outcome.is_refusal:
                return outcome
            pause = min(max(outcome.retry_after or 0.0, 2.0**attempt), longest_pause)
            self._not_before = time.monotonic() + pause
            if not only_reads and outcome.status != 429:
                break
        return outcome

    def _outcome(self, method: str, url: str, content: Any) -> Outcome:
        try:
            status, headers, body = self.send(method, url, content)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return Outcome(None, b"", f"no answer: {shorten(failure_reason(error))}")
        said = f"HTTP {status}: {words(body, self.key)}"
        return Outcome(status, body, said, parse_retry_after(headers.get("Retry-After"), datetime.now(UTC)))

    def send(self, method: str, url: str, content: Any = None) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers and body of the answer to one request, *content* as its JSON.

        Raises:
            urllib3.exceptions.HTTPError: there is no answer, or none that ends in time.
            OSError: likewise.
        """
        response = self._pool.request(
            method,
            url,
            json=content,
            headers={"Authorization": f"Bearer {self.key}"},
            redirect=False,
            preload_content=False,
        )
        try:
            return response.status, response.headers, read_body(response, _ANSWER_BYTES, self._seconds)
        finally:
            response.release_conn()
