"""A clock that cannot be true counts as absent where there is another."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from posthog_assets.core.instants import Window
from posthog_assets.core.records import RecordChunk
from posthog_assets.dialects import load_dialect
from posthog_assets.dialects.notes import notes_of

WINDOW = Window.of(date(2024, 3, 1), datetime(2024, 3, 5, tzinfo=UTC))
GOOD = "2024-03-01T10:00:00Z"
TRACK = {"type": "track", "event": "e", "userId": "a", "messageId": "1"}
AMPLITUDE = {"uuid": "1", "event_type": "e", "user_id": "a"}
SNOWPLOW = {"event_id": "1", "event": "struct", "se_action": "e", "user_id": "a"}


def staged(name: str, record: dict[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    batch = load_dialect({"type": name}).within(WINDOW).stage(RecordChunk([1], [dict(record)]), "part")
    return batch.to_pylist()[0], notes_of(batch.schema.metadata).remarks


@pytest.mark.parametrize("wrong", ["2031-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "10013-01-01 00:00:00", "soon", "0"])
@pytest.mark.parametrize(
    ("name", "record", "wrong_ones", "good"),
    [
        ("amplitude", AMPLITUDE, ["event_time", "client_event_time"], "server_received_time"),
        ("amplitude", AMPLITUDE, ["event_time"], "client_event_time"),
        ("snowplow", SNOWPLOW, ["derived_tstamp"], "collector_tstamp"),
        ("segment", TRACK, ["timestamp", "originalTimestamp"], "receivedAt"),
        ("segment", TRACK, ["timestamp"], "originalTimestamp"),
        ("rudderstack", TRACK, ["originalTimestamp"], "receivedAt"),
    ],
)
def test_a_clock_that_cannot_be_true_gives_way_to_the_next_and_is_counted(
    name: str, record: dict[str, Any], wrong_ones: list[str], good: str, wrong: str
) -> None:
    row, remarks = staged(name, record | dict.fromkeys(wrong_ones, wrong) | {good: GOOD})
    assert (row["timestamp"], row["reject_reason"]) == (datetime(2024, 3, 1, 10, tzinfo=UTC), None)
    assert remarks == {f"timestamp_from {good}: the clock before it cannot be read, or cannot be true": 1}


def test_where_no_clock_can_be_true_the_first_one_says_why() -> None:
    row, remarks = staged("amplitude", AMPLITUDE | {"event_time": "soon", "client_event_time": "2031-01-01"})
    assert row["reject_reason"] == "timestamp cannot be read: 'soon'"
    row, _ = staged("amplitude", AMPLITUDE | {"event_time": "2031-01-01", "client_event_time": "soon"})
    assert row["timestamp"] == datetime(2031, 1, 1, tzinfo=UTC)
    assert remarks == {}


def test_clocks_that_can_be_true_are_left_alone() -> None:
    row, remarks = staged("amplitude", AMPLITUDE | {"event_time": GOOD, "server_received_time": "2024-03-02"})
    assert (row["timestamp"], remarks) == (datetime(2024, 3, 1, 10, tzinfo=UTC), {})
