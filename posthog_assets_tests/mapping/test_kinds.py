"""Identify, alias and group calls, and what is derived from a day's identities and groups."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from posthog_assets.dialects.vendor import Vendor
from posthog_assets_tests.mapping.test_mapping import NOON, map_rows, row


class Grouped(Vendor):
    """A dialect whose records tell the properties of groups."""

    type: str = "grouped"
    describes_groups = True


def only(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = [event for event in rows if event["event"] == name]
    return found


def properties(event: dict[str, Any]) -> dict[str, Any]:
    return json.loads(event["properties"])


def test_an_identify_call_sets_traits_and_links_the_anonymous_id(tmp_path: Path) -> None:
    call = row(kind="identify", event="identify", user_id="ann", anonymous_id="a-1", set='{"plan":"pro"}')
    (event,), report = map_rows([call], tmp_path, person_properties="set")
    assert (event["event"], event["distinct_id"]) == ("$identify", "ann")
    assert properties(event)["$anon_distinct_id"] == "a-1"
    assert properties(event)["$set"] == {"plan": "pro"}
    assert report.derived == 0


def test_an_identify_call_without_a_user_only_sets_traits(tmp_path: Path) -> None:
    call = row(kind="identify", event="identify", user_id=None, anonymous_id="a-1", set='{"plan":"pro"}')
    (event,), _ = map_rows([call], tmp_path)
    assert (event["event"], event["distinct_id"]) == ("$set", "a-1")
    assert properties(event)["$set_once"] == {"plan": "pro"}
    assert "$anon_distinct_id" not in properties(event)


@pytest.mark.parametrize("anonymous", ["anonymous", "ann", "NULL", " "])
def test_an_identify_call_never_merges_an_id_that_is_nobodys(anonymous: str, tmp_path: Path) -> None:
    call = row(kind="identify", event="identify", anonymous_id=anonymous)
    (event,), _ = map_rows([call], tmp_path)
    assert event["event"] == "$identify"
    assert "$anon_distinct_id" not in properties(event)


def test_a_pair_is_linked_before_its_first_event_unless_a_call_did_so_before(tmp_path: Path) -> None:
    call = row(1, kind="identify", event="identify", anonymous_id="a-1")
    later = row(2, anonymous_id="a-1", timestamp=NOON + timedelta(minutes=1))
    _, report = map_rows([call, later], tmp_path)
    assert report.derived == 0
    earlier = row(2, anonymous_id="a-1", timestamp=NOON - timedelta(minutes=1))
    events, report = map_rows([call, earlier], tmp_path)
    assert report.derived == 1
    assert [event["event"] for event in events] == ["$identify", "edit", "$identify"]


def test_an_event_of_the_anonymous_id_stays_its_own_and_the_user_is_linked_to_it(tmp_path: Path) -> None:
    seen = row(1, kind="anonymous", user_id="ann", anonymous_id="a-1")
    rows = [seen, row(2, user_id="ann"), row(3, kind="alias", event="alias", user_id="ann", anonymous_id="old")]
    events, report = map_rows(rows, tmp_path)
    assert report.derived == 1
    assert [(event["event"], event["distinct_id"]) for event in events] == [
        ("$identify", "ann"), ("edit", "a-1"), ("edit", "ann"), ("$create_alias", "ann"),
    ]  # fmt: skip
    assert properties(events[0])["$anon_distinct_id"] == "a-1"


def test_an_alias_merges_the_previous_id_into_the_user(tmp_path: Path) -> None:
    (event,), _ = map_rows([row(kind="alias", event="alias", user_id="ann", anonymous_id="old")], tmp_path)
    assert (event["event"], event["distinct_id"], properties(event)["alias"]) == ("$create_alias", "ann", "old")


@pytest.mark.parametrize(
    ("user", "previous", "reason"),
    [
        ("ann", None, "alias does not name two ids"),
        ("ann", "ann", "alias names the same id twice: ann"),
        ("ann", "guest", "alias names an id that PostHog never merges: 'guest'"),
    ],
)
def test_an_alias_that_would_merge_nobody_is_rejected(
    user: str, previous: str | None, reason: str, tmp_path: Path
) -> None:
    call = row(kind="alias", event="alias", user_id=user, anonymous_id=previous)
    (event,), report = map_rows([call], tmp_path)
    assert event["reject_reason"] == reason
    assert report.rejected == 1


def test_a_group_call_becomes_groupidentify(tmp_path: Path) -> None:
    call = row(kind="group", event="group", groups='{"company":"5"}', set='{"name":"Acmé"}')
    (event,), _ = map_rows([call], tmp_path)
    said = properties(event)
    assert (event["event"], event["distinct_id"]) == ("$groupidentify", "ann")
    assert (said["$group_type"], said["$group_key"], said["$group_set"]) == ("company", "5", {"name": "Acmé"})
    assert not {"$set", "$set_once", "$groups"} & said.keys()


def test_a_group_call_of_nobody_is_the_groups_own(tmp_path: Path) -> None:
    (event,), _ = map_rows([row(kind="group", event="group", user_id=None, groups='{"company":"5"}')], tmp_path)
    assert event["distinct_id"] == "$company_5"


def test_a_group_call_that_names_no_group_is_rejected(tmp_path: Path) -> None:
    (event,), _ = map_rows([row(kind="group", event="group")], tmp_path)
    assert event["reject_reason"] == "group call does not name one group"


def test_the_last_properties_of_each_group_are_sent_once_a_day(tmp_path: Path) -> None:
    def said(number: int, minutes: int, **traits: Any) -> dict[str, Any]:
        text = orjson.dumps({"company": {"5": traits}}).decode()
        return row(number, timestamp=NOON + timedelta(minutes=minutes), group_set=text)

    # PostHog adds what it is told to what it knows: a seat that only the earlier one tells of must arrive too.
    rows = [said(1, 2, plan="pro"), said(2, 1, plan="free", seats=3), row(3)]
    first, report = map_rows(rows, tmp_path, dialect=Grouped())
    event = only(first, "$groupidentify")
    assert report.derived == 1
    assert (event["distinct_id"], event["timestamp"]) == ("$company_5", NOON + timedelta(minutes=2))
    assert properties(event)["$group_set"] == {"plan": "pro", "seats": 3}
    again, _ = map_rows(rows[::-1], tmp_path, chunk=1, dialect=Grouped())
    assert only(again, "$groupidentify") == event


def test_names_of_calls_can_be_excluded_like_any_event(tmp_path: Path) -> None:
    call = row(kind="identify", event="identify")
    (event,), _ = map_rows([call], tmp_path, events={"$identify": None})
    assert event["reject_reason"] == "excluded by mapping.events: $identify"


def test_keeping_some_properties_keeps_what_persons_are_merged_by(tmp_path: Path) -> None:
    rows = [
        row(1, anonymous_id="dev", properties='{"page":"Home","x":1}'),
        row(2, kind="alias", event="alias", anonymous_id="old"),
    ]
    events, _ = map_rows(rows, tmp_path, properties={"keep": ["page"]})
    said = [{k: v for k, v in properties(event).items() if "import" not in k} for event in events]
    assert [one.get("$anon_distinct_id") for one in said] == ["dev", None, None]
    assert [one.get("alias") for one in said] == [None, None, "old"]
    assert [one.get("x") for one in said] == [None, None, None]
