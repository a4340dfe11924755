"""Lanes: several requests in flight, and yet nobody's events overtake each other."""

from __future__ import annotations

import json
import random
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posthog_assets.core.errors import Unavailable
from posthog_assets.core.schemas import POSTHOG_EVENTS
from posthog_assets.destination import gate as pace
from posthog_assets.destination import lane
from posthog_assets.destination.delivery import deliver
from posthog_assets.destination.ledger import Ledger
from posthog_assets.destination.person_order import Persons, of_day
from posthog_assets.destination.settings import Destination
from posthog_assets.storage.rates import Pace, Stopped
from posthog_assets.storage.store import Store
from posthog_assets_tests.destination.test_delivery import event, run
from posthog_assets_tests.examples import examples
from posthog_assets_tests.fakes.capture_server import Asked, CaptureServer, Reply


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pace, lane):
        monkeypatch.setattr(module, "backoff", lambda failures: 0.005)
    monkeypatch.setattr(lane, "_COMPANY", 0.01)


def crowd(count: int, people: int = 25) -> list[dict[str, Any]]:
    """Events of people with anonymous ids, who become known in the middle of the day."""
    rows = []
    for number in range(count):
        who = (number * 7) % people
        known = number > count // 2
        rows.append(event(number, distinct_id=f"user-{who}" if known else f"anon-{who}"))
    for who in range(people):
        link = orjson.dumps({"$anon_distinct_id": f"anon-{who}"}).decode()
        middle = rows[count // 2]["timestamp"]
        rows.append(event(count + who, event="$identify", distinct_id=f"user-{who}", properties=link, timestamp=middle))
    return sorted(rows, key=lambda row: row["timestamp"])


def person(row: dict[str, Any]) -> str:
    return str(row["distinct_id"]).split("-")[1]


class Witness:
    """Knows the day, and notes every event that is sent while an earlier one of its person has no verdict yet."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._queues: dict[str, list[str]] = {}
        self._person = {row["uuid"]: person(row) for row in rows}
        for row in rows:
            self._queues.setdefault(person(row), []).append(row["uuid"])
        self.settled: set[str] = set()
        self.overtaken: list[str] = []

    def see(self, asked: Asked) -> None:
        together = set(asked.uuids)
        for uuid in asked.uuids:
            mine = self._queues[self._person[uuid]]
            for earlier in mine[: mine.index(uuid)]:
                if earlier not in self.settled and earlier not in together:
                    self.overtaken.append(uuid)


def test_several_requests_are_in_flight_and_nobody_overtakes(tmp_path: Path) -> None:
    rows = crowd(300)
    witness, lock, flying = Witness(rows), threading.Lock(), [0, 0]

    def script(asked: Asked) -> Reply:
        with lock:
            flying[0] += 1
            flying[1] = max(flying)
        witness.see(asked)
        witness.settled |= set(asked.uuids)
        return Reply(delay=0.05)

    with CaptureServer(script) as server:
        began = time.monotonic()
        report = run(server.url, tmp_path, rows, concurrency=4)
        several = time.monotonic() - began
        run(server.url, tmp_path / "one", rows, concurrency=1)
        single = time.monotonic() - began - several
    assert report.acknowledged == 325
    assert witness.overtaken == []
    assert several < single * 0.8


@settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), concurrency=st.sampled_from([1, 2, 4]))
def test_an_event_answered_retry_is_followed_only_after_it_has_a_verdict(
    seed: int, concurrency: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows, chance = crowd(120), random.Random(seed)
    witness = Witness(rows)

    def script(asked: Asked) -> Reply:
        witness.see(asked)
        verdicts: dict[str, dict[str, str] | None] = {}
        blocked: set[str] = set()
        for uuid in asked.uuids:
            who = witness._person[uuid]
            # What follows within the same request is PostHog's own order; it keeps it by persisting neither.
            if who in blocked or chance.random() < 0.1:
                verdicts[uuid] = chance.choice([None, {"result": "retry", "details": "not_persisted"}])
                blocked.add(who)
        witness.settled |= set(asked.uuids) - verdicts.keys()
        return Reply(429) if chance.random() < 0.05 else Reply(verdicts=verdicts)

    def fair(asked: Asked) -> Reply:
        before = set(witness.settled)
        reply = script(asked)
        if reply.status == 429:
            witness.settled = before
        return reply

    with CaptureServer(fair) as server:
        report = run(server.url, tmp_path_factory.mktemp("r"), rows, concurrency=concurrency, batch_events=20)
    assert (report.acknowledged, report.owed) == (145, 0)
    assert witness.overtaken == []
    assert {e["uuid"] for e in server.stored} == {row["uuid"] for row in rows}


def test_retried_events_leave_alone_and_not_with_the_whole_batch(tmp_path: Path) -> None:
    rows = [event(n, distinct_id=f"user-{n}") for n in range(40)]
    owed = {rows[3]["uuid"], rows[17]["uuid"]}
    seen: list[list[str]] = []

    def script(asked: Asked) -> Reply | None:
        seen.append(asked.uuids)
        return Reply(verdicts={u: {"result": "retry"} for u in owed}) if len(seen) == 1 else None

    with CaptureServer(script) as server:
        run(server.url, tmp_path, rows, batch_events=20)
    assert sorted(len(uuids) for uuids in seen) == [2, 20, 20]
    assert owed in [set(uuids) for uuids in seen]


def test_posthog_that_only_answers_retry_ends_the_run_with_the_events_owed(tmp_path: Path) -> None:
    rows = crowd(50)
    everything = Reply(verdicts={row["uuid"]: {"result": "retry", "details": "not_persisted"} for row in rows})
    with CaptureServer(lambda asked: everything) as server:
        with pytest.raises(Unavailable, match="kept answering `retry`"):
            run(server.url, tmp_path, rows, retry_seconds=0.3)
        server.script = lambda asked: None
        assert run(server.url, tmp_path, rows).sent == 75


def test_an_outage_is_met_by_one_try_at_a_time(tmp_path: Path) -> None:
    """Eight lanes, a server that is down: a lane tries, the others wait."""
    flying, most, lock = [0], [0], threading.Lock()
    down = threading.Event()

    def script(asked: Asked) -> Reply:
        if not down.is_set():
            return Reply()
        with lock:
            flying[0] += 1
            most[0] = max(most[0], flying[0])
        time.sleep(0.01)
        with lock:
            flying[0] -= 1
        return Reply(503)

    with CaptureServer(script) as server:
        down.set()
        with pytest.raises(Unavailable):
            run(server.url, tmp_path, crowd(800), concurrency=8, retry_seconds=0.5)
        assert most[0] == 1
        down.clear()
        assert run(server.url, tmp_path, crowd(800), concurrency=8).owed == 0


def test_a_lane_that_is_refused_stops_the_others(tmp_path: Path) -> None:
    from posthog_assets.core.errors import Refused

    with CaptureServer(lambda asked: Reply(401)) as server:
        with pytest.raises(Refused):
            run(server.url, tmp_path, crowd(800), concurrency=8)
        assert len(server.requests) == 1


def test_what_is_sent_again_is_never_together_with_events_of_another_request(tmp_path: Path) -> None:
    """PostHog's contract for its clients: the id of a batch stays, and only what was answered `retry` is sent again."""
    rows, chance = crowd(400, people=60), random.Random(5)

    def script(asked: Asked) -> Reply:
        return Reply(verdicts={uuid: {"result": "retry"} for uuid in asked.uuids if chance.random() < 0.2})

    with CaptureServer(script) as server:
        assert run(server.url, tmp_path, rows, concurrency=2, batch_events=40).owed == 0
    again = 0
    of_request: dict[str, list[set[str]]] = {}
    for asked in server.requests:
        before = of_request.setdefault(asked.headers["PostHog-Request-Id"], [])
        assert asked.headers["PostHog-Attempt"] == str(len(before) + 1)
        if before:
            again += 1
            assert set(asked.uuids) <= before[-1]
        before.append(set(asked.uuids))
    assert again > 10


def test_events_held_back_behind_an_owed_one_leave_with_the_next_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_COMPANY", 5.0)
    rows = [event(n, distinct_id="late" if n in (0, 12, 14) else f"user-{n}") for n in range(60)]
    first = rows[0]["uuid"]
    seen: list[list[int]] = []

    def script(asked: Asked) -> Reply | None:
        numbers = [e["properties"]["n"] for e in asked.body["batch"]]
        seen.append(numbers)
        if len(seen) == 1:
            return Reply(headers={"Retry-After": "0.2"}, verdicts={first: {"result": "retry"}})
        # The second batch is under way when the first event is due.
        return Reply(delay=0.3 if 11 in numbers else 0.0)

    with CaptureServer(script) as server:
        assert run(server.url, tmp_path, rows).acknowledged == 60
    assert seen[:3] == [list(range(10)), [10, 11, 13, 15, 16, 17, 18, 19], [0]]
    assert seen[3] == [12, 14, *range(20, 28)]
    assert [number for numbers in seen[3:] for number in numbers] == [12, 14, *range(20, 60)]
    assert len(seen) == 8


def test_a_lane_takes_no_more_than_it_may_hold_while_its_only_person_is_behind_an_owed_event(tmp_path: Path) -> None:
    taken = [0]
    rows = [event(n, distinct_id="one") for n in range(300)]
    at_second: list[int] = []

    def stored(columns: list[str] | None, names: Any = None) -> Any:
        taken[0] = 0
        for start in range(0, 300, 10):
            taken[0] += 10
            yield pa.RecordBatch.from_pylist(rows[start : start + 10], schema=POSTHOG_EVENTS)

    def script(asked: Asked) -> Reply | None:
        if asked.headers["PostHog-Attempt"] == "2":
            at_second.append(taken[0])
        wait = len(server.requests) == 1
        return Reply(headers={"Retry-After": "0.4"}, verdicts={asked.uuids[0]: {"result": "retry"}}) if wait else None

    with CaptureServer(script) as server:
        options = {"host": server.url, "project_api_key": "phc_x", "batch_events": 10, "concurrency": 1}
        destination = Destination.model_validate(options)
        report = deliver(destination, Ledger(Store(str(tmp_path), "small"), "2024-03-01"), stored)
    assert (report.acknowledged, report.owed) == (300, 0)
    # One sent, four held, two in the queue, one that waits for room in it, and one read ahead.
    assert len(at_second) == 1
    assert 50 <= at_second[0] <= 90
    assert [e["properties"]["n"] for e in server.stored][-200:] == list(range(100, 300))


@pytest.mark.parametrize("shares", [1, 3, 8])
def test_lanes_share_out_every_event_each_person_in_one_and_in_order(shares: int) -> None:
    from posthog_assets.destination.encoder import encode

    rows = [event(n) for n in range(200)]
    people = np.array([random.Random(n).randrange(12) for n in range(200)], dtype=np.uint64)
    parts = encode(pa.RecordBatch.from_pylist(rows, schema=POSTHOG_EVENTS), people).shared_out(shares)
    assert len(parts) == shares
    assert sum(map(len, parts)) == 200
    for part in parts:
        texts = [orjson.loads("{" + text + "}") for text in part.core.to_pylist()]
        numbers = [text["properties"]["n"] for text in texts]
        assert numbers == sorted(numbers)
        assert [text["uuid"] for text in texts] == part.text_uuids.to_pylist()
        assert part.persons.tolist() == [int(people[number]) for number in numbers]
    whose = [set(part.persons.tolist()) for part in parts]
    assert sum(map(len, whose)) == len(set(people.tolist()))


def test_linked_ids_are_one_person_whatever_the_order_of_the_links() -> None:
    rows = [
        event(1, event="$identify", distinct_id="u", properties='{"$anon_distinct_id":"a"}'),
        event(2, event="$create_alias", distinct_id="b", properties='{"alias":"a"}'),
        event(3, event="$merge_dangerously", distinct_id="x", properties='{"alias":"y"}'),
        event(4, event="$identify", distinct_id="z", properties='{"$anon_distinct_id":"rejected"}', reject_reason="no"),
        event(5, event="page", distinct_id="rejected"),
        event(6, event="page", distinct_id="a"),
        event(7, event="$groupidentify", distinct_id="a"),
    ]
    for order in (rows, rows[::-1]):
        batch = pa.RecordBatch.from_pylist(order, schema=POSTHOG_EVENTS)
        persons = of_day(lambda columns, names=None, batch=batch: [batch]).of(batch)
        people = dict(zip((row["uuid"] for row in order), persons, strict=True))
        u, b, x, z, rejected, a, group = (people[row["uuid"]] for row in rows)
        assert u == b == a
        assert len({u, x, z, rejected, group}) == 5
    assert Persons().of(batch)[0] != u


def test_persons_are_what_links_lead_to_however_long_the_way() -> None:
    links = [(f"{side} {number}", f"{side} {number + 1}") for side in ("left", "right") for number in range(200)]
    random.Random(1).shuffle(links)
    rows = [
        event(number, event="$create_alias", distinct_id=one, properties=json.dumps({"alias": other}))
        for number, (one, other) in enumerate(links)
    ]
    rows += [event(500 + number, distinct_id=f"{side} 200") for number, side in enumerate(("left", "right"))]
    batch = pa.RecordBatch.from_pylist(rows, schema=POSTHOG_EVENTS)
    persons = of_day(lambda columns, names=None: [batch.slice(0, 90), batch.slice(90)]).of(batch)
    sides = {row["distinct_id"].split()[0]: person for row, person in zip(rows, persons, strict=True)}
    assert [sides[row["distinct_id"].split()[0]] for row in rows] == persons.tolist()
    assert sides["left"] != sides["right"]


@pytest.mark.parametrize(("value", "name"), [("5", "5"), ("1.5", "1.5"), ('"a \\"b\\""', 'a "b"'), ("true", "True")])
def test_ids_that_are_linked_may_be_any_scalar(value: str, name: str) -> None:
    rows = [
        event(1, event="$identify", distinct_id="u", properties=f'{{"$anon_distinct_id":{value}}}'),
        event(2, event="$identify", distinct_id="v", properties='{"$anon_distinct_id":""}'),
        event(3, event="$identify", distinct_id="w", properties='{"$anon_distinct_id":null}'),
        event(4, distinct_id=name),
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=POSTHOG_EVENTS)
    u, v, w, other = of_day(lambda columns, names=None: [batch]).of(batch)
    assert u == other
    assert len({u, v, w}) == 3


def test_rates_hold_across_lanes(tmp_path: Path) -> None:
    with CaptureServer() as server:
        began = time.monotonic()
        run(server.url, tmp_path, crowd(100), concurrency=4, max_requests_per_second=20)
        seconds = time.monotonic() - began
    assert len(server.requests) >= 13
    assert seconds >= (len(server.requests) - 1) / 20


def test_rates_hold_across_processes_that_share_a_file(tmp_path: Path) -> None:
    stopped, one, other = threading.Event(), *(Pace(100, None, tmp_path / "locks/pace") for _ in range(2))
    began = time.monotonic()
    for pace_ in (one, other, one, other):
        pace_.wait(10, stopped)
    assert time.monotonic() - began >= 0.29
    stopped.set()
    with pytest.raises(Stopped):
        one.wait(10, stopped)


def test_thousands_of_events_through_every_fault_at_once(tmp_path: Path) -> None:
    rows, chance, lock = crowd(4_000, people=400), random.Random(3), threading.Lock()
    dropped: set[str] = set()

    def script(asked: Asked) -> Reply | None:
        with lock:
            what = chance.random()
            if what < 0.05:
                return Reply(chance.choice([500, 502, 408, 429]))
            if what < 0.08:
                return Reply(429, headers={"Retry-After": "0"})
            if what < 0.12:
                return Reply(None, take=chance.random() < 0.5)
            if what < 0.14 and len(asked.uuids) > 1:
                return Reply(413)
            verdicts: dict[str, dict[str, str] | None] = {}
            for uuid in asked.uuids:
                if chance.random() < 0.05:
                    verdicts[uuid] = chance.choice([None, {"result": "retry", "details": "not_persisted"}])
                elif chance.random() < 0.001 and uuid not in {e["uuid"] for e in server.stored[-2_000:]}:
                    verdicts[uuid] = {"result": "drop", "details": "rejected"}
                    dropped.add(uuid)
            return Reply(verdicts=verdicts)

    with CaptureServer(script) as server:
        report = run(server.url, tmp_path, rows, concurrency=4, batch_events=250)
        stored = {(e["uuid"], e["event"], e["distinct_id"], e["timestamp"][:19]) for e in server.stored}
    truth = {
        (row["uuid"], row["event"], row["distinct_id"], row["timestamp"].strftime("%Y-%m-%dT%H:%M:%S")) for row in rows
    }
    assert {key for key in truth if key not in stored} == {key for key in truth - stored if key[0] in dropped}
    assert stored <= truth
    assert (report.events, report.owed) == (4_400, 0)
    assert len(truth - stored) <= report.dropped <= len(dropped)
