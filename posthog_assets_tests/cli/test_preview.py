"""A preview in a terminal, as Markdown and as a page."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from posthog_assets.cli.preview import sample_lines, sample_panel
from posthog_assets.pipeline.preview.preview import Sample
from posthog_assets_tests.records.shop import invoke, write_import

AFTER = {"event": "page", "distinct_id": "ann", "properties": {"colour": "red", "added": 1}}


def printed(sample: Sample, most: int | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=60)
    console.print(sample_lines(sample, most))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("form", ["terminal", "markdown", "html"])
def test_a_preview_is_shown_in_three_forms(form: str, project: Path, tmp_path: Path) -> None:
    write_import(project, "http://127.0.0.1:9")
    page = tmp_path / "page.html"
    options = {"terminal": [], "markdown": ["--markdown"], "html": ["--html", str(page)]}[form]
    result = invoke(project, "preview", "shop", "--day", "2024-03-01", *options)
    assert result.exit_code == 0, result.output
    text = page.read_text() if form == "html" else result.output
    assert "5 raw records become 4 rows" in text
    assert "5 records - 1 rejected by the dialect + 0 derived = 4 rows" in text
    assert "timestamp cannot be read" in text
    assert "$geoip_disable" in text
    if form == "markdown":
        assert "| page | 3 |" in text
        assert json.dumps("ann") in text


def test_fields_beyond_the_most_are_counted() -> None:
    sample = Sample(("part", 1), {"event": "page", "user": "ann", "color": "red", "left": 1}, AFTER, None)
    assert len(printed(sample)) == 5
    assert len(printed(sample, 5)) == 5
    assert printed(sample, 3)[3:] == ["  … and 2 fields more"]


def test_a_rejected_record_is_its_reason_and_what_is_in_it_neither_of_them_markup() -> None:
    sample = Sample(("part", 2), {"at": "[bold]\x1b[31m"}, None, "timestamp cannot be read: '[red]soon'")
    assert printed(sample) == ["timestamp cannot be read: '[red]soon'", '{"at":"[bold]\\u001b[31m"}']


def test_a_frame_is_no_wider_than_its_lines_where_output_is_piped() -> None:
    console = Console(file=io.StringIO(), width=60)
    console.print(sample_panel(Sample(None, {}, None, "why"), "a :package: [red]\n", console))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "╭─ a :package: [red]\\x0a ─╮",
        "│ why                     │",
        "│ {}                      │",
        "╰─────────────────────────╯",
    ]
