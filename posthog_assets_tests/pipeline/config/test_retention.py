"""How long what was imported stays in the storage."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.pipeline.config.retention import Retention
from posthog_assets_tests.conftest import small_import


@pytest.mark.parametrize(
    ("retention", "words"),
    [
        ({"raw_export": "forever"}, "retention.raw_export"),
        ({"raw_export": -1}, "greater than or equal to 0"),
        ({"imported_batches": 7}, "retention.imported_batches: is no field here"),
    ],
)
def test_a_wrong_retention_is_refused(tmp_path: Path, retention: dict[str, Any], words: str) -> None:
    with pytest.raises(ImportFileError, match=words):
        small_import(tmp_path, retention=retention)


def test_an_asset_that_the_import_file_does_not_name_stays_for_ever() -> None:
    retention = Retention(raw_export=30)
    assert (retention.of("raw_export"), retention.of("staged_events")) == (timedelta(days=30), None)


def test_no_days_at_all_is_a_time_too() -> None:
    assert Retention(posthog_events=0).prunes
    assert not Retention().prunes
