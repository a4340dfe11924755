"""One event that is sent and looked for: what each outcome says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import orjson
import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.destination.canary import CANARY, canary
from posthog_assets.destination.preflight import Finding
from posthog_assets.destination.settings import Destination
from posthog_assets_tests.fakes.capture_server import Asked, CaptureServer, Reply

DAY = date(2021, 7, 21)


def fly(
    capture: Callable[[Asked], Reply | None], counts: list[int] | None = None, **changes: Any
) -> tuple[Finding, list[Asked], list[float]]:
    """Send a canary to a server that answers with *capture*, and whose queries find so many events each."""
    left = iter(counts or [])
    pauses: list[float] = []

    def script(asked: Asked) -> Reply | None:
        if asked.path.endswith("/query/"):
            return Reply(200, orjson.dumps({"results": [[next(left, 0)]]}))
        return capture(asked)

    with CaptureServer(script) as server:
        given = {
            "host": server.url, "project_api_key": "phc_a", "personal_api_key": "phx_a", "project_id": 7,
            "landing_seconds": 5,
        }  # fmt: skip
        found = canary(Destination.model_validate(given | changes), DAY, pause=pauses.append)
    return found, server.requests, pauses


def test_an_event_of_the_day_lands_and_belongs_to_no_person() -> None:
    found, asked, pauses = fly(lambda asked: None, [0, 1])
    assert (found.level, found.words) == ("ok", "an event of 2021-07-21 has landed in project 7")
    (event,) = asked[0].body["batch"]
    assert (event["event"], event["timestamp"]) == (CANARY, "2021-07-21T12:00:00.000000Z")
    assert event["uuid"] == event["distinct_id"]
    assert event["options"]["process_person_profile"] is False
    assert event["properties"] == {"$geoip_disable": True}
    query = asked[1].body["query"]["query"]
    assert f"event = '{CANARY}'" in query
    assert f"distinct_id = '{event['distinct_id']}'" in query
    assert pauses == [1.0]


def test_each_canary_is_another_event() -> None:
    sent = [fly(lambda asked: None, [1])[1][0].uuids for _ in range(2)]
    assert sent[0] != sent[1]


def test_an_event_that_never_lands_is_a_problem_that_says_why() -> None:
    found, asked, _ = fly(lambda asked: None, landing_seconds=0)
    assert found.level == "problem"
    assert "has not landed in project 7 within 0 s: the project key belongs to another project" in found.words
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(401, b'{"error":"unknown key"}'), "PostHog did not take it: unknown key"),
        (Reply(500), "PostHog did not take it: HTTP 500"),
        (Reply(None), "PostHog did not take it: no answer from"),
    ],
)
def test_an_event_that_is_not_taken_is_not_looked_for(reply: Reply, words: str) -> None:
    found, asked, _ = fly(lambda asked: reply)
    assert found.level == "problem"
    assert found.words.startswith(words)
    assert len(asked) == 1


def test_a_drop_is_shown_with_posthogs_words() -> None:
    found, _, _ = fly(
        lambda asked: Reply(verdicts={uuid: {"result": "drop", "details": "too old"} for uuid in asked.uuids})
    )
    assert (found.level, found.words) == ("problem", "PostHog did not take it: too old")


def test_where_v1_is_not_served_the_event_takes_the_way_of_the_batch() -> None:
    found, asked, _ = fly(lambda asked: Reply(404) if "/i/v1" in asked.path else None, [1])
    assert found.level == "ok"
    assert [one.path for one in asked[:2]] == ["/i/v1/analytics/events", "/batch/"]
    found, asked, _ = fly(lambda asked: None, [1], protocol="batch")
    assert (found.level, asked[0].path) == ("ok", "/batch/")


def test_without_a_key_to_look_with_nothing_is_sent() -> None:
    with CaptureServer() as server:
        given = {"host": server.url, "project_api_key": "phc_a"}
        with pytest.raises(ImportFileError, match="personal_api_key"):
            canary(Destination.model_validate(given), DAY)
    assert server.requests == []
