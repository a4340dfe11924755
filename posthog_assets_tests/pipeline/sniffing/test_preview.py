"""What sampled records would become, without a credential."""

from __future__ import annotations

from typing import Any

import pytest

from posthog_assets.pipeline.sniffing.preview import _diverse, without_variables


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"a": "{{ env.KEY }}", "b": ["{{ env.X }}", "plain"], "c": 5}, {"a": "", "b": ["", "plain"], "c": 5}),
        ("https://x/{{ day }}", "https://x/{{ day }}"),
    ],
)
def test_only_values_that_are_a_variable_are_emptied(given: Any, found: Any) -> None:
    assert without_variables(given) == found


def test_samples_are_of_as_many_kinds_as_there_is_room_for() -> None:
    kinds = ["view", "view", "view", "buy", "view", "odd", "buy"]
    assert _diverse(kinds, 3) == [0, 3, 5]
    assert _diverse(kinds, 5) == [0, 3, 5, 1, 6]
    assert _diverse(kinds, 99) == [0, 3, 5, 1, 6, 2, 4]
