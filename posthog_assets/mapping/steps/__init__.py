"""The steps a mapping may list, each a small change to one event.

Belongs here: their names in the import file. Does not belong here: what they do; one module a theme.
"""

from __future__ import annotations

from typing import Any, Final

from posthog_assets.core.rejection import Rejected
from posthog_assets.core.sections import load_by_type
from posthog_assets.core.types_by_name import TypesByName
from posthog_assets.mapping.steps.base import Event, Files, Step

__all__ = ["STEPS", "Event", "Files", "Rejected", "Step", "load_step"]

STEPS: Final[TypesByName[Step]] = TypesByName(
    {
        "rename": f"{__name__}.properties:Rename",
        "drop": f"{__name__}.properties:Drop",
        "keep": f"{__name__}.properties:Keep",
        "add": f"{__name__}.properties:Add",
        "case": f"{__name__}.case:Case",
        "flatten": f"{__name__}.shape:Flatten",
        "unpack": f"{__name__}.shape:Unpack",
        "nulls": f"{__name__}.shape:Nulls",
        "types": f"{__name__}.types:Types",
        "schema": f"{__name__}.schema:Schema",
        "timestamp_parts": f"{__name__}.types:TimestampParts",
        "url": f"{__name__}.url:Url",
        "user_agent": f"{__name__}.user_agent:UserAgent",
        "geoip": f"{__name__}.geoip:Geoip",
        "currency": f"{__name__}.currency:Currency",
        "hash": f"{__name__}.privacy:Hash",
        "redact": f"{__name__}.privacy:Redact",
        "sample": f"{__name__}.sample:Sample",
    }
)


def load_step(value: Any) -> Step:
    """Return the step that an item of `mapping.steps` describes; raises ValueError saying what is wrong."""
    step = load_by_type(value, STEPS, Step, key="step")
    kind = type(step)
    if kind.apply is Step.apply and kind.ready is Step.ready:
        raise ValueError(f"step {kind.__module__}.{kind.__name__} needs the method apply, or ready; it has neither")
    return step
