"""A preview shows names and values of strangers as text, wherever it is read."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from posthog_assets.cli.preview import show
from posthog_assets.pipeline.preview.markdown import markdown
from posthog_assets.pipeline.preview.page import html
from posthog_assets.pipeline.preview.preview import Preview, preview_day
from posthog_assets_tests.records.shop import DAY, write_import

HOSTILE = {
    "id": "1", "user": "ann", "at": "2024-03-01T10:00:00Z",
    "what": "<script>alert(1)</script>![](http://127.0.0.1/p)\x1b]0;owned\x07[red]",
    "note": "```\n![](http://127.0.0.1/q)\n<img src=x>\x1b[2J",
}  # fmt: skip


@pytest.fixture
def seen(project: Path) -> Preview:
    imp = write_import(project, "http://127.0.0.1:9")
    (project / "exports/2024-03-01.jsonl").write_text(json.dumps(HOSTILE) + "\n")
    return preview_day(imp, DAY)


def test_in_markdown_no_picture_link_or_tag_comes_of_it(seen: Preview) -> None:
    text = markdown(seen)
    # A block ends at a line of as many backticks as it began with.
    outside = re.sub(r"^(`{3,})diff\n.*?\n\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "![](" not in outside
    assert "<script>" not in outside
    assert "&#60;script&#62;alert(1)" in outside
    assert "\x1b" not in text


def test_in_a_terminal_no_escape_sequence_and_no_markup_comes_of_it(seen: Preview) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=200, highlight=False)
    show(seen, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b]0;" not in text
    assert "\x1b[2J" not in text
    assert "\\x1b]0;owned\\x07[red]" in text


def test_in_a_page_it_is_no_tag(seen: Preview) -> None:
    page = html(seen)
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)" in page
