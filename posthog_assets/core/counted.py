"""Numbers of things, as a sentence has them.

Belongs here: one thing or several, and sizes. Does not belong here: what is counted.
"""

from __future__ import annotations

from typing import Final

#: Fewer bytes are kilobytes: a file of 0.0 MB is none.
_SMALL: Final = 100_000


def counted(count: int, noun: str) -> str:
    """Return `1 day`, `0 days` or `1,250 days` of the noun `day`, whose plural ends in s."""
    return f"1 {noun}" if count == 1 else f"{count:,} {noun}s"


def sized(count: int) -> str:
    """Return a number of bytes as `1.5 kB` or `1,250.0 MB`."""
    return f"{count / 1e6:,.1f} MB" if count >= _SMALL else f"{count / 1e3:,.1f} kB"
