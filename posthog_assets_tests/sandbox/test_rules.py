"""PostHog's rules for keys, ids, groups and times."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from posthog_assets.sandbox.rules import group_types, has_person, ingestion_warning, loose, rfc3339, settled, token_flaw


def test_times_are_settled_by_posthogs_rules() -> None:
    now = datetime(2024, 3, 1, 12, tzinfo=UTC)
    then = now - timedelta(days=30)
    assert settled(then, now, sent_at=now + timedelta(seconds=100)) == then
    assert settled(then, now, sent_at=now + timedelta(seconds=400)) == then - timedelta(seconds=250)
    assert settled(now + timedelta(hours=24), now) == now
    assert settled(None, now) == now
    assert loose("2024/03/01") == datetime(2024, 3, 1, tzinfo=UTC)
    assert loose("nonsense") is None


@pytest.mark.parametrize(
    ("properties", "warning"),
    [
        ({"$group_type": "company", "$group_key": "acme", "$group_set": {"plan": "gold"}}, None),
        ({"$group_type": "company", "$group_key": "acme", "$group_set": "gold"}, "invalid_group_set"),
        ({"$group_type": "company", "$group_key": "k" * 401}, "group_key_too_long"),
        ({"$groups": {"company": "k" * 401}}, "group_key_too_long"),
        ({"$groups": {"company": "k" * 400}}, None),
    ],
)
def test_ingestion_drops_what_no_group_can_be(properties: dict[str, Any], warning: str | None) -> None:
    assert ingestion_warning("$groupidentify", json.dumps(properties)) == warning


@pytest.mark.parametrize("distinct_id", ["undefined", '"undefined"', "'NULL'", '"[object Object]"'])
def test_ids_in_quotes_have_no_person_either(distinct_id: str) -> None:
    assert not has_person(distinct_id)
    assert has_person(f"x{distinct_id}")


@pytest.mark.parametrize(
    ("token", "flaw"),
    [("phc_a", None), ("", "empty"), ("p" * 65, "too_long"), ("phc_ü", "not_ascii"), ("phx_a", "personal_api_key"),
     ("phc_\x00", "null_byte")],
)  # fmt: skip
def test_what_cannot_be_a_project_key_is_named(token: str, flaw: str | None) -> None:
    assert token_flaw(token) == flaw


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2024-03-01T10:00:00Z", datetime(2024, 3, 1, 10, tzinfo=UTC)),
        ("2024-03-01t10:00:00.1234567z", datetime(2024, 3, 1, 10, 0, 0, 123456, tzinfo=UTC)),
        ("2024-03-01T10:00:00", None), ("2024-03-01", None), ("2024-13-01T10:00:00Z", None), (1709287200, None),
    ],
)  # fmt: skip
def test_an_exact_time_has_a_zone(text: Any, at: datetime | None) -> None:
    assert rfc3339(text) == at


@pytest.mark.parametrize(
    "text", ["1709287200", "1709287200000", "Fri, 01 Mar 2024 10:00:00 GMT", "2024-03-01T10:00:00"]
)
def test_the_older_endpoints_take_times_in_many_forms(text: str) -> None:
    assert loose(text) == datetime(2024, 3, 1, 10, tzinfo=UTC)


def test_an_offset_counts_back_from_now_whatever_the_event_says() -> None:
    now = datetime(2024, 3, 1, 12, tzinfo=UTC)
    assert settled(now - timedelta(days=9), now, offset_ms=1_500) == now - timedelta(milliseconds=1_500)


def test_group_types_are_those_an_event_names() -> None:
    properties = json.dumps({"$groups": {"b": "1", "": "2", "a": "3"}, "$group_type": "company"})
    assert group_types("e", properties) == ["b", "a"]
    assert group_types("$groupidentify", properties) == ["b", "a", "company"]
