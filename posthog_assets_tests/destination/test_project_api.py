"""Entries of a project's REST API: pages, scopes, and what is asked again."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from posthog_assets.core.errors import LookUnavailable, VerificationError
from posthog_assets.destination.project_api import ProjectApi
from posthog_assets.destination.settings import Destination
from posthog_assets_tests.fakes.capture_server import CaptureServer, Reply

KEY = "phx_verysecretkey"


def client(url: str, tries: int = 1, pause: Callable[[float], None] = time.sleep) -> ProjectApi:
    given = {"host": url, "personal_api_key": KEY, "project_id": 7, "timeout_seconds": 5}
    return ProjectApi(Destination.model_validate(given), tries, pause)


def test_pages_are_read_to_the_last_one_with_the_personal_key() -> None:
    pages = [b'{"results":[{"id":1},{"id":2}],"next":"there is more"}', b'{"results":[{"id":3}],"next":null}']
    with CaptureServer(lambda asked: Reply(200, pages[len(server.requests) - 1])) as server:
        found = list(client(server.url).entries("annotations", "annotation:read", search="a b"))
    assert [entry["id"] for entry in found] == [1, 2, 3]
    assert [asked.path for asked in server.requests] == [
        "/api/projects/7/annotations/?search=a+b&limit=200&offset=0",
        "/api/projects/7/annotations/?search=a+b&limit=200&offset=200",
    ]
    assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_the_scope_that_it_lacks_and_is_not_shown(status: int) -> None:
    with (
        CaptureServer(lambda asked: Reply(status, KEY.encode())) as server,
        pytest.raises(VerificationError, match="needs the scope cohort:write .HTTP 40[13]: .the key.") as raised,
    ):
        client(server.url).ask("POST", "cohorts/", "cohort:write", {"name": "a"})
    assert not isinstance(raised.value, LookUnavailable)
    assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"[]", b"<html>", b"1"])
def test_an_answer_that_is_no_object_is_an_error(body: bytes) -> None:
    with (
        CaptureServer(lambda asked: Reply(200, body)) as server,
        pytest.raises(VerificationError, match="no JSON object"),
    ):
        client(server.url).ask("GET", "annotations/", "annotation:read")
