"""Events held against a plan of what they may carry."""

from __future__ import annotations

from typing import Any

import pytest

from posthog_assets.mapping.steps import Rejected
from posthog_assets_tests.mapping.steps.applying import left

PLAN: dict[str, Any] = {
    "step": "schema",
    "required": ["total"],
    "properties": {
        "total": {"type": "number", "min": 0},
        "plan": {"values": ["free", "pro", 1]},
        "items": {"type": "array"},
    },
}


def test_what_keeps_to_the_plan_passes() -> None:
    good = {"total": 1.5, "plan": "pro", "items": [], "more": 1, "$ip": "1.1.1.1"}
    assert left(PLAN, dict(good)) == good
    assert left(PLAN, {"total": 0, "plan": None}) == {"total": 0, "plan": None}
    assert left(PLAN | {"unknown": "drop"}, dict(good)) == {
        "total": 1.5, "plan": "pro", "items": [], "$ip": "1.1.1.1"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"plan": "pro"}, "total is required: edit"),
        ({"total": "1"}, "total is not of type number: '1'"),
        ({"total": True}, "total is not of type number: 'True'"),
        ({"total": -1}, "total is less than 0: -1"),
        ({"total": 1, "plan": True}, "plan is none of the allowed values: 'True'"),
        ({"total": 1, "more": 1}, "property is not in the schema: more"),
    ],
)
def test_what_breaks_the_plan_is_rejected_with_the_reason(properties: dict[str, Any], reason: str) -> None:
    with pytest.raises(Rejected) as raised:
        left(PLAN | {"unknown": "reject"}, properties)
    assert str(raised.value) == reason


def test_a_wrong_value_may_be_dropped_instead() -> None:
    assert left(PLAN | {"invalid": "drop"}, {"total": 1, "plan": "gold"}) == {"total": 1}
    with pytest.raises(Rejected, match="total is required"):
        left(PLAN | {"invalid": "drop"}, {"total": "many"})
