"""Looking into PostHog: which of the events it acknowledged can be found by a query.

Belongs here: HogQL over `/api/projects/{id}/query/`, and the comparison with the ledger. Does not belong here:
sending, or what follows from a missing event.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from posthog_assets.core.arrow_columns import pack, unpack
from posthog_assets.core.errors import VerificationError
from posthog_assets.core.hogql import quoted
from posthog_assets.core.markers import Markers
from posthog_assets.destination.ingestion_warnings import IngestionWarning
from posthog_assets.destination.query_client import QueryClient

T = TypeVar("T")


#: The most rows one HogQL answer holds: posthog.com/docs/api/queries.
_ROWS: Final = 50_000


#: A UTC day, as `2024-03-01`, and an event name.
Group = tuple[str, str]


class Expected(Protocol):
    """The acknowledged events of a partition that should be found."""

    #: Their first and last timestamp (UTC).
    span: tuple[datetime, datetime] | None
    #: Whether equal counts prove nothing, because PostHog also holds versions of events that are not expected.
    ambiguous: bool

    @property
    def counts(self) -> Mapping[Group, int]:
        """How many there are, by UTC day and event."""

    def uuids(self, groups: AbstractSet[Group]) -> Iterable[tuple[Group, np.ndarray]]:
        """Yield the packed uuids of the events in *groups*, in pieces."""


@dataclass
class LandedReport:
    """What a look found: per event name (acknowledged, landed), and the uuids that are missing."""

    by_event: dict[str, tuple[int, int]] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)
    queries: int = 0
    #: Rows beyond one per uuid; PostHog merges them away in time when their de-duplication keys are equal.
    duplicates: int = 0
    #: Why events are missing or changed, as PostHog's ingestion says; None where it cannot be asked.
    warnings: list[IngestionWarning] | None = None

    @property
    def acknowledged(self) -> int:
        return sum(acknowledged for acknowledged, _ in self.by_event.values())

    @property
    def landed(self) -> int:
        return sum(landed for _, landed in self.by_event.values())


def find_landed(
    client: QueryClient,
    import_name: str,
    day: str,
    expected: Expected,
    deadline_seconds: float,
    *,
    markers: Markers | None = None,
    pause: Callable[[float], None] = time.sleep,
    progress: Callable[[int, int], None] = lambda found, expected: None,
) -> LandedReport:
    """Look until every expected event of partition *day* is found, or *deadline_seconds* have passed.

    *markers* names the properties that say so. Distinct uuids are counted by PostHog, per UTC day and event. Where a
    count differs from what is expected the uuids themselves are fetched. Ingestion lags behind the answer, so one look
    that finds too little proves nothing. *progress* gets (events found, events expected) after each look.
    """
    landing = LandedReport()
    if not expected.counts or expected.span is None:
        return landing
    names = markers or Markers.model_validate({})
    of_import = _where(import_name, expected.span, names)
    of_day = f"{of_import} AND properties.{names.day} = {quoted(day)}"
    until = time.monotonic() + deadline_seconds
    wait = 1.0
    while True:
        landing.queries += 1
        found = _counts(client, of_day, landing)
        progress(sum(found.values()), sum(expected.counts.values()))
        out_of_time = time.monotonic() + wait > until
        if out_of_time or all(found.get(group, 0) >= count for group, count in expected.counts.items()):
            doubtful = {g for g, n in expected.counts.items() if expected.ambiguous or found.get(g, 0) != n}
            landing.missing = _missing(client, of_import, expected, doubtful) if doubtful else {}
            if out_of_time or not landing.missing:
                landing.by_event = _by_event(expected.counts, landing.missing)
                return landing
        pause(wait)
        wait = min(wait * 2, 60.0)


#: HogQL gives times in the project's zone unless the query converts them.
_UTC_DAY: Final = "toString(toDate(toTimeZone(timestamp, 'UTC')))"


def _counts(client: QueryClient, condition: str, landing: LandedReport) -> dict[Group, int]:
    found: dict[Group, int] = {}
    landing.duplicates = 0
    after = ""
    while True:
        answer = client.ask(
            f"SELECT {_UTC_DAY} AS day, event, count(DISTINCT uuid), count(), concat(day, event) AS place FROM events "
            f"WHERE {condition} "
            f"AND concat({_UTC_DAY}, event) > {quoted(after)} "
            f"GROUP BY day, event ORDER BY place LIMIT {_ROWS}"
        )
        for utc_day, event, distinct, count, _ in answer.rows:
            found[utc_day, event] = distinct
            landing.duplicates += count - distinct
        if answer.is_all:
            return found
        after = _further(after, answer.rows[-1][-1])


def count_marked(client: QueryClient, import_name: str, day: str, markers: Markers) -> dict[str, int]:
    """Return how many events with the markers of this import and partition PostHog has, by event name.

    The timestamps are not bounded, so that an event that was moved to another time is found too.
    """
    condition = f"properties.{markers.import_name} = {quoted(import_name)} AND properties.{markers.day} = {quoted(day)}"
    counts: dict[str, int] = {}
    for (_, event), count in _counts(client, condition, LandedReport()).items():
        counts[event] = counts.get(event, 0) + count
    return counts


def _missing(
    client: QueryClient, condition: str, expected: Expected, groups: AbstractSet[Group]
) -> dict[str, list[str]]:
    """Return the uuids of *groups* that are not found under the day and event they should have, by event."""
    numbers = {group: number for number, group in enumerate(sorted(groups))}
    pieces = [(numbers[group], uuids) for group, uuids in expected.uuids(groups)]
    uuids = np.concatenate([piece for _, piece in pieces])
    places = np.concatenate([np.full(len(piece), number) for number, piece in pieces])
    order = np.argsort(uuids, kind="stable")
    uuids, places = uuids[order], places[order]
    found = np.zeros(len(uuids), dtype=bool)
    for page in _pages(client, condition, {event for _, event in groups}):
        seen = pack(pa.array([row[0] for row in page], pa.string()))
        seen_places = np.array([numbers.get((row[1], row[2]), -1) for row in page], dtype=np.int64)
        at = np.minimum(np.searchsorted(uuids, seen), len(uuids) - 1)
        found[at[(uuids[at] == seen) & (places[at] == seen_places)]] = True
    missing: dict[str, list[str]] = {}
    events = [event for _, event in sorted(groups)]
    for uuid, place in zip(unpack(uuids[~found]), places[~found].tolist(), strict=True):
        missing.setdefault(events[place], []).append(uuid)
    return missing


def _pages(client: QueryClient, condition: str, events: AbstractSet[str]) -> Iterator[list[tuple[str, str, str]]]:
    """Yield what PostHog holds of this import in *span* as (uuid, UTC day, event), in pages in that order."""
    # A long list of names costs more than it saves.
    some = f"AND event IN ({', '.join(quoted(event) for event in sorted(events))}) " if len(events) <= 50 else ""
    uuid = day = event = quoted("")
    last: list[Any] = []
    while True:
        answer = client.ask(
            f"SELECT toString(uuid) AS id, {_UTC_DAY} AS day, event FROM events "
            f"WHERE {condition} {some}"
            f"AND (id > {uuid} OR (id = {uuid} AND ({_UTC_DAY} > {day} OR ({_UTC_DAY} = {day} AND event > {event})))) "
            f"GROUP BY id, day, event ORDER BY id, day, event LIMIT {_ROWS}"
        )
        yield [(row[0], row[1], row[2]) for row in answer.rows]
        if answer.is_all:
            return
        uuid, day, event = map(quoted, _further(last, answer.rows[-1]))
        last = answer.rows[-1]


def _further(before: T, last: T) -> T:
    """Return where the next page begins; raises VerificationError where the answers stand still."""
    if last == before:
        raise VerificationError(f"PostHog's query API answers the same rows again and again, up to {last!r}")
    return last


def _where(import_name: str, span: tuple[datetime, datetime], markers: Markers) -> str:
    first, last = (moment.astimezone(UTC) for moment in (span[0], span[1] + timedelta(milliseconds=1)))
    return (
        f"properties.{markers.import_name} = {quoted(import_name)} "
        f"AND timestamp >= toDateTime64({quoted(first.strftime('%Y-%m-%d %H:%M:%S.%f'))}, 6, 'UTC') "
        f"AND timestamp <= toDateTime64({quoted(last.strftime('%Y-%m-%d %H:%M:%S.%f'))}, 6, 'UTC')"
    )


def _by_event(counts: Mapping[Group, int], missing: Mapping[str, list[str]]) -> dict[str, tuple[int, int]]:
    acknowledged: dict[str, int] = {}
    for (_, event), count in counts.items():
        acknowledged[event] = acknowledged.get(event, 0) + count
    return {event: (count, count - len(missing.get(event, ()))) for event, count in sorted(acknowledged.items())}
