"""What became of the days of a backfill. Days that run: `end_to_end/test_backfill.py`."""

from __future__ import annotations

from datetime import date

import pytest

from posthog_assets.orchestration.failures import Failure
from posthog_assets.orchestration.local.backfill import Ran, reason_of
from posthog_assets.orchestration.local.workers import DayRun

GOOD = DayRun(date(2024, 3, 1), "1")
BAD = DayRun(date(2024, 3, 2), "2", failure=Failure("raw_export", "no file", "2"))
#: The process died before a step began.
DEAD = DayRun(date(2024, 3, 3), "3", failure=Failure(None, "the process died", "3"))


@pytest.mark.parametrize(
    ("ran", "code"),
    [
        (Ran(), 0),
        (Ran([GOOD]), 0),
        (Ran([GOOD, BAD]), 1),
        (Ran([GOOD], left=1), 130),
        # Who pressed Ctrl-C knows that not all is done; which days failed is printed.
        (Ran([BAD], left=1), 130),
    ],
)
def test_the_exit_code_says_whether_all_days_ran_and_succeeded(ran: Ran, code: int) -> None:
    assert ran.exit_code == code


def test_failed_days_keep_their_order() -> None:
    assert Ran([BAD, GOOD, DEAD]).failed == [BAD, DEAD]


def test_a_reason_names_its_asset_where_a_step_says_it() -> None:
    assert [reason_of(run) for run in (BAD, DEAD)] == ["raw_export: no file", "the process died"]
