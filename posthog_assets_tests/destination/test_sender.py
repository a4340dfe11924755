"""What a refusal leads to: an event is dropped for its own fault only, never because everything is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from posthog_assets.core.errors import DeliveryError, Refused, Unavailable
from posthog_assets.destination import gate, lane
from posthog_assets.destination.ledger import Ledger
from posthog_assets.destination.report import DeliveryReport
from posthog_assets.storage.store import Store
from posthog_assets_tests.destination.test_delivery import event, events, run
from posthog_assets_tests.fakes.capture_server import Asked, CaptureServer, Reply


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (gate, lane):
        monkeypatch.setattr(module, "backoff", lambda failures: 0.005)


def uuids(rows: list[dict[str, Any]]) -> set[str]:
    return {row["uuid"] for row in rows}


def after(count: int, reply: Callable[[Asked], Reply]) -> Callable[[Asked], Reply | None]:
    """The server takes *count* requests, and then answers as *reply* says."""
    seen: list[int] = []

    def script(asked: Asked) -> Reply | None:
        seen.append(1)
        return reply(asked) if len(seen) > count else None

    return script


def dropped_in_ledger(folder: Path) -> int:
    return sum(int(str(row["dropped"])) for row in Ledger(Store(str(folder), "small"), "2024-03-01").facts())


def drop_all(asked: Asked) -> Reply:
    return Reply(verdicts={uuid: {"result": "drop", "details": "quota of the moon"} for uuid in asked.uuids})


REFUSALS: dict[str, Callable[[Asked], Reply]] = {
    "400": lambda asked: Reply(400, b"no such thing"),
    "413": lambda asked: Reply(413, b"too large"),
    "drop": drop_all,
}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_server_that_refuses_everything_costs_no_event_in_four_runs(
    refusal: str, concurrency: int, tmp_path: Path
) -> None:
    rows = events(300)
    with CaptureServer(REFUSALS[refusal]) as server:
        for _ in range(4):
            before, report = len(server.requests), DeliveryReport()
            with pytest.raises(Refused, match="PostHog refuses every event"):
                run(server.url, tmp_path, rows, report, batch_events=100, concurrency=concurrency)
            assert (report.owed, report.dropped) == (300, 0)
            assert len(server.requests) - before < 30
        server.script = lambda asked: None
        report = run(server.url, tmp_path, rows, batch_events=100, concurrency=concurrency)
        assert (report.acknowledged, report.dropped) == (300, 0)


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_server_that_refuses_everything_after_a_batch_stops_the_run_and_costs_no_event(
    refusal: str, concurrency: int, tmp_path: Path
) -> None:
    rows, report = events(2_500), DeliveryReport()
    with CaptureServer(after(1, REFUSALS[refusal])) as server:
        with pytest.raises(Unavailable, match="has begun to refuse every event .*stay owed"):
            run(server.url, tmp_path, rows, report, batch_events=100, concurrency=concurrency)
        assert (report.events, report.dropped, report.owed) == (2_500, 0, 2_500 - report.acknowledged)
        assert 0 < report.acknowledged <= 100
        assert len(server.requests) < 30
        assert dropped_in_ledger(tmp_path) == 0
        server.script = lambda asked: None
        assert run(server.url, tmp_path, rows, batch_events=100).acknowledged == 2_500
        assert set(server.uuids()) == uuids(rows)


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("spell", [1, 2, 5, 8])
def test_a_server_that_refuses_everything_for_a_while_costs_no_event(refusal: str, spell: int, tmp_path: Path) -> None:
    rows, seen = events(60), [0]

    def script(asked: Asked) -> Reply | None:
        seen[0] += 1
        return REFUSALS[refusal](asked) if 2 < seen[0] <= 2 + spell else None

    with CaptureServer(script) as server:
        report = run(server.url, tmp_path, rows)
        assert (report.acknowledged, report.dropped, report.owed) == (60, 0, 0)
        assert set(server.uuids()) == uuids(rows)


@pytest.mark.parametrize("every", [2, 3])
def test_a_balancer_with_one_broken_server_costs_no_event(every: int, tmp_path: Path) -> None:
    rows, seen = events(200), [0]

    def script(asked: Asked) -> Reply | None:
        seen[0] += 1
        return Reply(400, b"wrong backend") if seen[0] % every == 0 else None

    with CaptureServer(script) as server:
        report = DeliveryReport()
        try:
            run(server.url, tmp_path, rows, report, batch_events=50)
        except DeliveryError:
            assert report.owed > 0
        assert report.dropped == 0
        assert report.acknowledged + report.owed == 200


def test_a_413_that_stored_half_of_the_batch_costs_no_event(tmp_path: Path) -> None:
    rows = events(830)

    def script(asked: Asked) -> Reply:
        server.stored += asked.body["batch"][: len(asked.uuids) // 2]
        return Reply(413, b"event too big")

    with CaptureServer() as server:
        server.script = after(1, script)
        with pytest.raises(Unavailable):
            run(server.url, tmp_path, rows)
        assert (len(server.requests) < 25, dropped_in_ledger(tmp_path)) == (True, 0)
        server.script = lambda asked: None
        assert run(server.url, tmp_path, rows).owed == 0
        assert set(server.uuids()) == uuids(rows)


def refusing(*bad: str) -> Callable[[Asked], Reply | None]:
    return lambda asked: Reply(400, b"event has no name") if set(bad) & set(asked.uuids) else None


@pytest.mark.parametrize("place", [0, 1, 500, 999])
def test_the_bad_event_of_a_good_batch_is_found_in_few_requests(place: int, tmp_path: Path) -> None:
    rows = events(1_000)
    with CaptureServer(refusing(rows[place]["uuid"])) as server:
        report = run(server.url, tmp_path, rows, batch_events=1_000)
        assert report.drop_reasons == {"HTTP 400: event has no name": 1}
        assert (report.acknowledged, report.owed) == (999, 0)
        assert set(server.uuids()) == uuids(rows) - {rows[place]["uuid"]}
        # Ten halvings of two requests each, and what makes it certain.
        assert len(server.requests) <= 1 + 2 * 10 + 6


def test_a_bad_event_alone_in_the_last_batch_of_a_day_is_dropped(tmp_path: Path) -> None:
    rows = events(31)
    with CaptureServer(refusing(rows[30]["uuid"])) as server:
        report = run(server.url, tmp_path, rows)
        assert (report.acknowledged, report.dropped, report.owed) == (30, 1, 0)
        assert [len(asked.uuids) for asked in server.requests[3:]] == [1] * 5


def test_the_only_event_of_a_day_is_never_dropped_for_a_refused_request(tmp_path: Path) -> None:
    report = DeliveryReport()
    with CaptureServer(REFUSALS["400"]) as server:
        with pytest.raises(
            Refused, match=r"refuses every event \(HTTP 400: no such thing\).* no other event of this day"
        ):
            run(server.url, tmp_path, events(1), report)
    assert (report.dropped, report.owed) == (0, 1)


def test_what_an_earlier_run_acknowledged_shows_that_a_new_event_is_bad(tmp_path: Path) -> None:
    rows = events(10)
    with CaptureServer() as server:
        run(server.url, tmp_path, rows[:9])
        server.script = refusing(rows[9]["uuid"])
        before = len(server.requests)
        report = run(server.url, tmp_path, rows)
        assert (report.acknowledged, report.dropped, report.owed) == (9, 1, 0)
        assert [asked.uuids[0] in uuids(rows[:9]) for asked in server.requests[before:]] == [
            False, True, False, False, True,
        ]  # fmt: skip


def test_a_probe_writes_no_older_value_over_a_person(tmp_path: Path) -> None:
    """Of a day that sets person properties, only the person's newest event is sent again."""
    rows = [
        event(number, distinct_id=f"user-{number % 3}", properties=orjson.dumps({"$set": {"plan": number}}).decode())
        for number in range(40)
    ]
    bad = {rows[number]["uuid"] for number in (7, 20, 39)}
    order: dict[str, list[int]] = {}
    with CaptureServer(refusing(*bad)) as server:
        report = run(server.url, tmp_path, rows)
        for stored in server.stored:
            order.setdefault(stored["distinct_id"], []).append(stored["properties"]["$set"]["plan"])
    assert (report.acknowledged, report.dropped) == (37, 3)
    assert all(plans == sorted(plans) for plans in order.values())


