"""Reasons are counted by their heads, everywhere alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from posthog_assets.core.rejection import reason_head
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets_tests.records.shop import DAY, invoke, write_import


@pytest.mark.parametrize(
    ("reason", "head"),
    [
        ("timestamp is no instant: 'soon'", "timestamp is no instant"),
        ("time 10:30 is twice: 2", "time 10:30 is twice"),
        ("left out, a:b", "left out, a:b"),
        ("", ""),
    ],
)
def test_the_head_ends_at_the_first_colon_with_a_space(reason: str, head: str) -> None:
    assert reason_head(reason) == head


def test_the_command_line_counts_as_the_report_does(project: Path) -> None:
    lines = [{"id": str(n), "user": "ann", "at": f"{n}:30 o'clock", "what": "page"} for n in range(3)]
    (project / "exports/2024-03-01.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    imp = write_import(project, "http://127.0.0.1:9")
    export_day(imp, DAY)
    reasons = stage_day(imp, DAY).reject_reasons
    assert list(reasons.values()) == [3]
    shown = invoke(project, "rejected", "shop", "--day", str(DAY)).output
    assert f"{next(iter(reasons))} " in shown
    assert shown.count("3 │") == 1
