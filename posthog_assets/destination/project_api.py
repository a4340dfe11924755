"""PostHog's REST API of one project: what is kept beside its events.

Belongs here: requests, pages, the scopes a key needs, and errors. Does not belong here: HogQL (`query_client`), or what
is written there (`traces`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from posthog_assets.core.errors import VerificationError
from posthog_assets.core.http import words
from posthog_assets.destination.project_requests import ProjectRequests
from posthog_assets.destination.settings import Destination

_TRIES: Final = 5
_LONGEST_PAUSE: Final = 60.0

#: Entries of a page, and pages of a list that are read at most.
_PAGE: Final = 200
_PAGES: Final = 50


class ProjectApi:
    """Reads and writes entries of one project."""

    def __init__(
        self, destination: Destination, tries: int = _TRIES, pause: Callable[[float], None] = time.sleep
    ) -> None:
        """Open a client that asks *tries* times at most; *pause* waits for so many seconds.

        Raises:
            ImportFileError: no personal key or project id is set.
        """
        self._requests = ProjectRequests(destination, pause)
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
            KeyRefused: PostHog does not let this key do it, which may lack *scope*.
            VerificationError: PostHog refused.
            LookUnavailable: PostHog did not answer in several tries.
        """
        url = f"{self._base}/{path}"
        outcome = self._requests.ask(
            method, url, content, tries=self._tries, longest_pause=_LONGEST_PAUSE, only_reads=method == "GET"
        )
        if outcome.is_good:
            return self._answer(url, outcome.body)
        where = f"PostHog's API at {url}"
        raise outcome.error(where, "", f"{where} refused: the personal key needs the scope {scope} ({outcome.said})")

    def _answer(self, url: str, body: bytes) -> dict[str, Any]:
        try:
            answer = orjson.loads(body) if body else {}
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise VerificationError(f"PostHog's API at {url} gave no JSON object: {words(body, self._requests.key)}")
        return answer
