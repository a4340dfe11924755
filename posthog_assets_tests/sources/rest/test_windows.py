"""Stretches of time, and how an API wants them written."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from posthog_assets.sources.rest.windows import Incremental, Window, day_window

DAY = date(2024, 3, 1)
UTC_ZONE, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")


def incremental(**settings: Any) -> Incremental:
    return Incremental.model_validate({"cursor_path": "at"} | settings)


def ends(
    form: str, zone: ZoneInfo = UTC_ZONE, *, start_exclusive: bool = False, end_inclusive: bool = False, margin: int = 0
) -> tuple[Any, Any]:
    return incremental(format=form).ends(
        day_window(DAY, zone), zone, start_exclusive=start_exclusive, end_inclusive=end_inclusive,
        margin=timedelta(minutes=margin),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("form", "zone", "written"),
    [
        ("iso8601", BERLIN, ("2024-02-29T23:00:00Z", "2024-03-01T23:00:00Z")),
        ("epoch_seconds", UTC_ZONE, (1_709_251_200, 1_709_337_600)),
        ("epoch_milliseconds", UTC_ZONE, (1_709_251_200_000, 1_709_337_600_000)),
        ("date", BERLIN, ("2024-03-01", "2024-03-02")),
        ("%d.%m.%Y %H:%M", BERLIN, ("01.03.2024 00:00", "02.03.2024 00:00")),
    ],
)
def test_the_ends_of_a_day_are_written_as_the_api_wants_them(form: str, zone: ZoneInfo, written: Any) -> None:
    assert ends(form, zone) == written


def test_an_end_that_a_date_includes_is_the_day_itself_and_one_of_a_finer_form_stays() -> None:
    assert ends("date", end_inclusive=True) == ("2024-03-01", "2024-03-01")
    assert ends("epoch_seconds", end_inclusive=True) == (1_709_251_200, 1_709_337_600)


def test_a_start_that_is_left_out_is_one_step_earlier() -> None:
    assert ends("epoch_seconds", start_exclusive=True)[0] == 1_709_251_199
    assert ends("date", start_exclusive=True)[0] == "2024-02-29"
    assert ends("%Y-%m-%d %H:%M", start_exclusive=True)[0] == "2024-02-29 23:59"


def test_a_margin_is_asked_for_on_either_side() -> None:
    assert ends("iso8601", margin=5) == ("2024-02-29T23:55:00Z", "2024-03-02T00:05:00Z")


def test_the_finest_step_is_that_of_the_form() -> None:
    steps = {"iso8601": 1, "date": 86400, "%Y-%m-%d": 86400, "%H": 3600, "%Y %H:%M": 60, "%s": 1}
    assert {form: incremental(format=form).unit.total_seconds() for form in steps} == steps
    assert incremental(format="%S.%f").unit == timedelta(microseconds=1)


@pytest.mark.parametrize(("day", "hours"), [(date(2024, 3, 31), 23), (date(2024, 10, 27), 25), (DAY, 24)])
def test_a_day_of_a_clock_change_has_its_own_length(day: date, hours: int) -> None:
    window = day_window(day, BERLIN)
    assert window.end - window.start == timedelta(hours=hours)


def test_halves_meet_at_a_step_and_have_codes_of_their_own() -> None:
    window = Window(datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 1, 0, 0, 3, tzinfo=UTC))
    halves = window.halves(timedelta(seconds=1))
    assert halves is not None
    one, other = halves
    assert (one.start, one.end, other.start, other.end) == (
        window.start, datetime(2024, 3, 1, 0, 0, 1, tzinfo=UTC), one.end, window.end,
    )  # fmt: skip
    assert (one.code, other.code) == ("a", "b")
    quarters = other.halves(timedelta(seconds=1))
    assert quarters is not None
    assert [quarter.code for quarter in quarters] == ["ba", "bb"]
    assert one.halves(timedelta(seconds=1)) is None


def test_the_parameters_of_the_ends_are_those_that_are_set() -> None:
    assert incremental().end_params == {}
    assert incremental(start_param="since", end_param="until").end_params == {"start": "since", "end": "until"}
    assert incremental(end_param="until").end_params == {"end": "until"}


def test_a_form_that_is_none_and_a_path_that_is_none_are_refused() -> None:
    with pytest.raises(ValidationError, match="must be one of epoch_seconds, epoch_milliseconds, iso8601, date, or a"):
        incremental(format="yyyy-mm-dd")
    with pytest.raises(ValidationError, match="is no path"):
        incremental(cursor_path="a..b")
