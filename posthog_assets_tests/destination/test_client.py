"""One request: what it carries, how often it may be sent, and what comes of a server that does not answer."""

from __future__ import annotations

import gzip
import re
import socket
from datetime import UTC, datetime, timedelta

import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.destination.client import CaptureClient, Origin, compressed
from posthog_assets.destination.settings import Destination, Protocol
from posthog_assets.destination.verdicts import Consequence
from posthog_assets_tests.fakes.capture_server import Asked, CaptureServer, Reply

KEY = "phc_verysecretkey"
BODY = b'{"batch":[{"uuid":"u1"}]}'


def client(host: str, key: str = KEY) -> CaptureClient:
    return CaptureClient(Destination.model_validate({"host": host, "project_api_key": key, "timeout_seconds": 5}))


@pytest.mark.parametrize("pieces", [[BODY], [BODY[:5], b"", memoryview(BODY)[5:]], [b"x" * 3_000_000, BODY]])
def test_a_body_in_pieces_is_one_gzip_of_them_and_its_size_is_counted(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    request = compressed(Protocol.V1, pieces, 7)
    assert gzip.decompress(request.body) == whole
    assert (request.raw_bytes, request.events) == (len(whole), 7)
    assert "batch" not in repr(request)


def test_each_batch_has_an_id_of_its_own_and_keeps_it_when_sent_again() -> None:
    origin = Origin()
    first, second = (compressed(Protocol.V1, [BODY], 1, origin) for _ in range(2))
    assert first.request_id == second.request_id == origin.request_id
    assert compressed(Protocol.V1, [BODY], 1).request_id != origin.request_id
    assert origin.created_at.utcoffset() == timedelta(0)


def test_v1_carries_the_key_the_attempt_and_no_version_of_an_sdk() -> None:
    request = compressed(Protocol.V1, [BODY], 1)
    before = datetime.now(UTC)
    with CaptureServer() as server, client(server.url) as sender:
        answers = [sender.send(request) for _ in range(2)]
    assert [(answer.consequence, answer.plain) for answer in answers] == [(Consequence.SETTLED, {"u1"})] * 2
    one, two = server.requests
    assert one.raw == two.raw == request.body
    assert one.path == "/i/v1/analytics/events"
    assert one.headers["Authorization"] == f"Bearer {KEY}"
    assert [asked.headers["PostHog-Attempt"] for asked in (one, two)] == ["1", "2"]
    assert one.headers["PostHog-Request-Id"] == two.headers["PostHog-Request-Id"] == request.request_id
    # A slash and a version would make PostHog write `$lib` over the events' own.
    assert one.headers["PostHog-Sdk-Info"] == "posthog-assets"
    assert (one.headers["Content-Type"], one.headers["Content-Encoding"]) == ("application/json", "gzip")
    assert re.fullmatch(r"posthog-assets/\d+\.\d+.*", one.headers["User-Agent"])
    assert before <= datetime.fromisoformat(one.headers["PostHog-Request-Timestamp"]) <= datetime.now(UTC)


def test_batch_has_its_own_path_and_no_headers_of_v1() -> None:
    with CaptureServer() as server, client(server.url) as sender:
        assert sender.send(compressed(Protocol.BATCH, [BODY], 1)).all_ok
    asked = server.requests[0]
    assert asked.path == "/batch/"
    assert not {name for name in asked.headers if name.startswith("PostHog-")} | ({"Authorization"} & {*asked.headers})


def test_an_answer_is_read_and_the_key_in_it_is_hidden() -> None:
    replies = [
        Reply(429, b"slow down", {"Retry-After": "9"}),
        Reply(401, f"no project has {KEY}".encode()),
        Reply(302, b"", {"Location": "http://127.0.0.1:1/"}),
        Reply(None),
    ]

    def script(asked: Asked) -> Reply:
        return replies[len(server.requests) - 1]

    with CaptureServer(script) as server, client(server.url) as sender:
        request = compressed(Protocol.V1, [BODY], 1)
        waits, refused, moved, silent = (sender.send(request) for _ in replies)
    assert (waits.consequence, waits.retry_after, waits.words) == (Consequence.WAIT, 9.0, "slow down")
    assert (refused.consequence, refused.words) == (Consequence.STOP, "no project has (the key)")
    assert (moved.consequence, moved.status) == (Consequence.STOP, 302)
    assert (silent.consequence, silent.status) == (Consequence.RETRY, None)
    assert silent.words.startswith(f"no answer from {server.url}: ")
    assert request.origin.attempts == 4


def test_where_nobody_listens_the_same_bytes_may_be_sent_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        host = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with client(host) as sender:
        answer = sender.send(compressed(Protocol.V1, [BODY], 1))
    assert (answer.consequence, answer.status) == (Consequence.RETRY, None)
    assert "refused" in answer.words


def test_without_a_key_there_is_no_client() -> None:
    with pytest.raises(ImportFileError, match="project_api_key is empty"):
        client("http://127.0.0.1:1", "  ")
