"""What a source does that leaves everything to its base class."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import ClassVar

import pytest
import time_machine

from posthog_assets.core.errors import NoExport
from posthog_assets.sources import RawExport, Source
from posthog_assets.sources.base import Scope

DAY = date(2024, 3, 1)
SCOPE = Scope(DAY, date(2024, 3, 31), "at", "%d.%m.%Y", None)


class Plain(Source):
    """The least that a source is."""

    available_after_hours: float = 0

    availability_delay: ClassVar[timedelta] = timedelta(hours=6)
    look_back_days: ClassVar[int] = 2

    def export(self, day: date, raw: RawExport, first_day: date) -> None:
        raise AssertionError("nothing is exported here")

    def fingerprint(self, day: date) -> str | None:
        return self.revision(day)


class Whole(Plain):
    """One that reads more than a day's records."""

    @property
    def holds_all_days(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("now", "revision"),
    [
        ("2024-03-02T05:59:59", None),
        ("2024-03-02T06:00:00", "complete"),
        ("2024-03-04T05:59:59", "complete"),
        ("2024-03-04T06:00:00", "settled"),
    ],
)
def test_a_day_is_complete_and_then_settled(now: str, revision: str | None) -> None:
    with time_machine.travel(f"{now}Z", tick=False):
        assert Plain().fingerprint(DAY) == revision
        assert [found.fingerprint for found in Plain().fingerprints([DAY])] == [revision]


def test_a_day_is_refused_before_it_is_complete_with_the_moment_when_it_is() -> None:
    with time_machine.travel("2024-03-02T05:00:00Z", tick=False):
        with pytest.raises(NoExport, match="the data of 2024-03-01 is complete at 2024-03-02 06:00 UTC: materialize"):
            Plain().refuse_early(DAY)
    with time_machine.travel("2024-03-02T06:00:00Z", tick=False):
        Plain().refuse_early(DAY)


def test_hours_of_the_dialect_hold_unless_the_import_file_says_others() -> None:
    assert Plain().final_after(5).model_dump()["available_after_hours"] == 5
    assert Plain(available_after_hours=1).final_after(5).model_dump()["available_after_hours"] == 1
    assert Plain().final_after(0).available_after_hours == 0


def test_the_scope_of_an_import_matters_only_where_a_source_reads_other_days_too() -> None:
    plain, whole = Plain(), Whole()
    assert plain.within(SCOPE) is plain
    assert (plain.last_day, whole.last_day) == (None, None)
    assert whole.within(SCOPE).last_day == date(2024, 3, 31)
    # The same source may be of two imports.
    assert whole.last_day is None


def test_the_dialects_form_is_that_of_its_own_column() -> None:
    assert SCOPE.form_of("at") == ("%d.%m.%Y", None)
    assert SCOPE.form_of("changed") == (None, None)


def test_what_a_source_does_not_say_is_nothing() -> None:
    plain = Plain()
    assert (plain.pool, plain.reach(DAY, DAY), plain.lists, plain.naive_times("at")) == (None, None, False, None)
    assert (plain.secrets(), plain.split_files(DAY), plain.position("x")) == ((), frozenset(), "x")
    assert plain.available_at(DAY) == datetime(2024, 3, 2, 6, tzinfo=UTC)
