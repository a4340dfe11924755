"""The steps a mapping may list, each a small change to one event.

Belongs here: their names in the import file. Does not belong here: what they do; one module a theme.
"""

from __future__ import annotations

from typing import Any, Final

from posthog_assets.core.rejection import Rejected
from posthog_assets.core.sections import load_by_type
from posthog_assets.mapping.steps.base import Event, Files, Step
from posthog_assets.mapping.steps.case import Case
from posthog_assets.mapping.steps.currency import Currency
from posthog_assets.mapping.steps.geoip import Geoip
from posthog_assets.mapping.steps.privacy import Hash, Redact
from posthog_assets.mapping.steps.properties import Add, Drop, Keep, Rename
from posthog_assets.mapping.steps.sample import Sample
from posthog_assets.mapping.steps.schema import Schema
from posthog_assets.mapping.steps.shape import Flatten, Nulls, Unpack
from posthog_assets.mapping.steps.types import TimestampParts, Types
from posthog_assets.mapping.steps.url import Url
from posthog_assets.mapping.steps.user_agent import UserAgent

__all__ = ["STEPS", "Event", "Files", "Rejected", "Step", "load_step"]

STEPS: Final[dict[str, type[Step]]] = {
    "rename": Rename,
    "drop": Drop,
    "keep": Keep,
    "add": Add,
    "case": Case,
    "flatten": Flatten,
    "unpack": Unpack,
    "nulls": Nulls,
    "types": Types,
    "schema": Schema,
    "timestamp_parts": TimestampParts,
    "url": Url,
    "user_agent": UserAgent,
    "geoip": Geoip,
    "currency": Currency,
    "hash": Hash,
    "redact": Redact,
    "sample": Sample,
}


def load_step(value: Any) -> Step:
    """Return the step that an item of `mapping.steps` describes; raises ValueError saying what is wrong."""
    step = load_by_type(value, STEPS, Step, key="step")
    kind = type(step)
    if kind.apply is Step.apply and kind.ready is Step.ready:
        raise ValueError(f"step {kind.__module__}.{kind.__name__} needs the method apply, or ready; it has neither")
    return step
