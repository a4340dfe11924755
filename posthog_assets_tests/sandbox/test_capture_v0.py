"""One answer for the whole request of an older endpoint."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from posthog_assets.sandbox.bodies import BodyRefused
from posthog_assets.sandbox.capture_v0 import take
from posthog_assets.sandbox.store import Row

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
EVENT = {"event": "e", "distinct_id": "ann", "api_key": "phc_a"}


def taken(content: Any) -> tuple[str, list[Row], bool]:
    return take(json.dumps(content).encode(), NOW, None)


@pytest.mark.parametrize(
    "content",
    [
        EVENT, [EVENT], {"batch": [{"event": "e", "distinct_id": "ann"}], "api_key": "phc_a"},
        {"event": "e", "properties": {"token": "phc_a", "distinct_id": "ann"}},
    ],
)  # fmt: skip
def test_an_event_stands_alone_in_a_list_or_in_a_batch(content: Any) -> None:
    key, (row,), too_large = taken(content)
    assert (key, row.event, row.distinct_id, too_large) == ("phc_a", "e", "ann", False)


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        ([EVENT, EVENT | {"api_key": "phc_b"}], 401, "inconsistent tokens"),
        ({"event": "e", "distinct_id": "ann"}, 401, "without an api_key"),
        (EVENT | {"api_key": "phx_a"}, 401, "personal_api_key"),
        ([], 400, "no event"), (5, 400, "expected an event"), (EVENT | {"event": ""}, 400, "empty event name"),
        (EVENT | {"distinct_id": None}, 400, "without a distinct_id"), (EVENT | {"uuid": "x"}, 400, "invalid uuid"),
        (EVENT | {"$set": [1]}, 400, "$set is not an object"), (EVENT | {"offset": True}, 400, "offset"),
    ],
)  # fmt: skip
def test_one_bad_event_refuses_the_request(content: Any, status: int, words: str) -> None:
    with pytest.raises(BodyRefused) as refused:
        taken(content)
    assert refused.value.status == status
    assert words in refused.value.words


def test_what_stands_beside_the_properties_becomes_one() -> None:
    _, (row,), _ = taken(EVENT | {"$set": {"plan": "pro"}, "properties": {"n": 1}})
    assert json.loads(row.properties) == {"n": 1, "$set": {"plan": "pro"}}


def test_events_before_one_that_is_too_large_are_taken() -> None:
    large = EVENT | {"properties": {"text": "x" * 1_000_000}}
    _, rows, too_large = taken([EVENT, large, EVENT])
    assert (len(rows), too_large) == (1, True)
