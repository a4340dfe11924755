"""What an event knows of all of history, by facts that are given."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pyarrow as pa

from posthog_assets.core.schemas import DAY_FACTS, POSTHOG_EVENTS, STAGED_EVENTS
from posthog_assets.mapping import Mapping
from posthog_assets.mapping.history import FirstEvents, HistoryWriter
from posthog_assets_tests.mapping.test_mapping import NOON, row

FACTS = pa.Table.from_pylist(
    [
        {"event": "buy", "source_id": "1", "is_first": True, "gap": None},
        {"event": "buy", "source_id": "2", "is_first": False, "gap": 1_500_400},
        {"event": "view", "source_id": "3", "is_first": None, "gap": 60_000_000},
    ],
    schema=DAY_FACTS,
)


def history_of(*rows: dict[str, Any], **asked: list[str]) -> list[dict[str, Any]]:
    writer = HistoryWriter(Mapping.model_validate(asked), FACTS)
    staged = writer.write(pa.RecordBatch.from_pylist(list(rows), schema=STAGED_EVENTS))
    return [json.loads(text) for text in staged["properties"].to_pylist()]


def test_an_event_says_whether_it_is_the_first_and_how_long_the_last_one_is_ago() -> None:
    rows = [row(1, event="buy"), row(2, event="buy"), row(3, event="view")]
    assert history_of(*rows, first_time=["buy"], since_previous=["buy", "view"]) == [
        {"page": "Home", "$is_first_time": True},
        {"page": "Home", "$is_first_time": False, "$seconds_since_previous": 1.5},
        {"page": "Home", "$seconds_since_previous": 60.0},
    ]


def test_an_event_of_another_name_or_without_a_fact_gets_none() -> None:
    rows = [row(1, event="buy"), row(2, event="view"), row(9, event="buy")]
    found = history_of(*rows, first_time=["buy"])
    assert found == [{"page": "Home", "$is_first_time": True}, {"page": "Home"}, {"page": "Home"}]


def test_a_property_of_the_events_own_stays() -> None:
    own = row(2, event="buy", properties='{"$is_first_time":"own"}')
    assert history_of(own, first_time=["buy"]) == [{"$is_first_time": "own", "$seconds_since_previous": 1.5}]


def event(number: int, **changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = dict.fromkeys(POSTHOG_EVENTS.names)
    base |= {
        "uuid": f"00000000-0000-4000-8000-00000000000{number}", "event": "buy", "distinct_id": "ann",
        "timestamp": NOON, "properties": '{"$set":{"plan":"pro"},"n":1,"$set_once":{"source":"ad"}}',
        "source_id": str(number), "raw_part": "p", "raw_line": number,
    }  # fmt: skip
    return base | changes


def with_firsts(*events: dict[str, Any], **mapping: Any) -> list[dict[str, Any]]:
    asked = Mapping.model_validate({"first_events": {"buy": "first bought"}} | mapping)
    made = FirstEvents(asked, FACTS, uuid.NAMESPACE_DNS).add(
        pa.RecordBatch.from_pylist(list(events), schema=POSTHOG_EVENTS)
    )
    return made.to_pylist()


def test_a_first_event_is_followed_by_the_event_that_is_made_of_it() -> None:
    found = with_firsts(event(2), event(1), event(2))
    assert [one["event"] for one in found] == ["buy", "buy", "first bought", "buy"]
    made = found[2]
    assert (made["distinct_id"], made["timestamp"], made["properties"]) == ("ann", NOON, '{"n":1}')
    assert (made["source_id"], made["raw_part"], made["raw_line"]) == (None, None, None)
    # A literal: sent again it must replace itself.
    assert made["uuid"] == "b7fc35f2-082e-5fac-a001-c3934d65afe0"


def test_nothing_is_made_of_a_first_event_that_is_not_sent() -> None:
    assert [one["event"] for one in with_firsts(event(1, reject_reason="odd"))] == ["buy"]


def test_a_first_event_is_known_by_its_new_name_too() -> None:
    found = with_firsts(event(1, event="purchase"), events={"buy": "purchase"})
    assert [one["event"] for one in found] == ["purchase", "first bought"]
