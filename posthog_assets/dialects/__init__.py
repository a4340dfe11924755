"""How one vendor's record reads.

Belongs here: dialects, and finding the one an import file names. Does not belong here: fetching (`sources`), or what
the record is to be in PostHog (`mapping`).
"""

from __future__ import annotations

from typing import Any, Final

from posthog_assets.dialects.base import Dialect
from posthog_assets.dialects.columns import Columns
from posthog_assets.dialects.mixpanel import Mixpanel
from posthog_assets.settings import load_by_type

__all__ = ["DIALECTS", "Columns", "Dialect", "Mixpanel", "load_dialect"]

DIALECTS: Final[dict[str, type[Dialect]]] = {"columns": Columns, "mixpanel": Mixpanel}


def load_dialect(value: Any) -> Dialect:
    """Return the dialect that a `dialect` section describes; raises ValueError saying what is wrong."""
    return load_by_type(value, DIALECTS, Dialect)
