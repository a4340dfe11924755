"""Delivery: every answer has its consequence, and nothing is lost or sent twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from posthog.request import determine_server_host

from posthog_assets.core.errors import ImportFileError, KeyWouldChange, Refused, Unavailable
from posthog_assets.core.schemas import POSTHOG_EVENTS
from posthog_assets.destination import gate as pace
from posthog_assets.destination import lane
from posthog_assets.destination.delivery import deliver
from posthog_assets.destination.ledger import Ledger
from posthog_assets.destination.report import DeliveryReport
from posthog_assets.destination.settings import Destination
from posthog_assets.storage.store import Store
from posthog_assets_tests.examples import examples
from posthog_assets_tests.fakes.capture_server import Asked, CaptureServer, Reply

START = datetime(2024, 3, 1, tzinfo=UTC)
KEY = "phc_verysecretkey"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pace, lane):
        monkeypatch.setattr(module, "backoff", lambda failures: 0.005)


def event(number: int, **changes: Any) -> dict[str, Any]:
    base = {
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
        "event": "edit",
        "distinct_id": f"user-{number % 7}",
        "timestamp": START + timedelta(seconds=number),
        "properties": orjson.dumps({"n": number}).decode(),
        "source_id": str(number),
        "reject_reason": None,
    }
    return base | changes


def events(count: int) -> list[dict[str, Any]]:
    return [event(number) for number in range(count)]


def run(
    url: str, folder: Path, rows: list[dict[str, Any]], report: DeliveryReport | None = None, **options: Any
) -> DeliveryReport:
    settings = {
        "host": url,
        "project_api_key": KEY,
        "batch_events": 10,
        "retry_seconds": 5,
        "timeout_seconds": 5,
        "concurrency": 1,
    }
    destination = Destination.model_validate(settings | options)
    ledger = Ledger(Store(str(folder), "small"), "2024-03-01")
    batches = [pa.RecordBatch.from_pylist(rows[i : i + 25], schema=POSTHOG_EVENTS) for i in range(0, len(rows), 25)]
    return deliver(destination, ledger, lambda columns, names=None: batches, report=report)


def test_events_arrive_in_order_of_time_with_everything_posthog_needs(tmp_path: Path) -> None:
    with CaptureServer() as server:
        report = run(server.url, tmp_path, events(60))
        assert server.uuids() == [row["uuid"] for row in events(60)]
        first = server.requests[0]
        assert first.path == "/i/v1/analytics/events"
        assert first.headers["Authorization"] == f"Bearer {KEY}"
        assert first.headers["Content-Encoding"] == "gzip"
        assert first.body["historical_migration"] is True
        assert first.body["batch"][3] == {
            "event": "edit",
            "uuid": events(4)[3]["uuid"],
            "distinct_id": "user-3",
            "timestamp": "2024-03-01T00:00:03.000000Z",
            "options": {"disable_skew_correction": True},
            "properties": {"n": 3},
        }
    assert (report.events, report.acknowledged, report.owed, report.batches) == (60, 60, 0, 6)


def test_a_second_run_sends_nothing_and_a_changed_event_alone(tmp_path: Path) -> None:
    rows = events(60)
    with CaptureServer() as server:
        run(server.url, tmp_path, rows)
        before = len(server.requests)
        report = run(server.url, tmp_path, rows)
        assert (len(server.requests), report.already_acknowledged, report.sent) == (before, 60, 0)
        rows[33] = event(33, properties='{"n":"corrected"}')
        report = run(server.url, tmp_path, rows)
        assert server.requests[-1].uuids == [rows[33]["uuid"]]
        assert (report.sent, report.acknowledged, report.owed) == (1, 60, 0)
        assert len(server.requests) == before + 1


@pytest.mark.parametrize(
    "change", [{"event": "renamed"}, {"distinct_id": "other"}, {"timestamp": START + timedelta(days=1)}]
)
def test_an_event_whose_key_would_change_is_refused_before_anything_is_sent(
    change: dict[str, Any], tmp_path: Path
) -> None:
    rows = events(30)
    with CaptureServer() as server:
        run(server.url, tmp_path, rows)
        before = len(server.requests)
        changed = [*rows[:29], event(29, **change), event(30)]
        with pytest.raises(KeyWouldChange, match=r"1 of 31 events .* nothing was sent"):
            run(server.url, tmp_path, changed)
        assert len(server.requests) == before
        assert run(server.url, tmp_path, changed, allow_duplicates=True).sent == 2


def test_rejected_rows_are_not_sent(tmp_path: Path) -> None:
    rows = [event(0), event(1, reject_reason="distinct_id is empty"), event(2)]
    with CaptureServer() as server:
        assert run(server.url, tmp_path, rows).events == 2
        assert server.uuids() == [rows[0]["uuid"], rows[2]["uuid"]]


def test_batches_are_cut_by_bytes(tmp_path: Path) -> None:
    large = [event(i, properties=orjson.dumps({"x": "y" * 400_000}).decode()) for i in range(6)]
    with CaptureServer() as server:
        run(server.url, tmp_path, large, batch_bytes=1 << 20)
        assert [len(asked.uuids) for asked in server.requests] == [2, 2, 2]


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, b"not found"), (405, b""), (503, b'{"error_description":"v1 sink not configured"}')],
)
def test_where_v1_is_not_served_batch_is_used(status: int, body: bytes, tmp_path: Path) -> None:
    def script(asked: Asked) -> Reply | None:
        return Reply(status, body) if asked.path.startswith("/i/v1") else None

    with CaptureServer(script) as server:
        report = run(server.url, tmp_path, events(35))
        assert sorted(set(server.uuids())) == sorted(row["uuid"] for row in events(35))
        assert [asked.path for asked in server.requests].count("/i/v1/analytics/events") == 1
        taken = server.requests[-1].body
        assert (taken["api_key"], taken["historical_migration"], "sent_at" in taken) == (KEY, True, False)
        assert report.protocol == "batch"
    with CaptureServer(script) as server, pytest.raises(Refused, match="set destination.protocol to auto"):
        run(server.url, tmp_path / "b", events(5), protocol="v1")


@pytest.mark.parametrize("status", [401, 402, 403, 415])
def test_a_refusal_stops_at_once_and_says_nothing_secret(status: int, tmp_path: Path) -> None:
    report = DeliveryReport()
    with CaptureServer(lambda asked: Reply(status, b'{"error":"no"}')) as server:
        with pytest.raises(Refused, match=rf"HTTP {status}") as caught:
            run(server.url, tmp_path, events(50), report)
        assert len(server.requests) == 1
    assert KEY not in str(caught.value)
    assert (report.owed, report.acknowledged) == (50, 0)
    assert not list((tmp_path / "small/imported_batches").glob("**/*.parquet"))


def misbehave_once(*replies: Reply) -> Any:
    left = list(replies)
    return lambda asked: left.pop(0) if left else None


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500), Reply(502, b"<html>"), Reply(408), Reply(503), Reply(None, take=False), Reply(None),
        Reply(200, b"<html>a proxy</html>"), Reply(200, b'{"results": 5}'), Reply(429, headers={"Retry-After": "0"}),
        Reply(503, headers={"Retry-After": "0"}),
    ],
)  # fmt: skip
def test_an_ambiguous_answer_is_followed_by_the_identical_bytes(reply: Reply, tmp_path: Path) -> None:
    with CaptureServer(misbehave_once(reply, reply)) as server:
        report = run(server.url, tmp_path, events(10))
        assert {asked.raw for asked in server.requests} == {server.requests[0].raw}
        assert len(server.requests) == 3
        assert {asked.headers["PostHog-Attempt"] for asked in server.requests} == {"1", "2", "3"}
        assert len({asked.headers["PostHog-Request-Id"] for asked in server.requests}) == 1
    assert (report.acknowledged, report.owed, report.retries) == (10, 0, 2)


def test_a_slow_answer_is_no_answer(tmp_path: Path) -> None:
    with CaptureServer(misbehave_once(Reply(delay=1.5))) as server:
        report = run(server.url, tmp_path, events(5), timeout_seconds=0.3)
        assert (report.acknowledged, len(server.requests)) == (5, 2)


def test_waiting_as_asked_does_not_use_up_the_budget(tmp_path: Path) -> None:
    wait = Reply(429, headers={"Retry-After": "0.4"})
    with CaptureServer(misbehave_once(*[wait] * 4)) as server:
        began = time.monotonic()
        assert run(server.url, tmp_path, events(5), retry_seconds=0.2).owed == 0
        assert time.monotonic() - began > 1.5


def test_a_server_that_stays_away_leaves_the_day_owed_and_the_rest_recorded(tmp_path: Path) -> None:
    report = DeliveryReport()
    seen: list[Asked] = []

    def script(asked: Asked) -> Reply | None:
        seen.append(asked)
        return Reply(500) if len(seen) > 2 else None

    with CaptureServer(script) as server:
        with pytest.raises(Unavailable, match="did not take a batch in"):
            run(server.url, tmp_path, events(50), report, retry_seconds=0.1)
        assert (report.acknowledged, report.owed) == (20, 30)
        server.script = lambda asked: None
        assert run(server.url, tmp_path, events(50)).sent == 30
        assert Counter(server.uuids()) == Counter(row["uuid"] for row in events(50))


def test_nobody_listening_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"no answer from http://127.0.0.1:9: .*refused"):
        run("http://127.0.0.1:9", tmp_path, events(3), retry_seconds=0.05)


def test_a_refused_batch_is_halved_until_the_bad_event_is_found(tmp_path: Path) -> None:
    bad = event(17)["uuid"]

    def script(asked: Asked) -> Reply | None:
        return Reply(400, b"event submitted without a distinct_id") if bad in asked.uuids else None

    with CaptureServer(script) as server:
        report = run(server.url, tmp_path, events(40), protocol="batch", batch_events=40)
        assert sorted(set(server.uuids())) == sorted(row["uuid"] for row in events(40) if row["uuid"] != bad)
    assert (report.acknowledged, report.dropped, report.owed) == (39, 1, 0)
    assert report.drop_reasons == {"HTTP 400: event submitted without a distinct_id": 1}
    with CaptureServer(script) as server:
        again = run(server.url, tmp_path, events(40), protocol="batch")
        assert (len(server.requests), again.dropped) == (0, 1)


def test_too_large_is_halved_and_only_the_one_that_is_too_large_is_dropped(tmp_path: Path) -> None:
    def script(asked: Asked) -> Reply | None:
        return Reply(413, b"too big") if len(asked.uuids) > 3 or event(5)["uuid"] in asked.uuids else None

    with CaptureServer(script) as server:
        report = run(server.url, tmp_path, events(20))
        assert set(server.uuids()) == {row["uuid"] for row in events(20)} - {event(5)["uuid"]}
    assert report.drop_reasons == {"HTTP 413: too big": 1}


def test_a_request_that_is_refused_whatever_is_in_it_does_not_drop_the_day(tmp_path: Path) -> None:
    with CaptureServer(lambda asked: Reply(400, b"bad created_at")) as server:
        with pytest.raises(Refused, match="refuses every event"):
            run(server.url, tmp_path, events(40), batch_events=40)
        assert len(server.requests) < 30


def test_what_is_accepted_of_a_batch_that_is_halved_is_recorded_at_once(tmp_path: Path) -> None:
    on_record: list[int] = []

    def script(asked: Asked) -> Reply | None:
        if len(asked.uuids) > 2:
            return Reply(413, b"too big")
        # A single one shows that PostHog takes events at all.
        if len(asked.uuids) == 2:
            ledger = Ledger(Store(str(tmp_path), "small"), "2024-03-01")
            on_record.append(int(ledger.load().acknowledged.sum()))
        return None

    with CaptureServer(script) as server:
        report = run(server.url, tmp_path, events(16), batch_events=16)
        assert (report.acknowledged, report.owed, len(set(server.uuids()))) == (16, 0, 16)
        assert report.requests == len(server.requests)
    # Of the pairs that were taken before, the last one may still be on its way to the disk.
    assert len(on_record) == 8
    assert all(found >= 2 * (number - 1) for number, found in enumerate(on_record))
    rows = Ledger(Store(str(tmp_path), "small"), "2024-03-01").facts()
    assert [row["events"] for row in rows] == [2] * 8
    assert sum(int(str(row["requests"])) for row in rows) == report.requests


def test_events_of_a_half_that_are_to_be_sent_again_are_sent_again(tmp_path: Path) -> None:
    rows, asked_for = events(8), 0

    def script(asked: Asked) -> Reply | None:
        nonlocal asked_for
        if len(asked.uuids) > 4:
            return Reply(413, b"too big")
        asked_for += rows[1]["uuid"] in asked.uuids
        again: dict[str, dict[str, str] | None] = {rows[1]["uuid"]: {"result": "retry", "details": "not_persisted"}}
        return Reply(verdicts=again) if asked_for == 1 and rows[1]["uuid"] in asked.uuids else None

    with CaptureServer(script) as server:
        report = run(server.url, tmp_path, rows, batch_events=8)
        assert set(server.uuids()) == {row["uuid"] for row in rows}
    assert (report.acknowledged, report.owed, asked_for) == (8, 0, 2)


def test_verdicts_are_taken_event_by_event(tmp_path: Path) -> None:
    rows = events(10)
    script = misbehave_once(
        Reply(
            verdicts={
                rows[0]["uuid"]: {"result": "warning", "details": "person_processing_disabled"},
                rows[1]["uuid"]: {"result": "drop", "details": "event_restriction_drop"},
                rows[2]["uuid"]: {"result": "retry", "details": "not_persisted"},
                rows[3]["uuid"]: None,
            }
        )
    )
    with CaptureServer(script) as server:
        report = run(server.url, tmp_path, rows)
        assert len(server.requests) == 2
    assert (report.acknowledged, report.warnings, report.dropped, report.owed) == (9, 1, 1, 0)
    assert report.drop_reasons == {"event_restriction_drop": 1}


def test_a_billing_limit_stops_and_the_events_stay_owed(tmp_path: Path) -> None:
    verdicts = {row["uuid"]: {"result": "drop", "details": "billing_limit_exceeded"} for row in events(10)[4:]}
    report = DeliveryReport()
    with CaptureServer(lambda asked: Reply(verdicts=verdicts)) as server:
        with pytest.raises(Refused, match="billing limit"):
            run(server.url, tmp_path, events(30), report)
    assert (report.acknowledged, report.dropped, report.owed) == (4, 0, 26)
    with CaptureServer() as server:
        assert run(server.url, tmp_path, events(30)).sent == 26


def test_the_ledger_adds_up_and_holds_no_secret(tmp_path: Path) -> None:
    with CaptureServer() as server:
        report = run(server.url, tmp_path, events(60))
    rows = Ledger(Store(str(tmp_path), "small"), "2024-03-01").facts()
    assert [row["number"] for row in rows] == list(range(1, 7))
    assert sum(int(str(row["acknowledged"])) for row in rows) == report.acknowledged == 60
    assert sum(int(str(row["sent_bytes"])) for row in rows) == report.sent_bytes
    for path in tmp_path.glob("**/*.parquet"):
        assert KEY.encode() not in path.read_bytes()


def test_a_lost_batch_file_means_exactly_its_events_again(tmp_path: Path) -> None:
    with CaptureServer() as server:
        run(server.url, tmp_path, events(40))
        lost = sorted((tmp_path / "small/imported_batches/2024-03-01/batches").iterdir())[1]
        lost.unlink()
        before = len(server.requests)
        run(server.url, tmp_path, events(40))
        assert [asked.uuids for asked in server.requests[before:]] == [[row["uuid"] for row in events(20)[10:]]]


def test_a_rate_is_kept(tmp_path: Path) -> None:
    with CaptureServer() as server:
        began = time.monotonic()
        run(server.url, tmp_path, events(40), max_events_per_second=40)
        assert time.monotonic() - began > 0.7


REPLIES = st.sampled_from(
    ["ok", "ok", "ok", "500", "close", "close before", "429", "html", "413", "retry", "absent", "drop"]
)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    script=st.lists(REPLIES, max_size=25),
    seed=st.integers(0, 10**6),
    protocol=st.sampled_from(["v1", "batch"]),
    concurrency=st.sampled_from([1, 3]),
)
def test_whatever_the_server_does_everything_is_stored_or_reported(
    script: list[str], seed: int, protocol: str, concurrency: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    left, chance = list(script), random.Random(seed)
    rows = events(60)
    dropped: set[str] = set()

    def misbehave(asked: Asked) -> Reply | None:
        what = left.pop(0) if left else "ok"
        one = chance.choice(asked.uuids)
        v1 = asked.path.startswith("/i/v1")
        match what:
            case "500":
                return Reply(500)
            case "close":
                return Reply(None)
            case "close before":
                return Reply(None, take=False)
            case "429":
                return Reply(429, headers={"Retry-After": "0"})
            case "html":
                return Reply(200, b"<html>")
            case "413" if len(asked.uuids) > 1:
                return Reply(413)
            case "retry" if v1:
                return Reply(verdicts={one: {"result": "retry"}})
            case "absent" if v1:
                return Reply(verdicts={one: None})
            case "drop" if v1:
                stored = {event["uuid"] for event in server.stored}
                if one not in stored:
                    dropped.add(one)
                    return Reply(verdicts={one: {"result": "drop", "details": "rejected"}})
        return None

    folder = tmp_path_factory.mktemp("random")
    with CaptureServer(misbehave) as server:
        report = run(server.url, folder, rows, protocol=protocol, concurrency=concurrency)
        stored = {event["uuid"] for event in server.stored}
    assert stored | dropped == {row["uuid"] for row in rows}
    assert report.events == 60 == report.acknowledged + report.dropped + report.owed
    assert (report.owed, report.dropped) == (0, len(dropped - stored))


CHILD = """
import sys
from pathlib import Path
from posthog_assets_tests.destination.test_delivery import events, run
run(sys.argv[1], Path(sys.argv[2]), events(2000), batch_events=20, concurrency=int(sys.argv[3]))
"""


@pytest.mark.parametrize(("concurrency", "retried"), [(1, 0.0), (3, 0.02)])
@pytest.mark.end_to_end
def test_a_process_killed_at_any_moment_loses_nothing_and_repeats_little(
    concurrency: int, retried: float, tmp_path: Path
) -> None:
    chance, verdicts = random.Random(7), random.Random(8)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    kills = 6

    def script(asked: Asked) -> Reply:
        again = {uuid: {"result": "retry"} for uuid in asked.uuids if verdicts.random() < retried}
        return Reply(delay=0.01, verdicts=again)

    with CaptureServer(script) as server:
        for kill in range(kills):
            before = len(server.requests)
            # The last one comes late enough for something to be on record, however slow the machine is.
            enough = 14 if kill == kills - 1 else chance.randint(1, 14)
            command = [sys.executable, "-c", CHILD, server.url, str(tmp_path), str(concurrency)]
            child = subprocess.Popen(command, env=environment)
            while len(server.requests) < before + enough and child.poll() is None:
                time.sleep(0.002)
            time.sleep(chance.random() / 50)
            child.send_signal(signal.SIGKILL)
            child.wait()
        report = run(server.url, tmp_path, events(2_000), batch_events=20, concurrency=concurrency)
        counts = Counter(server.uuids())
        assert set(counts) == {row["uuid"] for row in events(2_000)}
        # In each lane at most one batch in flight and one that was answered and not yet written.
        assert sum(counts.values()) - 2_000 <= kills * concurrency * 2 * 20
        assert len({(e["uuid"], e["event"], e["distinct_id"], e["timestamp"]) for e in server.stored}) == 2_000
    assert (report.acknowledged, report.owed) == (2_000, 0)
    assert report.already_acknowledged > 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"host": None, "project_api_key": KEY}, "destination.host is empty"),
        ({"host": "https://eu.i.posthog.com", "project_api_key": None}, "project_api_key is empty"),
        ({"host": "https://eu.i.posthog.com", "project_api_key": "phx_personal"}, "is a personal key"),
        ({"host": "https://eu.i.posthog.com", "project_api_key": "phc_ü"}, "cannot be a project key"),
    ],
)
def test_a_wrong_destination_is_explained_without_its_key(settings: dict[str, Any], words: str, tmp_path: Path) -> None:
    destination = Destination.model_validate(settings)
    assert "phx_personal" not in repr(destination)
    assert KEY not in repr(destination)
    with pytest.raises(ImportFileError, match=words):
        deliver(
            destination,
            Ledger(Store(str(tmp_path), "small"), "2024-03-01"),
            lambda columns, names=None: [pa.RecordBatch.from_pylist(events(1), schema=POSTHOG_EVENTS)],
        )


@pytest.mark.parametrize(
    "host",
    [
        "https://app.posthog.com", "https://us.posthog.com", "https://eu.posthog.com", "https://us.i.posthog.com",
        "https://eu.i.posthog.com", "https://posthog.com", "https://posthog.example.org", "http://eu.posthog.com",
        "https://app.posthog.com:8443", "https://app.posthog.com.example.org", "http://127.0.0.1:8010",
        "https://EU.posthog.com",
    ],
)  # fmt: skip
def test_events_go_to_the_host_that_the_official_sdk_would_send_them_to(host: str) -> None:
    assert Destination(host=host).ingestion_host() == determine_server_host(host)


def test_the_app_answers_queries_on_another_host_than_the_one_that_takes_events() -> None:
    assert Destination(host="https://us.posthog.com").ingestion_host() == "https://us.i.posthog.com"
    assert Destination(host="https://eu.i.posthog.com/").app_host() == "https://eu.posthog.com"
    assert Destination(host="http://localhost:8010").app_host() == "http://localhost:8010"


def test_bodies_are_json_whatever_is_in_names_and_ids(tmp_path: Path) -> None:
    odd = [event(0, event='say "x"\\\n', distinct_id='a"b\\c\td'), event(1, event="ü", distinct_id="\u2028")]
    with CaptureServer() as server:
        run(server.url, tmp_path, odd)
        assert [(e["event"], e["distinct_id"]) for e in server.stored] == [
            (row["event"], row["distinct_id"]) for row in odd
        ]


def test_special_properties_move_where_the_official_sdk_moves_them(tmp_path: Path) -> None:
    from posthog.capture_v1 import _to_v1_event

    properties = {
        "$session_id": "s", "$window_id": "w", "$process_person_profile": False, "$product_tour_id": 5, "$os": "iOS",
        "$set": {"a": 1}, "my$session_id": "stays",
    }  # fmt: skip
    row = event(0, properties=json.dumps(properties))
    with CaptureServer() as server:
        run(server.url, tmp_path, [row, event(1)])
        sent = server.stored[0]
    message = {k: row[k] for k in ("event", "uuid", "distinct_id")} | {
        "timestamp": row["timestamp"].isoformat(),
        "properties": properties,
    }
    theirs = _to_v1_event(message)
    theirs["options"]["disable_skew_correction"] = True
    assert sent | {"timestamp": None} == theirs | {"timestamp": None}
    assert datetime.fromisoformat(sent["timestamp"]) == datetime.fromisoformat(theirs["timestamp"])


FULL_DISK = """
import resource, sys
from pathlib import Path
from posthog_assets.core.errors import StorageError
from posthog_assets_tests.destination.test_delivery import events, run
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    run(sys.argv[1], Path(sys.argv[2]), events(200), batch_events=40)
except StorageError as error:
    print(error)
    sys.exit(7)
