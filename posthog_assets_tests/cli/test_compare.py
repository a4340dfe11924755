"""What is printed of a comparison with the source's own numbers."""

from __future__ import annotations

import io
from datetime import date

from rich.console import Console

from posthog_assets.cli.compare import show
from posthog_assets.pipeline.source_counts import Comparison, Row

DAY = date(2024, 3, 1)


def shown(found: Comparison) -> list[str]:
    console = Console(file=io.StringIO(), width=200)
    show("shop", found, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_where_all_is_explained_there_is_one_sentence() -> None:
    lines = shown(Comparison(0.01, [Row(DAY, "page", source=100, arrived=97, rejected=3)]))
    assert lines == [
        "shop: of 100 events that the source counts, 97 arrived; what became of the others is known, to 1.0%"
    ]


def test_what_differs_is_a_table_with_the_largest_difference_first() -> None:
    rows = [Row(DAY, "page", source=1_000, arrived=990), Row(DAY, "buy", source=100, arrived=40, owed=10)]
    lines = [" ".join(line.split()) for line in shown(Comparison(0.0, rows)) if line.strip()]
    assert lines[0].endswith("most of all buy of 2024-03-01: 50 fewer than the source counts")
    assert lines[-2:] == ["2024-03-01 buy 100 40 0 0 0 0 10 0 50", "2024-03-01 page 1,000 990 0 0 0 0 0 0 10"]


def test_more_differences_than_fit_are_counted_and_events_without_a_number_are_named() -> None:
    rows = [Row(DAY, f"event {number}", source=10) for number in range(23)]
    lines = shown(Comparison(0.0, rows, not_asked=["$identify", "[red]odd[/red]"]))
    assert lines[1] == "Not compared: $identify, [red]odd[/red]"
    assert lines[-1] == "3 more"
