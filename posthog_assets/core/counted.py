"""Numbers of things, as a sentence has them.

Belongs here: one thing or several. Does not belong here: what is counted.
"""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Return `1 day`, `0 days` or `1,250 days` of the noun `day`, whose plural ends in s."""
    return f"1 {noun}" if count == 1 else f"{count:,} {noun}s"
