"""Where the records of an API's answers went."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from posthog_assets.sources.account import Account
from posthog_assets.sources.rest.tally import Tally


def micros(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def test_pages_of_several_windows_add_up_to_the_account_of_a_day() -> None:
    tally, window = Tally(records=10, repeated=1), Tally(records=5, without_time=2)
    tally.add_outside(2, micros("2024-02-29T10:00"), micros("2024-02-29T23:30"))
    window.add_passed(3, micros("2024-03-02T00:00"), micros("2024-03-02T00:00"))
    tally.join(window)
    assert tally.account(ZoneInfo("UTC")) == Account("", 18, 10, 2, 5, "2024-02-29", "2024-03-02", 1, of_one_day=True)


def test_the_days_of_records_outside_are_those_of_the_zone() -> None:
    tally = Tally(records=1)
    tally.add_outside(1, micros("2024-02-29T23:30"), micros("2024-02-29T23:30"))
    assert tally.account(ZoneInfo("Europe/Berlin")).first_outside == "2024-03-01"


def test_nothing_outside_has_no_ends() -> None:
    tally = Tally(records=3)
    tally.add_outside()
    tally.join(Tally())
    account = tally.account(ZoneInfo("UTC"))
    assert (account.in_days, account.outside, account.first_outside) == (3, 0, None)
