"""Text of strangers, made harmless for the place where it is shown.

Belongs here: event names, property values, reasons and answers of servers, on their way into a terminal, Markdown or
HTML. Does not belong here: the pages and tables around them.

The sender of an event chooses its name: it may be a script, a Markdown picture that loads from elsewhere, an escape
sequence that retitles the terminal, or a line break that ends a code block.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

#: Categories of characters that are not seen or that change how others are seen: controls, formats (directions of
#: text, joiners), surrogates, private use, and the separators of lines and paragraphs.
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})

_ASCII_HIDDEN: Final = re.compile(r"[\x00-\x1f\x7f]")

#: What Markdown, and the HTML inside it, give a meaning to wherever it stands; an address becomes a link by its `://`.
_MARKDOWN: Final = re.compile(r"[\\`*_\[\]<>#|~&]|:(?=//)")


def visible(text: str) -> str:
    """Return *text* on one line, its invisible characters spelled out as `\\x1b` or `\\u202e`."""
    if text.isascii() and not _ASCII_HIDDEN.search(text):
        return text
    return "".join(
        _spelled(character) if unicodedata.category(character) in _HIDDEN else character for character in text
    )


def visible_lines(text: str) -> str:
    """Return *text* as `visible` does, with its lines kept."""
    return "\n".join(map(visible, text.split("\n")))


def _spelled(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def markdown_text(text: str) -> str:
    """Return *text* so that Markdown shows it as it is: no link, picture, tag, heading or table cell comes of it."""
    return _MARKDOWN.sub(lambda found: f"&#{ord(found[0])};", visible(text))


def as_shown(text: str) -> str:
    """Return *text* so that rich prints it as it is, its lines kept: no markup, no escape sequence comes of it."""
    from rich.markup import escape

    return escape(visible_lines(text))


def code_block(text: str, language: str = "") -> str:
    """Return *text* as a fenced block of Markdown that nothing inside it can end."""
    lines = visible_lines(text)
    longest = max((len(run) for run in re.findall(r"`+", lines)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{lines}\n{fence}"
