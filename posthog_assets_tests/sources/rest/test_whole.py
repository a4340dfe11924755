"""An API that is read as a whole: who reads, and what is left of a reading that lost its right to."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from posthog_assets.core.errors import PartitionLost
from posthog_assets.sources.files.record_days import Days
from posthog_assets.sources.formats import Format, Framing
from posthog_assets.sources.manifest import RawExport
from posthog_assets.sources.rest.whole import Whole
from posthog_assets.storage.store import Store
from posthog_assets.storage.timing import Timing

NOW = datetime(2024, 3, 2, tzinfo=UTC)


def test_a_reading_that_was_stopped_for_long_writes_nothing_more() -> None:
    seconds = 1000.0
    store = Store(f"memory://whole-{uuid.uuid4().hex}", "shop", timing=Timing(now=lambda: seconds))

    def read(raw: RawExport, key: str) -> None:
        nonlocal seconds
        seconds += 120
        with raw.part("page-1.json", Framing(Format.JSON), "the API") as sink:
            sink.write(b"[]")

    whole = Whole(store, "all", "day", Days(UTC, None, None), "1")
    with pytest.raises(PartitionLost, match="no longer holds shop/whole for all"):
        whole.split(NOW, NOW, read)
    assert store.names("raw_export/.whole-all") == ["manifest.json"]
