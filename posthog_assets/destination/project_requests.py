"""Requests to the API of one PostHog project, with the personal key.

Belongs here: the connection, its time limit and how much of an answer is read. Does not belong here: what is asked, and
when a refused request is tried again (`query_client`, `project_api`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from posthog_assets.core.deadlines import pool, read_body
from posthog_assets.destination.settings import Destination

_ANSWER_BYTES: Final = 64 << 20


class ProjectRequests:
    """Sends requests to the API of one project; `base` is its address, without a slash at the end."""

    def __init__(self, destination: Destination) -> None:
        """Open a connection.

        Raises:
            ImportFileError: no personal key or project id is set.
        """
        self.key = destination.look_key()
        self.base = f"{destination.app_host()}/api/projects/{destination.project_id}"
        self._seconds = destination.timeout_seconds
        self._pool = pool(self._seconds)

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
