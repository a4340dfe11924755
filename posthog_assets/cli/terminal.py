"""Where commands print.

Belongs here: how wide output is. Does not belong here: what a command prints.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from rich.console import Console

#: Output that is read by a program is never broken into lines: a path or a sentence stays whole.
_PIPED: Final = 100_000


def open_console(*, stderr: bool = False) -> Console:
    """Return a console as wide as the terminal; without one it breaks no line, unless COLUMNS gives a width.

    With *stderr* it prints beside an output that a program reads.
    """
    piped = not (sys.stderr if stderr else sys.stdout).isatty() and not os.environ.get("COLUMNS")
    # An event called order:package:sent is shown as it is called, without a picture of a package in its name.
    return Console(width=_PIPED if piped else None, stderr=stderr, emoji=False)
