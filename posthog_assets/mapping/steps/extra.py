"""Libraries that only some steps need.

Belongs here: saying that one is missing. Does not belong here: using it.
"""

from __future__ import annotations

from importlib.util import find_spec


def need(module: str, step: str) -> None:
    """Raise ValueError where a step's library is not installed."""
    if find_spec(module) is None:
        raise ValueError(f"the step {step} needs another package: pip install 'posthog_assets[enrich]'")
