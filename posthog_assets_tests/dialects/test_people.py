"""Profiles of users as events: one $set each, renamed, of one instant."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from posthog_assets.core.records import RecordChunk
from posthog_assets.dialects.columns import Columns
from posthog_assets.dialects.people import MixpanelProfiles, Profiles, uuids_of_people


def stage(dialect: Profiles | MixpanelProfiles, *records: Any) -> list[dict[str, Any]]:
    return dialect.stage(RecordChunk(range(1, len(records) + 1), [dict(one) for one in records]), "part").to_pylist()


def profiles(**more: Any) -> Profiles:
    return Profiles.model_validate({"user_id": {"column": "id"}, "as_of": date(2024, 3, 1)} | more)


def test_columns_become_properties_of_the_person_by_their_new_names() -> None:
    (row,) = stage(profiles(rename={"mail": "email"}), {"id": 7, "mail": "a@shop.example", "plan": "pro", "gone": None})
    assert (row["event"], row["user_id"], row["source_id"]) == ("$set", "7", "7")
    assert row["timestamp"] == datetime(2024, 3, 1, tzinfo=UTC)
    assert (row["properties"], json.loads(row["set"])) == ("{}", {"email": "a@shop.example", "plan": "pro"})


def test_a_profile_without_a_property_is_rejected_and_nothing_of_it_is_kept() -> None:
    good, bad = stage(profiles(), {"id": "a", "plan": "pro"}, {"id": "b", "plan": None})
    assert good["reject_reason"] is None
    assert {name: value for name, value in bad.items() if value is not None} == {
        "raw_part": "part", "raw_line": 2, "reject_reason": "profile says nothing of the person",
    }  # fmt: skip


def test_a_profile_of_mixpanel_is_a_set_event_of_the_day_it_is_of() -> None:
    record = {"$distinct_id": "ann", "$properties": {"$email": "a@shop.example", "plan": "pro"}}
    (row,) = stage(MixpanelProfiles(as_of=date(2024, 3, 1)), record)
    assert (row["event"], row["user_id"], row["timestamp"]) == ("$set", "ann", datetime(2024, 3, 1, tzinfo=UTC))
    assert json.loads(row["set"]) == {"email": "a@shop.example", "plan": "pro"}


def test_a_profile_of_mixpanel_without_a_property_is_rejected() -> None:
    (row,) = stage(MixpanelProfiles(), {"$distinct_id": "ann", "$properties": {}})
    assert row["reject_reason"] == "profile says nothing of the person"


@pytest.mark.parametrize("wrong", ["anonymous_id", "timestamp", "person_properties"])
def test_what_only_events_have_is_refused(wrong: str) -> None:
    value: Any = {"column": "x"} if wrong != "person_properties" else ["x"]
    with pytest.raises(ValidationError, match=f"{wrong}: a profile has none"):
        profiles(**{wrong: value})


def test_the_uuids_of_people_are_none_of_events() -> None:
    events = Columns.model_validate({"event": {"value": "e"}, "user_id": {"column": "u"}, "timestamp": {"column": "t"}})
    assert profiles().uuid_namespace("shop") == uuids_of_people("shop") != events.uuid_namespace("shop")
    assert MixpanelProfiles(namespace="shop").uuid_namespace("other") == uuids_of_people("shop")
