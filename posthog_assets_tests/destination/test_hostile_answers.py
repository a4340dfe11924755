"""Answers that are slow, odd or endless: each is given up or read in time, and what was delivered is recorded."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from posthog_assets.core.errors import LookUnavailable, Unavailable, VerificationError
from posthog_assets.core.http import backoff, parse_retry_after
from posthog_assets.destination import gate, lane
from posthog_assets.destination.ledger import Ledger
from posthog_assets.destination.query_client import QueryClient
from posthog_assets.destination.report import DeliveryReport
from posthog_assets.destination.settings import Destination
from posthog_assets.storage.store import Store
from posthog_assets_tests.destination.test_delivery import KEY, events, misbehave_once, run
from posthog_assets_tests.fakes.capture_server import Asked, CaptureServer, Reply


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (gate, lane):
        monkeypatch.setattr(module, "backoff", lambda failures: 0.005)


@contextmanager
def raw_server(head: bytes, drip: bytes, seconds: float = 0.05) -> Iterator[str]:
    """A server that answers *head* at once and then *drip* again and again, a byte at a time, for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve(peer: socket.socket) -> None:
        with peer:
            peer.recv(1 << 20)
            try:
                peer.sendall(head)
                while not ended.wait(seconds):
                    peer.sendall(drip)
            except OSError:
                pass

    def accept() -> None:
        while not ended.is_set():
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(peer,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ended.set()
        listener.close()


TRICKLES = {
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x"),
    "headers": (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("where", TRICKLES)
def test_an_answer_that_trickles_is_given_up(where: str, tmp_path: Path) -> None:
    with raw_server(*TRICKLES[where]) as url:
        began = time.monotonic()
        with pytest.raises(Unavailable, match=r"no answer from http://127\.0\.0\.1"):
            run(url, tmp_path, events(3), timeout_seconds=0.3, retry_seconds=0.1)
        assert time.monotonic() - began < 3


@pytest.mark.parametrize("where", TRICKLES)
def test_a_query_whose_answer_trickles_is_given_up(where: str) -> None:
    with raw_server(*TRICKLES[where]) as url:
        client = QueryClient(looking(url, timeout_seconds=0.3))
        began = time.monotonic()
        with pytest.raises(LookUnavailable, match="no answer"):
            client.ask("SELECT 1", tries=1)
        assert time.monotonic() - began < 3


def looking(url: str, **options: object) -> Destination:
    return Destination.model_validate(
        {"host": url, "project_api_key": KEY, "personal_api_key": "phx_personalkey", "project_id": "1"} | options
    )


NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0), (" 3.5 ", 3.5), ("0", 0.0), ("-5", 0.0), ("Sat, 28 Nov 2026 12:00:10 GMT", 10.0),
        ("Sat, 28 Nov 2020 12:00:00 GMT", 0.0), ("nan", None), ("inf", None), ("-inf", None), ("1e200", None),
        ("Sat, 28 Nov 9999 12:00:00 GMT", None), ("Sat, 28 Nov 99999 12:00:00 GMT", None), ("soon", None), ("", None),
        (None, None), ("1" * 5_000, None), ("Sat, 32 Nov 2026 12:00:10 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_a_pause_or_nothing(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize("value", ["0", "-5", "Sat, 28 Nov 2020 12:00:00 GMT", "nan", "1e200"])
@pytest.mark.parametrize("status", [429, 503])
def test_an_empty_request_to_wait_uses_up_the_budget(status: int, value: str, tmp_path: Path) -> None:
    with CaptureServer(lambda asked: Reply(status, headers={"Retry-After": value})) as server:
        with pytest.raises(Unavailable):
            run(server.url, tmp_path, events(3), retry_seconds=0.1)
        assert len(server.requests) < 40


def test_a_server_that_asks_to_wait_again_and_again_is_left_to_a_later_run(tmp_path: Path) -> None:
    with CaptureServer(lambda asked: Reply(429, headers={"Retry-After": "0.001"})) as server:
        with pytest.raises(Unavailable, match=r"100 times in a row.*stay owed"):
            run(server.url, tmp_path, events(3))
        assert len(server.requests) == 101


def test_a_server_that_asks_to_wait_for_hours_is_left_to_a_later_run(tmp_path: Path) -> None:
    with CaptureServer(lambda asked: Reply(429, headers={"Retry-After": "7200"})) as server:
        with pytest.raises(Unavailable, match=r"to wait for 7,200 s") as caught:
            run(server.url, tmp_path, events(3))
    assert caught.value.retry_after == 7200


@pytest.mark.parametrize("value", ["1e200", "Sat, 28 Nov 9999 12:00:00 GMT", "nan"])
def test_what_was_delivered_is_recorded_whatever_the_answer_asks(value: str, tmp_path: Path) -> None:
    owed = {events(1)[0]["uuid"]: {"result": "retry"}}
    with CaptureServer(misbehave_once(Reply(verdicts=owed, headers={"Retry-After": value}))) as server:
        assert run(server.url, tmp_path, events(10)).acknowledged == 10
        assert [len(asked.uuids) for asked in server.requests] == [10, 1]


def test_pauses_begin_at_a_tenth_of_a_second_and_end_at_thirty() -> None:
    pauses = [backoff(failures) for failures in range(80)]
    assert 0.1 <= pauses[0] <= 0.15
    assert all(pause <= 30.0 for pause in pauses)
    assert pauses[-1] == 30.0


@pytest.mark.parametrize("results", [b"5", b'"x"', b"null", b"[5]", b"[null]", b'[{"a": 1}]', b'["abc"]', b"[[1, 2]"])
def test_a_query_answer_that_is_no_list_of_rows_is_said_in_a_sentence(results: bytes) -> None:
    with CaptureServer(lambda asked: Reply(200, b'{"results": ' + results + b"}")) as server:
        with pytest.raises(VerificationError, match="gave an answer without results"):
            QueryClient(looking(server.url)).ask("SELECT 1")


@pytest.mark.parametrize("status", [404, 405])
def test_v1_that_is_denied_once_in_the_middle_is_tried_again(status: int, tmp_path: Path) -> None:
    seen = [0]

    def script(asked: Asked) -> Reply | None:
        seen[0] += 1
        return Reply(status, b"not found") if seen[0] == 3 else None

    with CaptureServer(script) as server:
        report = run(server.url, tmp_path, events(60))
        assert {asked.path for asked in server.requests} == {"/i/v1/analytics/events"}
    assert (report.acknowledged, report.protocol) == (60, "v1")


def test_v1_that_is_gone_for_good_in_the_middle_gives_way_to_batch(tmp_path: Path) -> None:
    seen = [0]

    def script(asked: Asked) -> Reply | None:
        seen[0] += 1
        return Reply(404, b"not found") if seen[0] > 2 and asked.path.startswith("/i/v1") else None

    with CaptureServer(script) as server:
        report = run(server.url, tmp_path, events(60))
        assert [asked.path for asked in server.requests].count("/i/v1/analytics/events") == 6
    assert (report.acknowledged, report.protocol) == (60, "batch")


def test_what_posthog_says_of_an_event_is_cut_when_it_is_read(tmp_path: Path) -> None:
    rows = events(10)
    script = misbehave_once(
        Reply(verdicts={row["uuid"]: {"result": "drop", "details": "x" * 1_000_000} for row in rows[:5]})
    )
    with CaptureServer(script) as server:
        report = run(server.url, tmp_path, rows)
    assert report.drop_reasons == {"x" * 199 + "…": 5}
    assert len(Ledger(Store(str(tmp_path), "small"), "2024-03-01").load().detail(0) or "") in (0, 200)


ECHOES = [
    KEY,
    f'"{KEY}"',
    f"Bearer {KEY}",
    KEY.upper(),
    KEY.removeprefix("phc_"),
    urllib.parse.quote(f"Bearer {KEY}", safe=""),
    "".join(f"%{letter:02X}" for letter in KEY.encode()),
    *(base64.b64encode(before + KEY.encode() + b":x").decode() for before in (b"", b"a", b"ab", b"Bearer ")),
    KEY.encode().hex(),
]


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_a_key_that_is_repeated_in_any_form_is_not_shown(status: int, echo: str, tmp_path: Path) -> None:
    def script(asked: Asked) -> Reply:
        said = {"error": f"bad header [{echo}] in request"}
        dropped = {uuid: {"result": "drop", "details": said["error"]} for uuid in asked.uuids}
        return Reply(status, json.dumps(said if status > 200 else {"results": dropped}).encode(), take=False)

    report = DeliveryReport()
    with CaptureServer(script) as server:
        with pytest.raises(Exception, match=r"(?s)bad header .*\(the key\)") as caught:
            run(server.url, tmp_path, events(2), report, retry_seconds=0.02)
    shown = f"{caught.value} {report}".lower()
    for form in (KEY, KEY.removeprefix("phc_"), echo):
        assert form.lower() not in shown


def test_what_was_not_taken_is_sent_again_as_the_same_request(tmp_path: Path) -> None:
    """PostHog's contract for its clients: the same id and created_at, and the attempt counted up."""
    rows = events(10)
    owed = {row["uuid"]: {"result": "retry"} for row in rows[3:5]}
    with CaptureServer(
        misbehave_once(Reply(verdicts=owed), Reply(503), Reply(verdicts=dict(list(owed.items())[:1])))
    ) as server:
        assert run(server.url, tmp_path, rows).acknowledged == 10
        sent = server.requests
    assert [len(asked.uuids) for asked in sent] == [10, 2, 2, 1]
    assert [asked.headers["PostHog-Attempt"] for asked in sent] == ["1", "2", "3", "4"]
    assert len({asked.headers["PostHog-Request-Id"] for asked in sent}) == 1
    assert len({asked.body["created_at"] for asked in sent}) == 1


def upper(asked: Asked) -> Reply:
    return Reply(200, json.dumps({"results": {uuid.upper(): {"result": "ok"} for uuid in asked.uuids}}).encode())


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b'{"results": []}'), Reply(200, b'{"results": [{"uuid": "x", "result": "ok"}]}'),
        Reply(200, b'{"results": {"a": 5}}'), Reply(200, b'{"results": {"a": null}}'),
        Reply(200, b'{"results": ' + b'{"a":' * 2_000 + b"1" + b"}" * 2_000 + b"}"), Reply(200, b"[" * 100_000),
        Reply(301, headers={"Location": "http://127.0.0.1:9/"}), Reply(200, b'{"resu'),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_acknowledges_nothing(reply: Reply, tmp_path: Path) -> None:
    report = DeliveryReport()
    with CaptureServer(lambda asked: reply) as server:
        with pytest.raises(Exception, match="PostHog"):
            run(server.url, tmp_path, events(5), report, retry_seconds=0.05)
    assert (report.acknowledged, report.dropped, report.owed) == (0, 0, 5)


def test_uuids_in_other_letters_acknowledge_nothing(tmp_path: Path) -> None:
    left = [1]
    with CaptureServer(lambda asked: upper(asked) if left and left.pop() else None) as server:
        assert run(server.url, tmp_path, events(5)).acknowledged == 5
        assert [len(asked.uuids) for asked in server.requests] == [5, 5]


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"results": {',
        b"HTTP/1.1 103 Early\r\n\r\n",
        b"junk\r\n\r\n",
        b"",
    ],
)
def test_bodies_that_are_short_and_old_or_odd_http_acknowledge_nothing(raw: bytes, tmp_path: Path) -> None:
    report = DeliveryReport()
    with raw_server(raw, b"", seconds=60) as url, pytest.raises(Exception, match="PostHog"):
        run(url, tmp_path, events(3), report, retry_seconds=0.05, timeout_seconds=0.2)
    assert (report.acknowledged, report.owed) == (0, 3)
