"""Where the records of a source went."""

from __future__ import annotations

from datetime import date

from posthog_assets.sources.account import WITHOUT_DAY, Account

FIRST, LAST = date(2024, 3, 1), date(2024, 3, 3)
COUNTS = {"2024-02-28": 2, "2024-03-01": 10, "2024-03-03": 5, "2024-03-04": 1, "2024-04-01": 3, WITHOUT_DAY: 4}


def test_each_record_is_of_a_day_of_none_or_outside() -> None:
    account = Account.of_days("rule", COUNTS, FIRST, LAST)
    assert account == Account("rule", 25, 15, 4, 6, "2024-02-28", "2024-04-01")
    assert account.records == account.in_days + account.without_day + account.outside + account.repeated


def test_an_import_without_an_end_has_no_record_after_it() -> None:
    account = Account.of_days("rule", COUNTS, FIRST, None)
    assert (account.in_days, account.outside, account.first_outside, account.last_outside) == (
        19, 2, "2024-02-28", "2024-02-28",
    )  # fmt: skip


def test_nothing_outside_has_no_ends_and_no_words() -> None:
    account = Account.of_days("rule", {"2024-03-02": 7}, FIRST, LAST)
    assert account == Account("rule", 7, 7, 0, 0)
    assert account.warnings(FIRST, LAST) == []
    assert Account.of_days("rule", {}, FIRST, LAST).records == 0


def test_what_is_of_no_day_is_a_sentence_each() -> None:
    assert Account.of_days("rule", COUNTS, FIRST, LAST).warnings(FIRST, LAST) == [
        "4 of 25 records have no day that can be read or be true: they are rows of 2024-03-01",
        "6 of 25 records lie outside the import's days, 2024-03-01 to 2024-03-03, and are not imported: they are of "
        "2024-02-28 to 2024-04-01",
    ]


def test_the_reading_of_one_day_leaves_the_records_of_other_days_to_these() -> None:
    account = Account("", 25, 15, 4, 6, "2024-02-28", "2024-04-01", of_one_day=True)
    assert account.warnings(FIRST, LAST) == [
        "4 of 25 records have no day that can be read or be true: every day that is delivered them has them as rows"
    ]
