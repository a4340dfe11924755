"""How many examples a test of many tries.

Belongs here: the two sizes of the suite. Does not belong here: any property.

The tests of every day try a third of the examples that a test names; `HYPOTHESIS_PROFILE=thorough` tries all.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

from hypothesis import settings

T = TypeVar("T")

#: A profile's name says how many of the named examples are tried.
_SHARES = {"quick": 1 / 3, "thorough": 1.0}

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")


def examples(most: int) -> int:
    """Return how many of *most* examples are tried."""
    return max(5, round(most * _SHARES[PROFILE]))


def some(items: Sequence[T], turn: int = 0) -> Sequence[T]:
    """Return the share of *items* that is tried: each of them, or every third; *turn* says with which to begin."""
    stride = round(1 / _SHARES[PROFILE])
    return items[turn % stride :: stride]


def load_profile() -> None:
    """Make the profile the one of all property tests; how long an example takes says something of the machine only."""
    for name, share in _SHARES.items():
        settings.register_profile(name, deadline=None, max_examples=max(5, round(100 * share)))
    settings.load_profile(PROFILE)
