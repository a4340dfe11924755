"""One staged row becomes one event: its name, its person, PostHog's rules, the user's own function."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from posthog_assets.core.errors import ImportFileError, MappingError
from posthog_assets.core.schemas import STAGED_EVENTS
from posthog_assets.mapping import EventMapper, Mapping
from posthog_assets_tests.mapping.test_mapping import DAY, DIALECT, NOON, map_rows, row


def test_events_are_renamed_or_left_out_and_counted(tmp_path: Path) -> None:
    events, report = map_rows(
        [row(1), row(2, event="beat"), row(3, event="other")], tmp_path, events={"edit": "wiki_edit", "beat": None}
    )
    assert [(event["event"], event["reject_reason"]) for event in events] == [
        ("wiki_edit", None),
        ("beat", "excluded by mapping.events: beat"),
        ("other", None),
    ]
    assert report.reject_reasons == {"excluded by mapping.events": 1}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"user_id": None}, "distinct_id is empty"),
        ({"user_id": "  "}, "distinct_id is empty"),
        ({"user_id": "x" * 201}, "distinct_id is longer than 200 bytes"),
        ({"user_id": "ü" * 101}, "distinct_id is longer than 200 bytes"),
        ({"user_id": "NULL"}, "distinct_id is one PostHog gives no person: 'NULL'"),
        ({"user_id": "[object Object]"}, "distinct_id is one PostHog gives no person"),
        ({"user_id": "a\x00b"}, "distinct_id holds a NUL character"),
        ({"event": "x" * 201}, "event name is longer than 200 bytes"),
        ({"event": ""}, "event name is empty"),
        ({"timestamp": NOON + timedelta(days=2, minutes=1)}, "timestamp lies in the future"),
        ({"properties": '{"a":"' + "x" * 900_000 + '"}'}, "event is larger than 900,000 bytes"),
    ],
)
def test_what_posthog_would_not_take_is_rejected_with_the_reason(
    changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    events, report = map_rows([row(1), row(2, **changes), row(3)], tmp_path)
    by_source = {event["source_id"]: event["reject_reason"] for event in events}
    assert (by_source["1"], by_source["3"]) == (None, None)
    assert by_source["2"].startswith(reason)
    assert (report.rows, report.rejected) == (3, 1)


def test_the_user_id_comes_before_the_anonymous_one_and_is_trimmed(tmp_path: Path) -> None:
    events, _ = map_rows(
        [row(1, user_id=" ann ", anonymous_id="x"), row(2, user_id=None, anonymous_id="y")], tmp_path, identify=False
    )
    assert [event["distinct_id"] for event in events] == ["ann", "y"]


HOOK = """
def clean(frame):
    frame = frame[frame["source_id"] != "2"].copy()
    frame["event"] = frame["event"].str.upper()
    frame["properties"] = [{"page": p["page"].lower()} for p in frame["properties"]]
    return frame

def breaks(frame):
    return frame["no such column"]
"""


def test_a_function_of_ones_own_changes_events_and_loses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_hooks.py").write_text(HOOK)
    monkeypatch.syspath_prepend(tmp_path)
    events, report = map_rows([row(1), row(2), row(3)], tmp_path, transform="my_hooks:clean")
    assert [(e["event"], e["properties"], e["reject_reason"]) for e in events][::2] == [
        ("EDIT", '{"page":"home"}', None)
    ] * 2
    assert events[1]["reject_reason"] == "removed by mapping.transform"
    assert report.rows == 3
    with pytest.raises(MappingError, match="my_hooks:breaks failed: KeyError"):
        map_rows([row(1)], tmp_path, transform="my_hooks:breaks")
    with pytest.raises(ImportFileError, match="my_hooks:gone"):
        map_rows([row(1)], tmp_path, transform="my_hooks:gone")


def mapped(
    *rows: dict[str, Any], since: datetime | None = None, until: datetime | None = None
) -> list[tuple[str, str | None]]:
    mapper = EventMapper(
        Mapping(), "wiki", DIALECT, day=DAY, fetched_at=NOON + timedelta(days=1), since=since, until=until
    )
    events = mapper.map(pa.RecordBatch.from_pylist(list(rows), schema=STAGED_EVENTS)).to_pylist()
    return [(event["source_id"], event["reject_reason"]) for event in events]


def test_events_before_since_and_from_until_on_are_rejected() -> None:
    ten, noon = datetime(2024, 3, 1, 10, tzinfo=UTC), NOON
    micro = timedelta(microseconds=1)
    rows = [
        row(1, timestamp=ten - micro),
        row(2, timestamp=ten),
        row(3, timestamp=noon - micro),
        row(4, timestamp=noon),
    ]
    reasons = dict(mapped(*rows, since=ten, until=noon))
    assert {source: reason is None for source, reason in reasons.items()} == {
        "1": False, "2": True, "3": True, "4": False,
    }  # fmt: skip
    assert dict(mapped(*rows)) == dict.fromkeys("1234")


def test_links_and_states_of_groups_become_events_in_the_order_of_time_groups_first() -> None:
    mapper = EventMapper(Mapping(), "wiki", DIALECT, day=DAY, fetched_at=NOON + timedelta(days=1))
    noon = int(NOON.timestamp()) * 1_000_000
    pairs = {("dev", "ann"): noon, ("phone", "bob"): noon - 60_000_000}
    events = mapper.derived(pairs, {("company", "acme"): (noon, '{"plan":"pro"}')}).to_pylist()
    assert [(event["event"], event["distinct_id"], event["timestamp"]) for event in events] == [
        ("$identify", "bob", NOON - timedelta(minutes=1)),
        ("$groupidentify", "$company_acme", NOON),
        ("$identify", "ann", NOON),
    ]
    # Literals: an import that is run again must not send these a second time by another uuid.
    assert [event["uuid"] for event in events[1:]] == [
        "1c68218a-80d6-5dd8-af71-74df5d3dc7bc", "40bebca2-c7ed-59c6-a78e-37a70abdf8cc",
    ]  # fmt: skip
