"""Queries to PostHog's query API.

Belongs here: one HogQL query, its limits and its errors. Does not belong here: which queries are asked (`landing`,
`known_names`).
"""

from __future__ import annotations

from typing import Any, Final

import orjson
import urllib3

from posthog_assets.core.errors import VerificationError
from posthog_assets.core.hogql import QUERY_LIMITS, Answer, read_answer
from posthog_assets.core.http import failure_reason, words
from posthog_assets.destination.project_requests import ProjectRequests
from posthog_assets.destination.settings import Destination
from posthog_assets.storage.rates import Limit, rate_of

_TRIES: Final = 6
_LONGEST_PAUSE: Final = 300.0


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

    def ask(self, hogql: str, *, tries: int | None = None) -> Answer:
        """Return the answer to a query, asked *tries* times at most (absent: the client's own number).

        Results of an earlier look are never reused.

        Raises:
            KeyRefused: PostHog does not let this key ask.
            VerificationError: PostHog refused.
            LookUnavailable: PostHog did not answer in several tries.
        """
        query = {"query": {"kind": "HogQLQuery", "query": hogql}, "refresh": "force_blocking"}
        outcome = self._requests.ask(
            "POST", self._url, query, tries=tries or self._tries, longest_pause=_LONGEST_PAUSE, only_reads=True,
            wait=self._rate.wait,
        )  # fmt: skip
        if outcome.is_good:
            return self._answer(outcome.body)
        where = f"PostHog's query API at {self._url}"
        of_key = f"{where} refused a look ({outcome.said}): the personal key needs the scope query:read"
        raise outcome.error(where, " a look", of_key)

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

    def _answer(self, body: bytes) -> Answer:
        try:
            return read_answer(body)
        except ValueError as error:
            raise VerificationError(
                f"PostHog's query API gave an answer without results: {words(body, self._requests.key)}"
            ) from error
