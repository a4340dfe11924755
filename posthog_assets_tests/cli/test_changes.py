"""What is printed of days under a changed mapping. What is compared: `pipeline/preview/test_impact.py`."""

from __future__ import annotations

import io
from datetime import date

from rich.console import Console

from posthog_assets.cli.changes import _advise, _table
from posthog_assets.pipeline.preview.impact import DayChange

FIRST, SECOND = date(2024, 3, 1), date(2024, 3, 2)


def shown(*changes: DayChange) -> list[str]:
    console = Console(file=io.StringIO(), width=200)
    console.print(_table(list(changes)))
    _advise(console, list(changes))
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines() if line.strip()]


def test_each_day_is_a_row_and_the_last_row_is_their_sum() -> None:
    lines = shown(
        DayChange(FIRST, ("a1",), unchanged=1_000, in_place=2, new=1),
        DayChange(SECOND, (None, "b2"), unchanged=10, gone=4),
    )
    assert "2024-03-01 a1 1,000 2 0 1 0" in lines
    assert "2024-03-02 ?, b2 10 0 0 0 4" in lines
    assert "all 1,010 2 0 1 4" in lines
    assert lines[-1].startswith("To bring PostHog up to date: materialize staged_events, posthog_events")


def test_days_that_would_be_duplicated_come_with_examples_and_what_to_do() -> None:
    lines = shown(DayChange(FIRST, ("a1",), duplicated=3, examples=("one", "two", "three", "four")))
    text = " ".join(lines)
    assert "duplicated: PostHog would keep two versions for ever" in text
    assert "(for example one, two, three). Importing these days stops before anything is sent." in text
    assert "To bring PostHog up to date" not in text


def test_a_day_that_cannot_be_mapped_shows_why_and_no_numbers() -> None:
    lines = shown(DayChange(FIRST, ("a1",), failure="the table [orders] is gone"))
    assert "2024-03-01 a1 the table [orders] is gone" in lines
