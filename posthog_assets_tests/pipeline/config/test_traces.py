"""What an import leaves in PostHog beside its events: which of it is wanted."""

from __future__ import annotations

from typing import Any

import pytest

from posthog_assets.pipeline.config.traces import Described, Traces


def test_a_text_alone_is_the_description() -> None:
    assert Traces.model_validate({"describe": {"page": "A page was seen"}}).describe == {
        "page": Described(description="A page was seen")
    }


@pytest.mark.parametrize(
    ("given", "wanted"),
    [({}, False), ({"annotation": True}, True), ({"cohort": True}, True), ({"describe": {"a": "b"}}, True)],
)
def test_nothing_is_left_unless_something_is_asked_for(given: dict[str, Any], wanted: bool) -> None:
    assert Traces.model_validate(given).wanted is wanted
