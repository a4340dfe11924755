"""Telling from its fields whose records a file holds."""

from __future__ import annotations

from posthog_assets.dialects.recognition import Recognition, recognize
from posthog_assets_tests.dialects.test_any_object import EXAMPLES
from posthog_assets_tests.dialects.test_segment import TRACK

UNKNOWN = {"id": 1, "user": "ann"}


def test_records_are_known_by_the_fields_that_most_of_them_have() -> None:
    assert recognize([EXAMPLES["mixpanel"]]) == [
        Recognition("mixpanel", 1.0, ("event", "properties.distinct_id", "properties.time", "properties.$insert_id"))
    ]


def test_half_of_the_records_are_enough_and_fewer_are_not() -> None:
    (found,) = recognize([EXAMPLES["mixpanel"], UNKNOWN])
    assert (found.dialect, found.share) == ("mixpanel", 0.5)
    assert recognize([EXAMPLES["mixpanel"], UNKNOWN, UNKNOWN]) == []


def test_a_dialect_that_extends_another_one_comes_before_it() -> None:
    found = recognize([TRACK | {"rudderId": "r-1"}, TRACK])
    assert [(one.dialect, one.share) for one in found] == [("rudderstack", 0.5), ("segment", 1.0)]


def test_no_record_is_nobodys() -> None:
    assert recognize([]) == []
