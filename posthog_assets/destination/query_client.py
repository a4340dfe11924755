"""Queries to PostHog's query API.

Belongs here: one HogQL query, its limits and its errors. Does not belong here: which queries are asked (`landing`,
`known_names`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import urllib3

from posthog_assets.core.errors import LookUnavailable, VerificationError, shorten
from posthog_assets.core.hogql import QUERY_LIMITS, Answer, read_answer
from posthog_assets.core.http import failure_reason, parse_retry_after, words
from posthog_assets.destination.project_requests import ProjectRequests
from posthog_assets.destination.settings import Destination
from posthog_assets.storage.rates import Limit, rate_of

_TRIES: Final = 6


class QueryClient:
    """Asks HogQL questions of one project, politely."""

    def __init__(self, destination: Destination, tries: int = _TRIES) -> None:
        """Open a client that asks each question *tries* times at most; few where a person waits for the answer.

        Raises:
            ImportFileError: no personal key or project id is set.
        """
        self._requests = ProjectRequests(destination)
        self._project = f"{self._requests.base}/"
        self._url = f"{self._project}query/"
        # Exports from this project ask it too, perhaps in another process.
        self._rate = rate_of(
            destination.app_host(), (self._requests.key,), tuple(Limit(*limit) for limit in QUERY_LIMITS)
        )
        self._tries = tries
        self._next = 0.0

    def ask(self, hogql: str, *, tries: int | None = None) -> Answer:
        """Return the answer to a query, asked *tries* times at most (absent: the client's own number).

        Results of an earlier look are never reused.

        Raises:
            VerificationError: PostHog refused.
            LookUnavailable: PostHog did not answer in several tries.
        """
        said, asked = "", None
        for attempt in range(tries or self._tries):
            time.sleep(max(0.0, self._next - time.monotonic()))
            self._rate.wait()
            try:
                status, headers, body = self._post(hogql)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                said = f"no answer: {shorten(failure_reason(error))}"
                self._next = time.monotonic() + 2.0**attempt
                continue
            if status == 200:
                return self._answer(body)
            said = f"HTTP {status}: {words(body, self._requests.key)}"
            if status != 429 and status < 500:
                raise VerificationError(f"PostHog's query API at {self._url} refused a look ({said})")
            asked = parse_retry_after(headers.get("Retry-After"), datetime.now(UTC))
            self._next = time.monotonic() + min(max(asked or 0.0, 2.0**attempt), 300.0)
        raise LookUnavailable(f"PostHog's query API at {self._url} did not answer a look ({said})", retry_after=asked)

    def project(self) -> dict[str, Any] | None:
        """Return the project's settings; None where this key may not read them.

        Raises:
            VerificationError: there is no such project, or no answer.
        """
        try:
            status, _, body = self._requests.send("GET", self._project)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise VerificationError(
                f"PostHog's API at {self._project} did not answer: {failure_reason(error)}"
            ) from None
        if status in (401, 403):
            return None
        try:
            settings = orjson.loads(body)
        except ValueError:
            settings = None
        if status != 200 or not isinstance(settings, dict):
            raise VerificationError(
                f"PostHog's API at {self._project} answers HTTP {status}: {words(body, self._requests.key)}"
            )
        return settings

    def _post(self, hogql: str) -> tuple[int, Mapping[str, str], bytes]:
        query = {"query": {"kind": "HogQLQuery", "query": hogql}, "refresh": "force_blocking"}
        return self._requests.send("POST", self._url, query)

    def _answer(self, body: bytes) -> Answer:
        try:
            return read_answer(body)
        except ValueError as error:
            raise VerificationError(
                f"PostHog's query API gave an answer without results: {words(body, self._requests.key)}"
            ) from error
