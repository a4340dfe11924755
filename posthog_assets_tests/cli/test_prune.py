"""What is printed of a pruning."""

from __future__ import annotations

import io
from datetime import date

from rich.console import Console

from posthog_assets.cli.prune import show
from posthog_assets.pipeline.upkeep.leftovers import Leftover
from posthog_assets.pipeline.upkeep.prune import Pruned, Pruning


def shown(done: Pruning, *, dry_run: bool = False) -> list[str]:
    console = Console(file=io.StringIO(), width=100)
    show("shop", done, console, dry_run=dry_run)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_an_asset_is_a_line_with_its_days_and_bytes() -> None:
    done = Pruning([Pruned(date(2024, 3, day), "raw_export", 600) for day in (2, 1)])
    lines = shown(done)
    assert [line.split() for line in lines if "raw_export" in line] == [
        ["raw_export", "2", "2024-03-01", "2024-03-02", "1,200"]
    ]
    assert not any("staged_events" in line for line in lines)
    assert lines[-1] == "shop: 1,200 bytes freed"


def test_days_that_stay_are_named_with_the_reason_the_first_three_of_many() -> None:
    left = {"not old enough": [date(2024, 3, day) for day in range(1, 6)], "owes events": [date(2024, 3, 9)]}
    assert shown(Pruning(left=left))[:2] == [
        "5 days stay: not old enough: 2024-03-01, 2024-03-02, 2024-03-03 and 2 more",
        "1 day stays: owes events: 2024-03-09",
    ]


def test_a_leftover_is_named_and_counts_and_a_dry_run_frees_nothing() -> None:
    done = Pruning(leftovers=[Leftover("/tmp/[x]", "working folder of a killed process", 7)])
    assert shown(done, dry_run=True) == [
        "working folder of a killed process: /tmp/[x], 7 bytes", "shop: 7 bytes would be freed",
    ]  # fmt: skip
