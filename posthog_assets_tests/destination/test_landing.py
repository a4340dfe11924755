"""Looking into PostHog: by counts first, by uuids where counts differ, never by assumption."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Set
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from posthog_assets.core.arrow_columns import pack
from posthog_assets.core.errors import VerificationError
from posthog_assets.core.hogql import Answer
from posthog_assets.destination.landing import Group, find_landed
from posthog_assets.destination.query_client import QueryClient
from posthog_assets.destination.settings import Destination
from posthog_assets_tests.fakes.capture_server import CaptureServer, Reply

START = datetime(2024, 3, 1, 23, 59, 50, tzinfo=UTC)


def name_of(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"look {number}"))


class Day:
    """Acknowledged events: *count* of them, a second apart, over midnight, of two names."""

    ambiguous = False

    def __init__(self, count: int) -> None:
        self.events = [
            (name_of(n), "page" if n % 3 else "it's \\ odd", START + timedelta(seconds=n)) for n in range(count)
        ]
        self.span: tuple[datetime, datetime] | None = (START, START + timedelta(seconds=count - 1))

    @property
    def counts(self) -> dict[Group, int]:
        counts: dict[Group, int] = {}
        for _, event, at in self.events:
            counts[str(at.date()), event] = counts.get((str(at.date()), event), 0) + 1
        return counts

    def uuids(self, groups: Set[Group]) -> Iterator[tuple[Group, np.ndarray]]:
        for name, event, at in self.events:
            if (str(at.date()), event) in groups:
                yield (str(at.date()), event), pack(pa.array([name]))


def store(sandbox: Any, events: list[tuple[str, str, datetime]], job: str, day: str = "2024-03-01") -> None:
    import json
    import urllib.request

    batch = [
        {
            "uuid": name, "event": event, "distinct_id": "u", "timestamp": at.isoformat(),
            "properties": {"$import_job_id": job, "$import_day": day},
        }
        for name, event, at in events
    ]  # fmt: skip
    body = json.dumps({"api_key": "phc_any", "batch": batch}).encode()
    urllib.request.urlopen(
        urllib.request.Request(f"{sandbox.url}/batch/", body, {"Content-Type": "application/json"})
    ).read()


def client(sandbox: Any) -> QueryClient:
    return QueryClient(
        Destination.model_validate({"host": sandbox.url, "personal_api_key": "phx_any", "project_id": "1"})
    )


class Counting(QueryClient):
    asked = 0

    def ask(self, hogql: str, **limits: Any) -> Answer:
        self.asked += 1
        return super().ask(hogql, **limits)


def test_equal_counts_are_one_question(shared_sandbox: Any) -> None:
    day = Day(40)
    store(shared_sandbox, day.events, "equal")
    asking = Counting(
        Destination.model_validate({"host": shared_sandbox.url, "personal_api_key": "phx_any", "project_id": "1"})
    )
    landing = find_landed(asking, "equal", "2024-03-01", day, 0)
    assert landing.by_event == {"it's \\ odd": (14, 14), "page": (26, 26)}
    assert (landing.missing, landing.queries, asking.asked) == ({}, 1, 1)


def test_what_is_missing_is_named(shared_sandbox: Any) -> None:
    day = Day(40)
    store(shared_sandbox, [event for n, event in enumerate(day.events) if n not in (3, 25)], "named")
    landing = find_landed(client(shared_sandbox), "named", "2024-03-01", day, 0)
    assert landing.missing == {"it's \\ odd": [name_of(3)], "page": [name_of(25)]}
    assert landing.by_event == {"it's \\ odd": (14, 13), "page": (26, 25)}


def test_events_of_another_day_of_the_import_do_not_stand_in_for_missing_ones(shared_sandbox: Any) -> None:
    day = Day(9)
    store(shared_sandbox, day.events[:-1], "mixed")
    store(shared_sandbox, [(name_of(900), day.events[-1][1], day.events[-1][2])], "mixed", day="2024-03-02")
    assert find_landed(client(shared_sandbox), "mixed", "2024-03-01", day, 0).missing == {
        day.events[-1][1]: [name_of(8)]
    }


def test_an_event_that_another_day_delivered_again_has_landed(shared_sandbox: Any) -> None:
    day = Day(9)
    store(shared_sandbox, day.events, "again")
    store(shared_sandbox, day.events[:1], "again", day="2024-03-02")
    landing = find_landed(client(shared_sandbox), "again", "2024-03-01", day, 0)
    assert (landing.missing, landing.landed) == ({}, 9)


def test_where_counts_prove_nothing_every_uuid_is_looked_for(shared_sandbox: Any) -> None:
    day = Day(9)
    day.ambiguous = True
    left_over = (name_of(901), day.events[-1][1], day.events[-1][2])
    store(shared_sandbox, [*day.events[:-1], left_over], "ambiguous")
    assert find_landed(client(shared_sandbox), "ambiguous", "2024-03-01", day, 0).missing == {
        day.events[-1][1]: [name_of(8)]
    }


def test_an_event_under_its_old_name_has_not_landed_under_the_new_one(shared_sandbox: Any) -> None:
    day = Day(3)
    store(shared_sandbox, [(name, "old name", at) for name, _, at in day.events], "renamed")
    assert find_landed(client(shared_sandbox), "renamed", "2024-03-01", day, 0).landed == 0


def test_lag_is_waited_for(shared_sandbox: Any) -> None:
    day, waits = Day(5), []

    def arrive(seconds: float) -> None:
        waits.append(seconds)
        store(shared_sandbox, day.events[len(waits) - 1 : len(waits) + 3], "lag")

    told: list[tuple[int, int]] = []
    landing = find_landed(
        client(shared_sandbox), "lag", "2024-03-01", day, 60, pause=arrive, progress=lambda *said: told.append(said)
    )
    assert (landing.landed, landing.queries, waits) == (5, 3, [1.0, 2.0])
    assert told == [(0, 5), (4, 5), (5, 5)]


def test_many_uuids_come_in_pages(shared_sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from posthog_assets.destination import landing as query

    monkeypatch.setattr(query, "_ROWS", 4)
    day = Day(30)
    store(shared_sandbox, day.events[:-1], "pages")
    assert find_landed(client(shared_sandbox), "pages", "2024-03-01", day, 0).missing == {
        day.events[-1][1]: [name_of(29)]
    }


class Silent(QueryClient):
    """Asks a PostHog that does not say which LIMIT it applied."""

    def ask(self, hogql: str, **limits: Any) -> Answer:
        return Answer(super().ask(hogql, **limits).rows)


@pytest.mark.parametrize("asking", [QueryClient, Silent])
def test_an_older_posthog_that_gives_fewer_rows_keeps_no_landed_event_back(asking: type[QueryClient]) -> None:
    pytest.importorskip("chdb", reason="needs the extra posthog_assets[sandbox]")
    from posthog_assets.sandbox import Sandbox

    day = Day(30)
    # The same uuid under another name is another event.
    day.events += [(name, f"{event} again", at) for name, event, at in day.events[10:20]]
    with Sandbox(most_rows=3) as older:
        store(older, day.events[:-1], "older")
        destination = {"host": older.url, "personal_api_key": "phx_any", "project_id": "1"}
        landing = find_landed(asking(Destination.model_validate(destination)), "older", "2024-03-01", day, 0)
    last = day.events[-1]
    assert landing.missing == {last[1]: [last[0]]}
    assert landing.landed == 39


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refused_question_is_said_without_the_key(status: int) -> None:
    answer = Reply(status, b'{"detail": "the key phx_verysecret may not"}')
    with CaptureServer() as server:
        server.script = lambda asked: answer
        asking = QueryClient(
            Destination.model_validate({"host": server.url, "personal_api_key": "phx_verysecret", "project_id": "1"})
        )
        with pytest.raises(VerificationError, match=f"HTTP {status}: the key \\(the key\\) may not") as caught:
            asking.ask("SELECT 1")
    assert "verysecret" not in str(caught.value)


def test_a_server_that_answers_the_same_rows_for_ever_is_not_asked_for_ever() -> None:
    answer = Reply(200, b'{"results": [["2024-03-01", "page", 1, 1, "2024-03-01page"]]}')
    with CaptureServer() as server:
        server.script = lambda asked: answer
        destination = {"host": server.url, "personal_api_key": "phx_any", "project_id": "1"}
        asking = QueryClient(Destination.model_validate(destination))
        with pytest.raises(VerificationError, match="answers the same rows again and again, up to '2024-03-01page'"):
            find_landed(asking, "same", "2024-03-01", Day(3), 0)
