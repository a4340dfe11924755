"""PostHog's REST API of one project: what is kept beside its events.

Belongs here: requests, pages, the scopes a key needs, and errors. Does not belong here: HogQL (`query_client`), or what
is written there (`traces`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import orjson
import urllib3

from posthog_assets.core.errors import LookUnavailable, VerificationError, shorten
from posthog_assets.core.http import failure_reason, parse_retry_after, words
from posthog_assets.destination.project_requests import ProjectRequests
from posthog_assets.destination.settings import Destination

_TRIES: Final = 5
_LONGEST_PAUSE: Final = 60.0

#: Entries of a page, and pages of a list that are read at most.
_PAGE: Final = 200
_PAGES: Final = 50


class ProjectApi:
    """Reads and writes entries of one project."""

    def __init__(self, destination: Destination, tries: int = _TRIES) -> None:
        """Open a client that asks *tries* times at most.

        Raises:
            ImportFileError: no personal key or project id is set.
        """
        self._requests = ProjectRequests(destination)
        self._base = self._requests.base
        self._tries = tries

    def entries(self, what: str, scope: str, **filters: str) -> Iterator[dict[str, Any]]:
        """Yield the entries of the list *what*, such as `annotations`, which needs the key's *scope*.

        Raises: as `ask`; and VerificationError where the list does not end.
        """
        for page in range(_PAGES):
            parameters = urlencode({**filters, "limit": _PAGE, "offset": page * _PAGE})
            answer = self.ask("GET", f"{what}/?{parameters}", scope)
            results = answer.get("results")
            if not isinstance(results, list):
                raise VerificationError(f"PostHog's API at {self._base}/{what}/ gave an answer without results")
            yield from (entry for entry in results if isinstance(entry, dict))
            if not answer.get("next"):
                return
        raise VerificationError(f"PostHog's API at {self._base}/{what}/ has more than {_PAGE * _PAGES:,} entries")

    def ask(self, method: str, path: str, scope: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the answer to one request. A request that may have been carried out is repeated only if it is a GET.

        Raises:
            VerificationError: PostHog refused; where the key lacks *scope* the message names it.
            LookUnavailable: PostHog did not answer in several tries.
        """
        url, said, asked = f"{self._base}/{path}", "", None
        for attempt in range(self._tries):
            if attempt:
                time.sleep(min(max(asked or 0.0, 2.0 ** (attempt - 1)), _LONGEST_PAUSE))
            try:
                status, headers, body = self._requests.send(method, url, content)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                said, asked, may_be_done = f"no answer: {shorten(failure_reason(error))}", None, True
            else:
                if 200 <= status < 300:
                    return self._answer(url, body)
                said = f"HTTP {status}: {words(body, self._requests.key)}"
                if status in (401, 403):
                    raise VerificationError(
                        f"PostHog's API at {url} refused: the personal key needs the scope {scope} ({said})"
                    )
                if status != 429 and status < 500:
                    raise VerificationError(f"PostHog's API at {url} refused ({said})")
                asked, may_be_done = parse_retry_after(headers.get("Retry-After"), datetime.now(UTC)), status != 429
            if may_be_done and method != "GET":
                break
        raise LookUnavailable(f"PostHog's API at {url} did not answer ({said})", retry_after=asked)

    def _answer(self, url: str, body: bytes) -> dict[str, Any]:
        try:
            answer = orjson.loads(body) if body else {}
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise VerificationError(f"PostHog's API at {url} gave no JSON object: {words(body, self._requests.key)}")
        return answer
