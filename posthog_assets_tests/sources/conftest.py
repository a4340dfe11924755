"""What the tests of sources share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from posthog_assets.sources.http.api import sleeping_by


@pytest.fixture
def pauses() -> Iterator[list[float]]:
    """Pauses between requests take no time; what was to be waited is noted, in seconds."""
    waited: list[float] = []
    with sleeping_by(waited.append):
        yield waited
