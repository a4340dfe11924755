"""Requests to one project's API: what is asked again, after which pause, and what it means that there is no answer."""

from __future__ import annotations

import time

import pytest

from posthog_assets.core.errors import ImportFileError, KeyRefused, LookUnavailable, VerificationError
from posthog_assets.destination.project_requests import Outcome, ProjectRequests
from posthog_assets.destination.settings import Destination
from posthog_assets_tests.destination.test_project_api import KEY, client
from posthog_assets_tests.fakes.capture_server import CaptureServer, Reply


@pytest.mark.parametrize(
    ("status", "good", "refusal", "of_key"),
    [
        (None, False, False, False),
        (200, True, False, False),
        (299, True, False, False),
        (302, False, True, False),
        (401, False, True, True),
        (403, False, True, True),
        (404, False, True, False),
        (429, False, False, False),
        (500, False, False, False),
    ],
)
def test_an_answer_is_good_or_final_or_to_be_asked_for_again(
    status: int | None, good: bool, refusal: bool, of_key: bool
) -> None:
    outcome = Outcome(status, b"", "what it says")
    assert (outcome.is_good, outcome.is_refusal, outcome.is_of_key) == (good, refusal, of_key)


def test_the_error_says_who_can_do_something_about_it() -> None:
    refused = Outcome(404, b"", "HTTP 404: no").error("PostHog", " the look", "the key is wrong")
    assert (type(refused), str(refused)) == (VerificationError, "PostHog refused the look (HTTP 404: no)")
    of_key = Outcome(403, b"", "HTTP 403").error("PostHog", "", "the key is wrong")
    assert (type(of_key), str(of_key)) == (KeyRefused, "the key is wrong")
    later = Outcome(429, b"", "HTTP 429", retry_after=40.0).error("PostHog", "", "the key is wrong")
    assert (type(later), later.retry_after) == (LookUnavailable, 40.0)


def test_a_request_goes_to_the_project_with_the_key_and_what_its_answer_repeats_of_it_is_hidden() -> None:
    destination = Destination.model_validate({"personal_api_key": KEY, "project_id": 7, "timeout_seconds": 5})
    with CaptureServer(lambda asked: Reply(302, KEY.encode(), {"Location": "/elsewhere"})) as server:
        requests = ProjectRequests(destination.model_copy(update={"host": server.url}))
        outcome = requests.ask("POST", f"{requests.base}/query/", {"a": 1}, tries=3, longest_pause=0, only_reads=True)
    assert (outcome.status, outcome.said) == (302, "HTTP 302: (the key)")
    (asked,) = server.requests
    assert (asked.path, asked.headers["Authorization"], asked.body) == (
        "/api/projects/7/query/", f"Bearer {KEY}", {"a": 1},
    )  # fmt: skip


def test_without_a_key_no_connection_is_opened() -> None:
    with pytest.raises(ImportFileError, match="personal_api_key"):
        ProjectRequests(Destination.model_validate({"host": "http://127.0.0.1:9", "project_id": 7}))


def test_only_a_request_that_was_certainly_not_carried_out_is_repeated_unless_it_only_reads() -> None:
    for method, reply, requests in (
        ("POST", Reply(500), 1), ("POST", Reply(None), 1), ("POST", Reply(429), 2), ("GET", Reply(500), 2),
        ("GET", Reply(None), 2),
    ):  # fmt: skip
        pauses: list[float] = []
        with CaptureServer(lambda asked, reply=reply: reply) as server:  # type: ignore[misc]
            with pytest.raises(LookUnavailable):
                client(server.url, tries=2, pause=pauses.append).ask(method, "annotations/", "annotation:write", None)
            assert len(server.requests) == requests, (method, reply)
        # A second before the second one.
        assert [round(seconds) for seconds in pauses] == [1] * (requests - 1)


def test_there_is_no_pause_after_the_last_try() -> None:
    with CaptureServer(lambda asked: Reply(429, b"", {"Retry-After": "40"})) as server:
        began = time.monotonic()
        with pytest.raises(LookUnavailable, match="HTTP 429") as raised:
            client(server.url).ask("GET", "annotations/", "annotation:read")
    assert (raised.value.retry_after, time.monotonic() - began < 1) == (40.0, True)
