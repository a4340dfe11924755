"""What partitions are called in paths."""

from __future__ import annotations

from datetime import date

from posthog_assets.core.partitions import key_of


def test_a_day_is_its_date_and_a_name_is_itself() -> None:
    assert key_of(date(2015, 9, 12)) == "2015-09-12"
    assert key_of(date(33, 1, 2)) == "0033-01-02"
    assert key_of("people") == "people"
