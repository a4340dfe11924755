"""What is printed of rejected records."""

from __future__ import annotations

from datetime import date, timedelta

from posthog_assets.cli.status import made_words
from posthog_assets.orchestration.local.day_states import Made
from posthog_assets.pipeline.config.rejects import Lost

DAY = date(2024, 3, 1)


def days(number: int, lost: Lost) -> dict[date, Lost]:
    return {DAY + timedelta(days=place): lost for place in range(number)}


def test_nothing_is_said_of_no_rejected_record() -> None:
    assert list(made_words(Made(days(3, Lost(10, 0))), {}, "shop")) == []


def test_the_reason_of_most_records_over_all_days_is_named() -> None:
    found = {
        DAY: Lost(100, 6, "odd"),
        DAY + timedelta(days=1): Lost(100, 4, "late"),
        DAY + timedelta(days=2): Lost(100, 4, "late"),
    }
    (words,) = made_words(Made(found), {}, "shop")
    assert words == Lost(300, 14, "late").words


def test_ten_days_with_too_many_are_named_and_the_others_counted() -> None:
    lost = days(12, Lost(10, 9, "odd"))
    words = list(made_words(Made(lost), lost, "shop"))
    assert len(words) == 12
    assert words[1].endswith("see: posthog-assets rejected shop --day 2024-03-01")
    assert words[-1] == "[red]and 2 more days with too many rejected records[/red]"


def test_days_whose_events_are_of_others_and_days_without_events_are_named() -> None:
    far = {DAY: "2024-03-01: all of its events are of 2024-01-03"}
    assert list(made_words(Made(days(2, Lost(0, 0)), far), {}, "shop")) == [
        "[yellow]warning:[/yellow] 2024-03-01: all of its events are of 2024-01-03",
        "2 days without an event: 2024-03-01, 2024-03-02",
    ]
