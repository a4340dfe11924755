"""One question to PostHog's query API, and each way in which it is not answered."""

from __future__ import annotations

import re

import pytest

from posthog_assets.core.errors import ImportFileError, LookUnavailable, VerificationError
from posthog_assets.destination.query_client import QueryClient
from posthog_assets.destination.settings import Destination
from posthog_assets_tests.fakes.capture_server import CaptureServer, Reply

KEY = "phx_verysecretkey"


def client(url: str, **changes: object) -> QueryClient:
    given = {"host": url, "personal_api_key": KEY, "project_id": 7, "timeout_seconds": 5}
    return QueryClient(Destination.model_validate(given | changes))


def test_a_query_is_asked_with_the_personal_key_and_never_answered_from_a_cache() -> None:
    body = b'{"results":[["a",1]],"hogql":"SELECT event, count() FROM events LIMIT 100"}'
    with CaptureServer(lambda asked: Reply(200, body)) as server:
        answer = client(server.url).ask("SELECT 1")
    assert (answer.rows, answer.is_all) == ([["a", 1]], True)
    asked = server.requests[0]
    assert asked.path == "/api/projects/7/query/"
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.body == {"query": {"kind": "HogQLQuery", "query": "SELECT 1"}, "refresh": "force_blocking"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 302])
def test_a_refusal_is_an_error_at_once_and_does_not_repeat_the_key(status: int) -> None:
    with (
        CaptureServer(lambda asked: Reply(status, f'{{"detail":"{KEY} is wrong"}}'.encode())) as server,
        pytest.raises(VerificationError, match=f"refused a look .HTTP {status}: .the key. is wrong") as raised,
    ):
        client(server.url).ask("SELECT 1")
    assert not isinstance(raised.value, LookUnavailable)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("reply", "seconds", "words"),
    [
        (Reply(429, b"", {"Retry-After": "40"}), 40.0, "HTTP 429"),
        (Reply(500, b"oh no"), None, "HTTP 500: oh no"),
        (Reply(None), None, "no answer: "),
    ],
)
def test_a_server_that_does_not_answer_may_be_asked_later(reply: Reply, seconds: float | None, words: str) -> None:
    with CaptureServer(lambda asked: reply) as server, pytest.raises(LookUnavailable, match=words) as raised:
        client(server.url).ask("SELECT 1", tries=1)
    assert raised.value.temporary
    assert raised.value.retry_after == seconds


@pytest.mark.parametrize("body", [b"", b"[]", b'{"results":null}', b'{"results":[1]}', b"<html>"])
def test_an_answer_without_rows_is_an_error_and_never_an_empty_result(body: bytes) -> None:
    with (
        CaptureServer(lambda asked: Reply(200, body)) as server,
        pytest.raises(VerificationError, match="without results"),
    ):
        client(server.url).ask("SELECT 1")


def test_the_settings_of_the_project_are_read_where_the_key_may() -> None:
    replies = {
        "good": Reply(200, b'{"id":7}'), "hidden": Reply(403), "expired": Reply(401), "gone": Reply(404, b"gone"),
        "list": Reply(200, b"[]"), "silent": Reply(None),
    }  # fmt: skip
    state = ["good"]
    with CaptureServer(lambda asked: replies[state[0]]) as server:
        asker = client(server.url)
        assert asker.project() == {"id": 7}
        assert server.requests[0].path == "/api/projects/7/"
        for state[0] in ("hidden", "expired"):
            assert asker.project() is None
        for state[0], words in (("gone", "answers HTTP 404: gone"), ("list", "HTTP 200"), ("silent", "did not answer")):
            with pytest.raises(VerificationError, match=re.escape(words)):
                asker.project()


@pytest.mark.parametrize("changes", [{"personal_api_key": ""}, {"project_id": None}, {"project_id": "7/../8"}])
def test_without_key_and_project_nothing_is_asked(changes: dict[str, object]) -> None:
    with pytest.raises(ImportFileError, match="project_id"):
        client("http://127.0.0.1:1", **changes)