def test_half_of_a_day_that_is_bad_is_dropped_event_by_event(tmp_path: Path) -> None:
    rows = events(60)
    with CaptureServer(refusing(*uuids(rows[::2]))) as server:
        report = run(server.url, tmp_path, rows, batch_events=20)
        assert set(server.uuids()) == uuids(rows[1::2])
    assert (report.acknowledged, report.dropped, report.owed) == (30, 30, 0)


def test_a_batch_that_posthog_drops_while_it_takes_others_is_dropped(tmp_path: Path) -> None:
    rows = [event(number, event="banned" if 10 <= number < 20 else "edit") for number in range(30)]

    def script(asked: Asked) -> Reply:
        banned = [sent["uuid"] for sent in asked.body["batch"] if sent["event"] == "banned"]
        return Reply(verdicts={uuid: {"result": "drop", "details": "event_restriction_drop"} for uuid in banned})

    with CaptureServer(script) as server:
        report = run(server.url, tmp_path, rows)
    assert (report.acknowledged, report.drop_reasons) == (20, {"event_restriction_drop": 10})


def test_a_lane_whose_events_are_all_bad_waits_for_what_the_others_find(tmp_path: Path) -> None:
    rows = events(140)
    bad = [row["uuid"] for row in rows if row["distinct_id"] == "user-3"]
    with CaptureServer(refusing(*bad)) as server:
        report = run(server.url, tmp_path, rows, concurrency=7, batch_events=20)
        assert (report.acknowledged, report.dropped, report.owed) == (120, 20, 0)


def test_a_person_alone_on_a_day_that_begins_badly_gets_the_rest_of_it(tmp_path: Path) -> None:
    rows = [event(number, distinct_id="server") for number in range(40)]
    with CaptureServer(refusing(*uuids(rows[:3]))) as server:
        report = run(server.url, tmp_path, rows)
    assert (report.acknowledged, report.dropped, report.owed) == (37, 3, 0)
