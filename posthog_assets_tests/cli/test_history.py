"""What is printed of the facts of all days."""

from __future__ import annotations

import io

from rich.console import Console

from posthog_assets.cli.history import show
from posthog_assets.pipeline.history_facts import HistoryReport


def shown(report: HistoryReport, *, asks: bool = True) -> str:
    console = Console(file=io.StringIO(), width=300)
    show("shop", report, console, asks=asks)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_first_line_has_the_numbers_of_the_whole_history() -> None:
    text = shown(
        HistoryReport(days=3, events=12_345, persons=6, links=5, refused_merges=1, shared_devices=2, seconds=1.25)
    )
    assert text.splitlines()[0] == (
        "shop: 12,345 events of 6 persons on 3 staged days; 5 pairs of ids, of which PostHog will refuse to merge 1; "
        "2 devices of several users (1.2 s)"
    )


def test_days_that_were_made_of_other_facts_are_named() -> None:
    text = shown(HistoryReport(changed_days=["2024-03-01", "2024-03-02"]))
    assert "2 mapped days were made of other facts" in text
    assert text.rstrip().endswith("again: 2024-03-01, 2024-03-02")


def test_that_all_days_agree_is_said_only_where_the_mapping_asks() -> None:
    assert "every mapped day was made of these facts" in shown(HistoryReport())
    assert "every mapped day" not in shown(HistoryReport(), asks=False)


def test_an_id_that_looks_like_markup_is_text() -> None:
    assert "[red]ann" in shown(HistoryReport(largest_persons=[{"person": "[red]ann", "events": 1_000}]))
