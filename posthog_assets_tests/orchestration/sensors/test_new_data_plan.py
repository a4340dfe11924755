"""The decision about each day, and the cursor, without Dagster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_assets.core.errors import SourceUnavailable
from posthog_assets.orchestration.sensors.new_data_plan import Cursor, Rules, Standing, digest, plan
from posthog_assets.sources import DayFingerprint, RawExport, Source

FIRST = date(2024, 3, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(5)]
NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


class Vendor(Source):
    """A source of fingerprints; the day `down` cannot be asked for."""

    prints: dict[date, str]
    down: date | None = None

    def fingerprint(self, day: date) -> str | None:
        if day == self.down:
            raise SourceUnavailable(f"no answer for {day}")
        return self.prints.get(day)

    def export(self, day: date, raw: RawExport, first_day: date) -> None:
        raise AssertionError("a sensor exports nothing")


def rules(looks: int = 1_000, room: int = 1_000) -> Rules:
    """Return rules that allow everything, for *looks* days of time and *room* days at once."""
    left = iter([False] * looks)
    return Rules(
        days=frozenset(DAYS),
        now=NOON,
        settle=timedelta(0),
        room=lambda: room,
        available_at=lambda day: datetime(2024, 3, 2, tzinfo=UTC),
        standing=lambda day: Standing.OPEN,
        is_pinned=lambda day, fingerprint: False,
        out_of_time=lambda: next(left, True),
    )


def wanted(source: Source, before: Cursor, by: Rules) -> tuple[list[int], Cursor]:
    made = plan(source, DAYS, before, by)
    return [want.day.day for want in made.wanted], Cursor.read(made.cursor.write())


def test_a_look_that_runs_out_of_time_goes_on_with_the_next_one_and_misses_no_day() -> None:
    vendor = Vendor(prints=dict.fromkeys(DAYS, "a"))
    first, cursor = wanted(vendor, Cursor(), rules(looks=2))
    second, cursor = wanted(vendor, cursor, rules(looks=2))
    third, cursor = wanted(vendor, cursor, rules())
    assert (first, second, third) == ([1, 2], [3, 4], [5])
    assert wanted(vendor, cursor, rules()) == ([], Cursor(cursor.seen))


def test_a_day_that_cannot_be_asked_for_does_not_keep_the_look_from_the_others() -> None:
    vendor = Vendor(prints=dict.fromkeys(DAYS, "a"), down=date(2024, 3, 3))
    first, cursor = wanted(vendor, Cursor(), rules())
    second, cursor = wanted(vendor, cursor, rules())
    assert (first, second) == ([1, 2], [4, 5])
    made = plan(vendor, DAYS, cursor, rules())
    assert "the look ended early: no answer for 2024-03-03" in made.sentence()


def test_room_for_two_days_takes_the_oldest_and_the_next_look_the_following() -> None:
    vendor = Vendor(prints=dict.fromkeys(DAYS, "a"))
    first, cursor = wanted(vendor, Cursor(), rules(room=2))
    second, _ = wanted(vendor, cursor, rules(room=2))
    assert (first, second) == ([1, 2], [3, 4])


def test_ten_years_of_days_are_a_cursor_of_23_kilobytes() -> None:
    days = [date(2015, 1, 1) + timedelta(days=n) for n in range(3_652)]
    text = Cursor({day: digest(day.isoformat()) for day in days}).write()
    assert len(text) == 23_482


def test_a_cursor_is_read_by_people() -> None:
    cursor = Cursor({date(2015, 9, 3): "Zk3w9a", date(2015, 9, 1): "AAAAAA"}, date(2015, 9, 12))
    assert cursor.write() == '{"seen":{"2015-09":"AAAAAA......Zk3w9a"},"next":"2015-09-12"}'


@given(
    st.dictionaries(st.dates(date(2000, 1, 1), date(2040, 12, 31)), st.text().map(digest), max_size=80),
    st.none() | st.dates(date(2000, 1, 1), date(2040, 12, 31)),
)
def test_a_cursor_is_read_as_it_was_written(seen: dict[date, str], next_day: date | None) -> None:
    assert Cursor.read(Cursor(seen, next_day).write()) == Cursor(seen, next_day)


@pytest.mark.parametrize("text", ["x", "3", "[]", "{}", '{"seen":{"2015-13":""}}', '{"seen":{"2015-02":"AAAAAA."}}'])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a cursor of this sensor"):
        Cursor.read(text)


def test_a_source_of_your_own_that_lists_is_asked_once() -> None:
    asked = []

    class Listing(Vendor):
        def fingerprints(self, days: Iterable[date]) -> Iterator[DayFingerprint]:
            asked.append(len(list(days)))
            yield DayFingerprint(FIRST, "a")

    assert wanted(Listing(prints={}), Cursor(), rules())[0] == [1]
    assert asked == [5]
