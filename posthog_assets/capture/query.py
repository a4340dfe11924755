"""Looking into PostHog: which of the events it acknowledged can be found by a query.

Belongs here: HogQL over `/api/projects/{id}/query/`, and the comparison with the ledger. Does not belong here:
sending, or what follows from a missing event.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
import urllib3

from posthog_assets.capture.client import failure_reason
from posthog_assets.capture.destination import Destination
from posthog_assets.capture.verdicts import parse_retry_after, words
from posthog_assets.errors import ImportFileError, VerificationError
from posthog_assets.mapping.markers import IMPORT_PROPERTY

#: The most rows one HogQL answer holds: posthog.com/docs/api/queries.
_ROWS: Final = 50_000

#: PostHog allows 240 queries a minute and project; half of that leaves room for people.
_SECONDS_BETWEEN: Final = 0.5

_TRIES: Final = 6


@dataclass
class Landing:
    """What a look found: per event name (acknowledged, landed), and the uuids that are missing."""

    by_event: dict[str, tuple[int, int]] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)
    looks: int = 0
    #: Rows beyond one per uuid; PostHog merges them away in time when their de-duplication keys are equal.
    duplicates: int = 0

    @property
    def acknowledged(self) -> int:
        return sum(acknowledged for acknowledged, _ in self.by_event.values())

    @property
    def landed(self) -> int:
        return sum(landed for _, landed in self.by_event.values())


class QueryClient:
    """Asks HogQL questions of one project, politely."""

    def __init__(self, destination: Destination) -> None:
        """Open a client.

        Raises:
            ImportFileError: no personal key or project id is set.
        """
        if not destination.verifies or destination.personal_api_key is None:
            raise ImportFileError(
                "destination.personal_api_key and destination.project_id are needed to look into PostHog"
            )
        self._url = f"{destination.app_host()}/api/projects/{destination.project_id}/query/"
        self._key = destination.personal_api_key.get_secret_value().strip()
        self._pool = urllib3.PoolManager(
            retries=False, timeout=urllib3.Timeout(total=None, connect=10, read=destination.timeout_seconds)
        )
        self._next = 0.0

    def ask(self, hogql: str) -> list[list[Any]]:
        """Return the rows of a query; results of an earlier look are never reused.

        Raises:
            VerificationError: PostHog refused, or did not answer in several tries.
        """
        said = ""
        for attempt in range(_TRIES):
            time.sleep(max(0.0, self._next - time.monotonic()))
            self._next = time.monotonic() + _SECONDS_BETWEEN
            try:
                response = self._pool.request(
                    "POST",
                    self._url,
                    json={"query": {"kind": "HogQLQuery", "query": hogql}, "refresh": "force_blocking"},
                    headers={"Authorization": f"Bearer {self._key}"},
                    redirect=False,
                )
            except (urllib3.exceptions.HTTPError, OSError) as error:
                said = f"no answer: {failure_reason(error)}"
                self._next = time.monotonic() + 2.0**attempt
                continue
            if response.status == 200:
                return _rows(response.data)
            said = f"HTTP {response.status}: {words(response.data)}"
            if response.status != 429 and response.status < 500:
                break
            asked = parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
            self._next = time.monotonic() + min(asked if asked is not None else 2.0**attempt, 300.0)
        raise VerificationError(f"PostHog's query API at {self._url} did not answer a look ({said})")


def _rows(body: bytes) -> list[list[Any]]:
    try:
        return orjson.loads(body)["results"]
    except (ValueError, KeyError, TypeError) as error:
        raise VerificationError(f"PostHog's query API gave an answer without results: {words(body)}") from error


def look(
    client: QueryClient,
    import_name: str,
    expected: Callable[[], Iterable[tuple[str, str]]],
    span: tuple[datetime, datetime] | None,
    deadline_seconds: float,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> Landing:
    """Look until every expected event is found, or *deadline_seconds* have passed.

    *expected* yields (uuid, event name) of the acknowledged events; *span* is their first and last timestamp. Ingestion
    lags behind the answer, so one look that finds too little proves nothing.
    """
    by_uuid = dict(expected())
    landing = Landing()
    if not by_uuid or span is None:
        return landing
    until = time.monotonic() + deadline_seconds
    wait = 1.0
    while True:
        found: set[str] = set()
        landing.looks += 1
        landing.duplicates = 0
        for page in _pages(client, import_name, span):
            ours = [(uuid, count) for uuid, count in page if uuid in by_uuid]
            found.update(uuid for uuid, _ in ours)
            landing.duplicates += sum(count - 1 for _, count in ours)
        if len(found) == len(by_uuid) or time.monotonic() + wait > until:
            return _compare(landing, by_uuid, found)
        pause(wait)
        wait = min(wait * 2, 60.0)


def _pages(client: QueryClient, import_name: str, span: tuple[datetime, datetime]) -> Iterator[list[tuple[str, int]]]:
    """Yield (uuid, number of rows) PostHog holds of this import in *span*, in pages ordered by uuid."""
    first, last = (moment.astimezone(UTC) for moment in (span[0], span[1] + timedelta(milliseconds=1)))
    after = ""
    while True:
        rows = client.ask(
            "SELECT toString(uuid) AS id, count() FROM events "
            f"WHERE properties.{IMPORT_PROPERTY} = {_quoted(import_name)} "
            f"AND timestamp >= toDateTime64({_quoted(first.strftime('%Y-%m-%d %H:%M:%S.%f'))}, 6, 'UTC') "
            f"AND timestamp <= toDateTime64({_quoted(last.strftime('%Y-%m-%d %H:%M:%S.%f'))}, 6, 'UTC') "
            f"AND toString(uuid) > {_quoted(after)} GROUP BY id ORDER BY id LIMIT {_ROWS}"
        )
        yield [(row[0], row[1]) for row in rows]
        if len(rows) < _ROWS:
            return
        after = rows[-1][0]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _compare(landing: Landing, by_uuid: dict[str, str], found: set[str]) -> Landing:
    counts: dict[str, list[int]] = {}
    for uuid, event in by_uuid.items():
        count = counts.setdefault(event, [0, 0])
        count[0] += 1
        if uuid in found:
            count[1] += 1
        else:
            landing.missing.setdefault(event, []).append(uuid)
    landing.by_event = {event: (acknowledged, landed) for event, (acknowledged, landed) in sorted(counts.items())}
    return landing