"""


def test_a_storage_without_room_stops_in_a_sentence_and_the_next_run_goes_on(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with CaptureServer() as server:
        command = [sys.executable, "-c", FULL_DISK, server.url, str(tmp_path), "1000"]
        child = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert (child.returncode, "make room, then run this again" in child.stdout) == (7, True), child.stderr
        assert not list(tmp_path.glob("**/.tmp-*"))
        report = run(server.url, tmp_path, events(200), batch_events=40)
        assert (report.acknowledged, report.owed) == (200, 0)
        assert set(server.uuids()) == {row["uuid"] for row in events(200)}
        # Sent twice is at most what was in flight when the disk was full: two batches.
        assert len(server.uuids()) <= 280


def test_a_server_that_repeats_the_key_does_not_bring_it_into_a_message(tmp_path: Path) -> None:
    with CaptureServer(lambda asked: Reply(401, f"unknown key {KEY}".encode())) as server:
        with pytest.raises(Refused, match=r"unknown key \(the key\)"):
            run(server.url, tmp_path, events(3))


def test_an_answer_without_end_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from posthog_assets.destination import client

    monkeypatch.setattr(client, "_ANSWER_BYTES", 1_000)
    with CaptureServer(misbehave_once(Reply(200, b"[" * 50_000_000))) as server:
        began = time.monotonic()
        assert run(server.url, tmp_path, events(3)).acknowledged == 3
        assert time.monotonic() - began < 5


def test_a_result_under_another_uuid_acknowledges_nothing(tmp_path: Path) -> None:
    foreign = {str(uuid.uuid4()): {"result": "ok"} for _ in range(5)}
    answer = Reply(200, orjson.dumps({"results": foreign}), take=False)
    with CaptureServer(misbehave_once(answer)) as server:
        report = run(server.url, tmp_path, events(5))
        assert [len(asked.uuids) for asked in server.requests] == [5, 5]
        assert (report.acknowledged, len(server.stored)) == (5, 5)


def test_events_younger_than_48_hours_are_counted_and_held_back_where_wished(tmp_path: Path) -> None:
    now = START + timedelta(hours=48, seconds=30)
    batch = pa.RecordBatch.from_pylist(events(60), schema=POSTHOG_EVENTS)
    with CaptureServer() as server:
        for option, sent in (("hold_back", 31), ("send", 60)):
            destination = Destination.model_validate(
                {"host": server.url, "project_api_key": KEY, "recent_events": option}
            )
            ledger = Ledger(Store(str(tmp_path), "small"), "2024-03-01")
            report = deliver(destination, ledger, lambda columns, names=None: [batch], now=now)
            assert (report.acknowledged, report.recent, report.held_back) == (sent, 29, 60 - sent)
        assert len(server.uuids()) == 60


def test_without_the_historical_flag_it_is_not_sent(tmp_path: Path) -> None:
    with CaptureServer() as server:
        for protocol in ("v1", "batch"):
            run(server.url, tmp_path / protocol, events(2), protocol=protocol, historical_migration=False)
        assert ["historical_migration" in asked.body for asked in server.requests] == [False, False]


@pytest.mark.parametrize("mode", ["v1", "batch"])
def test_what_is_sent_is_what_the_official_sdk_sends(mode: str, tmp_path: Path) -> None:
    """The same event through both: no difference but those wanted, each of them named here."""
    from posthog import Posthog

    row = event(0, properties='{"$os":"iOS","$session_id":"s","price":1.5,"note":"ü","$set":{"plan":"pro"}}')
    with CaptureServer() as server:
        sdk = Posthog(
            KEY, host=server.url, historical_migration=True, capture_mode="v1" if mode == "v1" else "v0", max_retries=0
        )
        sdk.capture(
            "edit", distinct_id="user-0", properties=json.loads(row["properties"]), timestamp=row["timestamp"],
            uuid=row["uuid"],
        )  # fmt: skip
        sdk.shutdown()
        run(server.url, tmp_path, [row], protocol=mode)
        theirs, ours = server.requests
    assert theirs.path == ours.path
    assert theirs.body["historical_migration"] is ours.body["historical_migration"] is True
    # No sent_at: it would move the timestamps.
    assert set(theirs.body) - set(ours.body) == ({"sent_at"} if mode == "batch" else set())
    (their_event,), (our_event,) = theirs.body["batch"], ours.body["batch"]
    assert datetime.fromisoformat(our_event.pop("timestamp")) == datetime.fromisoformat(their_event.pop("timestamp"))
    their_properties, our_properties = their_event.pop("properties"), our_event.pop("properties")
    added = {"$lib", "$lib_version", "$python_runtime", "$python_version", "$os_version", "$os_distro", "$is_server"}
    assert set(their_properties) - set(our_properties) <= added | {"$geoip_disable"}
    assert set(our_properties) <= set(their_properties)
    changed = {key for key in our_properties if their_properties[key] != our_properties[key]}
    # The machine's own system in place of the event's: why the SDK's queue is not used for history.
    assert changed == {"$os"}
    if mode == "v1":
        assert our_event.pop("options") == their_event.pop("options", {}) | {"disable_skew_correction": True}
    assert our_event.items() <= their_event.items()
    assert {key: value for key, value in their_event.items() if key not in our_event} in (
        {},
        {"library": "posthog-python"},
    )


def test_special_headers_are_those_of_the_official_sdk(tmp_path: Path) -> None:
    from posthog import Posthog

    with CaptureServer() as server:
        sdk = Posthog(KEY, host=server.url, capture_mode="v1", max_retries=0)
        sdk.capture("edit", distinct_id="u")
        sdk.shutdown()
        run(server.url, tmp_path, events(1))
        theirs, ours = ({name.lower() for name in asked.headers} for asked in server.requests)
    assert {name for name in theirs if name.startswith("posthog-")} <= ours
    assert "authorization" in ours & theirs
