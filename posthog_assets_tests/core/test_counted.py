"""Numbers of things, as a sentence has them."""

from __future__ import annotations

import pytest

from posthog_assets.core.counted import counted


@pytest.mark.parametrize(("count", "words"), [(0, "0 days"), (1, "1 day"), (2, "2 days"), (1_250, "1,250 days")])
def test_one_thing_is_no_several(count: int, words: str) -> None:
    assert counted(count, "day") == words
