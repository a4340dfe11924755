"""Text of strangers cannot act where it is shown."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from posthog_assets.core.markup import as_shown, code_block, markdown_text, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ünïcödé, 日本語 and 🎉", "plain text, ünïcödé, 日本語 and 🎉"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("two\nlines\r\n", "two\\x0alines\\x0d\\x0a"),
        ("left\u202eright", "left\\u202eright"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("line\u2028separator", "line\\u2028separator"),
        ("tag\U000e0041", "tag\\U000e0041"),
    ],
)
def test_what_is_not_seen_is_spelled_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("![](http://127.0.0.1/pixel)", "!&#91;&#93;(http&#58;//127.0.0.1/pixel)"),
        ("<img src=x>", "&#60;img src=x&#62;"),
        ("a|b", "a&#124;b"),
        ("`code`", "&#96;code&#96;"),
        ("# not a heading", "&#35; not a heading"),
        ("$pageview costs (about) 5: cheap!", "$pageview costs (about) 5: cheap!"),
    ],
)
def test_markdown_shows_it_as_it_is(text: str, escaped: str) -> None:
    assert markdown_text(text) == escaped


def test_nothing_inside_a_code_block_ends_it() -> None:
    assert code_block("a\n```\n![](http://x)", "diff") == "````diff\na\n```\n![](http://x)\n````"


def test_a_terminal_shows_markup_and_escape_sequences_as_text() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=80, highlight=False)
    hostile = "[bold]x[/bold] [link=http://x]y[/link] \x1b[2J\nnext"
    console.print(f"[red]{as_shown(hostile)}[/red]")
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[bold]x[/bold] [link=http://x]y[/link] \\x1b[2J" in shown
    assert "\x1b[2J" not in shown
    assert "next" in shown
