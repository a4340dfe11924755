"""Which records of a page are the day's."""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from posthog_assets.core.errors import SourceRefused
from posthog_assets.sources import load_source
from posthog_assets.sources.rest.parents import Parent
from posthog_assets.sources.rest.seen import SeenKeys
from posthog_assets.sources.rest.sift import Sift
from posthog_assets.sources.rest.source import Rest
from posthog_assets.sources.rest.tally import Tally
from posthog_assets.sources.rest.windows import day_window

DAY = day_window(date(2024, 3, 1), ZoneInfo("UTC"))


def rules(endpoint: dict[str, Any] | None = None, **settings: Any) -> Rest:
    incremental = {"cursor_path": "at", "start_param": "from", "end_param": "to"}
    source = load_source(
        {
            "type": "rest",
            "client": {"base_url": "http://127.0.0.1:9", "paginator": "single_page"},
            "endpoint": {"path": "orders", "incremental": incremental, "primary_key": "id"} | (endpoint or {}),
        }
        | settings
    )
    assert isinstance(source, Rest)
    return source


def sift_of(source: Rest, before: SeenKeys | None = None, parent: Parent | None = None) -> Sift:
    return Sift(source, DAY, parent, before or SeenKeys(), SeenKeys(), Tally())


def at(clock: str, **fields: Any) -> dict[str, Any]:
    return {"at": f"2024-03-{clock}Z", **fields}


def test_what_an_earlier_page_brought_is_skipped() -> None:
    sift = sift_of(rules())
    assert sift.sift([at("01T10:00:00", id=1), at("01T11:00:00", id=2)]) == [False, False]
    assert sift.sift([at("01T11:00:00", id=2), at("01T12:00:00", id=3), at("01T12:00:00", id=3)]) == [True, False, True]
    assert (sift.tally.records, sift.tally.repeated) == (5, 2)


def test_keys_of_two_parents_are_two_keys() -> None:
    source = rules(
        {"path": "forms/{form}"}, for_each={"name": "form", "values": ["a", "b"]},
    )  # fmt: skip
    seen = SeenKeys()
    for value in ("a", "b"):
        own = SeenKeys()
        sift = Sift(source, DAY, Parent(value, {}), seen, own, Tally())
        assert sift.sift([at("01T10:00:00", id=1)]) == [False]
        seen.join(own)


def test_a_record_without_a_key_or_a_time_is_kept() -> None:
    sift = sift_of(rules())
    assert sift.sift([{"n": 1}, {"n": 2}]) == [False, False]
    assert sift.tally.without_time == 2


def test_records_outside_are_left_to_their_days_where_that_is_set() -> None:
    sift = sift_of(rules(outside="skip"))
    assert sift.sift([at("01T10:00:00", id=1), at("02T00:00:00", id=2)]) == [False, True]
    assert not sift.is_outside
    assert sift.sift([at("02T10:00:00", id=3)]) == [True]
    assert sift.is_outside
    assert sift.tally.outside == 2


def test_an_api_that_does_not_filter_is_refused_with_what_it_delivered() -> None:
    with pytest.raises(SourceRefused, match=r"was asked for 2024-03-01 00:00:00 to 2024-03-02 00:00:00 UTC.*at = "):
        sift_of(rules()).sift([at("05T10:00:00", id=1)])


def test_an_inclusive_end_explains_one_step_and_no_more() -> None:
    source = rules(end_inclusive=True)
    assert sift_of(source).sift([at("02T00:00:00", id=1)]) == [True]
    with pytest.raises(SourceRefused):
        sift_of(source).sift([at("02T00:00:02", id=1)])


def test_newest_first_is_past_the_day_with_the_first_older_record() -> None:
    source = rules({"incremental": {"cursor_path": "at"}}, order="newest_first")
    sift = sift_of(source)
    assert sift.sift([at("02T10:00:00", id=1), at("01T10:00:00", id=2)]) == [True, False]
    assert not sift.is_past
    sift.sift([at("01T09:00:00", id=3), {"at": "2024-02-29T10:00:00Z", "id": 4}])
    assert sift.is_past


def test_a_page_that_breaks_the_promised_order_is_refused() -> None:
    source = rules({"incremental": {"cursor_path": "at"}}, order="newest_first")
    sift = sift_of(source)
    sift.sift([at("01T10:00:00", id=1)])
    with pytest.raises(SourceRefused, match="source.order is newest_first, but the API delivers records in another"):
        sift.sift([at("01T11:00:00", id=2)])


def test_without_a_window_no_record_is_outside() -> None:
    sift = Sift(rules(), None, None, SeenKeys(), SeenKeys(), Tally())
    assert sift.sift([at("05T10:00:00", id=1)]) == [False]


def test_a_number_of_more_than_64_bits_is_a_key_too() -> None:
    sift = sift_of(rules())
    assert sift.sift([at("01T10:00:00", id=2**70), at("01T10:00:00", id=2**70 + 1)]) == [False, False]
