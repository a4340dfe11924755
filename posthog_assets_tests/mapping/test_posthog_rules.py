"""Nothing leaves that PostHog cannot hold, whoever made it: records, derived events, steps, the user's own function."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.dialects import load_dialect
from posthog_assets_tests.mapping.test_mapping import NOON, map_rows, row

FUTURE = datetime(2031, 5, 5, tzinfo=UTC)


def sendable(events: list[dict[str, Any]]) -> list[tuple[str, str, datetime]]:
    return [(e["event"], e["distinct_id"], e["timestamp"]) for e in events if e["reject_reason"] is None]


@pytest.mark.parametrize(
    "wrong", [FUTURE, datetime(1, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)]
)
def test_nothing_is_derived_from_an_event_whose_time_is_wrong(tmp_path: Path, wrong: datetime) -> None:
    rows = [row(1, anonymous_id="dev", timestamp=wrong)]
    events, report = map_rows(rows, tmp_path)
    assert (sendable(events), report.derived) == ([], 0)
    # A later event of the pair, at a time that can be true, dates the link.
    events, report = map_rows([*rows, row(2, anonymous_id="dev", timestamp=NOON)], tmp_path)
    assert sendable(events) == [("$identify", "ann", NOON), ("edit", "ann", NOON)]


def test_nothing_is_told_of_a_group_by_an_event_whose_time_is_wrong(tmp_path: Path) -> None:
    told = json.dumps({"company": {"acme": {"plan": "gold"}}})
    events, report = map_rows(
        [row(1, group_set=told, timestamp=FUTURE)], tmp_path, dialect=load_dialect({"type": "amplitude"})
    )
    assert (sendable(events), report.derived) == ([], 0)


def test_derived_events_are_held_against_the_same_rules(tmp_path: Path) -> None:
    told = json.dumps({"company": {"k" * 401: {"plan": "gold"}, "acme": {"plan": "free"}}})
    events, _ = map_rows([row(1, group_set=told)], tmp_path, dialect=load_dialect({"type": "amplitude"}))
    calls = {e["distinct_id"][:14]: e["reject_reason"] for e in events if e["event"] == "$groupidentify"}
    assert calls["$company_acme"] is None
    assert calls["$company_kkkkk"].startswith("distinct_id is longer than 200 bytes")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "0001-01-01T00:00:00+00:00",
            "timestamp lies before 1970, which PostHog cannot store: 0001-01-01T00:00:00+00:00",
        ),
        (
            "0027-01-01T00:00:00+00:00",
            "timestamp lies before 1970, which PostHog cannot store: 0027-01-01T00:00:00+00:00",
        ),
        (
            "1899-12-30T00:00:00+00:00",
            "timestamp lies before 1970, which PostHog cannot store: 1899-12-30T00:00:00+00:00",
        ),
        (
            "1925-01-01T00:00:00+00:00",
            "timestamp lies before 1970, which PostHog cannot store: 1925-01-01T00:00:00+00:00",
        ),
        (
            "1969-12-31T23:59:59+00:00",
            "timestamp lies before 1970, which PostHog cannot store: 1969-12-31T23:59:59+00:00",
        ),
        ("1970-01-01T00:00:00+00:00", None),
        ("2024-03-03T10:59:59+00:00", None),
        ("2024-03-03T11:00:01+00:00", "timestamp lies in the future: 2024-03-03T11:00:01+00:00"),
    ],
)
def test_a_time_that_posthog_cannot_store_is_rejected(tmp_path: Path, text: str, reason: str | None) -> None:
    (event,), _ = map_rows([row(1, timestamp=datetime.fromisoformat(text))], tmp_path)
    assert event["reject_reason"] == reason


@pytest.mark.parametrize("name", ["undefined", "NULL", "anonymous", "0", "[object Object]", "not_authenticated"])
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_ids_that_are_nobodys_are_so_in_quotes_too(tmp_path: Path, name: str, quote: str) -> None:
    quoted = f"{quote}{name}{quote}"
    events, report = map_rows([row(1, user_id=quoted), row(2, anonymous_id=quoted)], tmp_path)
    assert report.derived == 0
    by_id = {event["source_id"]: event["reject_reason"] for event in events}
    assert by_id == {"1": f"distinct_id is one PostHog gives no person: {quoted!r}", "2": None}


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ({"company": "acme"}, None),
        ({"company": "a}b", "team": 'say "hi"', "site": "ü"}, None),
        ({"company": 5}, None),
        ({"company": "k" * 400}, None),
        ({}, None),
        (None, None),
        ("acme", "$groups is no object: acme"),
        (["acme"], "$groups is no object: ['acme']"),
        ({"company": "k" * 401}, "group key is longer than 400 characters: company"),
        ({"company": {"id": 1}}, "group key is neither text nor a number: company"),
        ({" ": "acme"}, "$groups has a key without a group type"),
    ],
)
def test_groups_that_posthog_would_make_wrong_types_of_are_rejected(
    tmp_path: Path, groups: Any, reason: str | None
) -> None:
    for more in ({}, {"deep": {"$groups": {"company": "acme"}}}):
        (event,), _ = map_rows([row(1, properties=json.dumps(more | {"$groups": groups}))], tmp_path)
        assert event["reject_reason"] == reason


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"$group_type": "company", "$group_key": "acme", "$group_set": {"plan": "gold"}}, None),
        ({"$group_type": "company", "$group_key": 5}, None),
        ({"$group_type": "company", "$group_key": None}, "group call names no group key: company"),
        ({"$group_type": "company", "$group_key": ""}, "group call names no group key: company"),
        ({"$group_key": "acme"}, "group call names no group type"),
        ({"$group_type": "company", "$group_key": "k" * 401}, "group key is longer than 400 characters: company"),
        ({"$group_type": "company", "$group_key": "acme", "$group_set": "gold"}, "$group_set is no object: gold"),
        ({"$group_type": "company", "$group_key": "acme", "$group_set": [1]}, "$group_set is no object: [1]"),
    ],
)
def test_group_calls_that_posthog_drops_are_rejected(
    tmp_path: Path, properties: dict[str, Any], reason: str | None
) -> None:
    (event,), _ = map_rows([row(1, event="$groupidentify", properties=json.dumps(properties))], tmp_path)
    assert event["reject_reason"] == reason


def before_1970(frame: Any) -> Any:
    frame["timestamp"] = frame["timestamp"] - timedelta(days=36500)
    return frame


def letters(frame: Any) -> Any:
    frame["properties"] = [properties | {"$groups": "acme"} for properties in frame["properties"]]
    return frame


@pytest.mark.parametrize(
    ("hook", "head"), [("before_1970", "timestamp lies before 1970"), ("letters", "$groups is no")]
)
def test_what_the_users_own_function_makes_is_held_against_the_same_rules(tmp_path: Path, hook: str, head: str) -> None:
    (event,), _ = map_rows([row(1)], tmp_path, transform=f"{__name__}:{hook}")
    assert event["reject_reason"].startswith(head)
