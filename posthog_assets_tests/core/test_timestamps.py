"""Reading many times at once gives what reading each gives; and clocks on walls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_assets.core.schemas import TIMESTAMP
from posthog_assets.core.timestamps import from_wall_clock, read_timestamps

whole = st.one_of(
    st.integers(0, 10**11), st.integers(10**11, 10**14), st.integers(-(10**19), 10**21),
    st.sampled_from([10**11 - 1, 10**11, 10**14, 10**17, 10**20, -1, 253_402_300_800, 2**63 - 1, 2**63, -(2**63)]),
)  # fmt: skip


@given(st.lists(whole, max_size=6), st.sampled_from([None, "s", "ms", "us", "ns"]))
def test_whole_numbers_read_together_as_they_read_one_by_one(values: list[int], unit: str | None) -> None:
    together = read_timestamps(values, "UTC", unit=unit)
    alone = [read_timestamps([value, "x"], "UTC", unit=unit) for value in values]
    assert together[0].to_pylist() == [stamps[0].as_py() for stamps, _ in alone]
    assert together[1] == {i: reasons[0] for i, (_, reasons) in enumerate(alone) if 0 in reasons}


def instants(*moments: str) -> pa.Array:
    return pa.array([datetime.fromisoformat(moment) for moment in moments], pa.timestamp("us")).cast(TIMESTAMP)


@pytest.mark.parametrize(
    ("shown", "meant"),
    [
        ("2021-07-01T12:00:00.250", "2021-07-01T19:00:00.250+00:00"),
        ("2021-12-01T12:00:00", "2021-12-01T20:00:00+00:00"),
        # Shown twice that night: the first time counts.
        ("2021-11-07T01:30:00", "2021-11-07T08:30:00+00:00"),
        # Never shown that night.
        ("2021-03-14T02:30:00", "2021-03-14T10:30:00+00:00"),
    ],
)
def test_a_clock_on_a_wall_in_los_angeles(shown: str, meant: str) -> None:
    assert from_wall_clock(instants(shown), "America/Los_Angeles").to_pylist() == [datetime.fromisoformat(meant)]


@given(st.lists(st.datetimes(datetime(1975, 1, 1), datetime(2035, 1, 1)), max_size=5))  # noqa: DTZ001
def test_many_clocks_are_read_as_the_standard_library_reads_one(moments: list[datetime]) -> None:
    found = from_wall_clock(pa.array(moments, pa.timestamp("us")).cast(TIMESTAMP), "Europe/Berlin")
    # What a clock shows twice is the first of the two, also where a moment says that it is the second (`fold`).
    alone = [moment.replace(tzinfo=ZoneInfo("Europe/Berlin"), fold=0) for moment in moments]
    assert found.to_pylist() == [moment.astimezone(UTC) for moment in alone]


def test_what_has_no_instant_stays_without() -> None:
    empty: list[Any] = [None, datetime(2021, 3, 14, 2, 30, tzinfo=UTC)]
    found = from_wall_clock(pa.array(empty, TIMESTAMP), "America/Los_Angeles").to_pylist()
    assert found[0] is None
    assert found[1] == empty[1] + timedelta(hours=8)


def both_ways(text: str, pattern: str | None = None) -> set[str | None]:
    """How the text reads alone, among equals, and beside a value of another type."""
    read = [read_timestamps(values, "UTC", pattern)[0] for values in ([text], [text, text, None], [text, 7.5])]
    return {None if stamps[0].as_py() is None else stamps[0].as_py().isoformat() for stamps in read}


@pytest.mark.parametrize("date_and_time", ["0044-03-15", "0044-03-15 10:00:00", "0044-03-15 10:00:00+00"])
@pytest.mark.parametrize("era", [" BC", "BC", " B.C.", " bc", " BCE", " b.c.e.", " UTC BC", " v. Chr."])
def test_a_year_before_christ_is_not_read_as_one_after(date_and_time: str, era: str) -> None:
    assert both_ways(date_and_time + era) == {None}


@pytest.mark.parametrize("rest", [" AD", " CE", " PM", " P.M.", " C", " T", " X", " a", " +1", " (x)", " 2"])
def test_letters_after_a_time_that_name_no_zone_make_it_unreadable(rest: str) -> None:
    assert both_ways(f"2024-03-01 10:00:00{rest}") == {None}
    assert both_ways(f"2024-03-01 10:00:00+00{rest}") == {None}


@pytest.mark.parametrize(
    "text",
    ["2024-03-01 11:00:00 +0100 CET", "2024-03-01T11:00+01:00[Europe/Berlin]", "2024-03-01 10:00:00 +0000 UTC",
     "2024-03-01 10:00:00 GMT", "2024-03-01 10:00:00UTC", "2024-03-01 12:00:00+02 CEST", "2024-03-01T10:00:00z"],
)  # fmt: skip
def test_a_zone_may_follow_the_offset(text: str) -> None:
    assert both_ways(text) == {"2024-03-01T10:00:00+00:00"}


def test_a_zone_after_a_date_is_no_hour() -> None:
    assert both_ways("2024-03-01+05:00") == {"2024-02-29T19:00:00+00:00"}
    assert both_ways("2024-03-01Z") == {"2024-03-01T00:00:00+00:00"}
    # Either an hour or a zone.
    assert both_ways("2024-03-01-05:00") == {None}
    assert both_ways("2024-03-01-05:00", "%Y-%m-%d-%H:%M") == {"2024-03-01T05:00:00+00:00"}


def test_a_pattern_reads_no_digits_that_it_does_not_name() -> None:
    assert both_ways("2024-03-01 10:00:001", "%Y-%m-%d %H:%M:%S") == {None}
    assert both_ways("2024-03-01 10:00:00.123456789", "%Y-%m-%d %H:%M:%S") == {"2024-03-01T10:00:00.123456+00:00"}
