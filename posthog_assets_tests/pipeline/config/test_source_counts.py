"""The section `source_counts` of the import file."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from posthog_assets.pipeline.config.source_counts import SourceCounts


def test_an_empty_section_asks_the_source_and_forgives_a_hundredth() -> None:
    assert SourceCounts.model_validate({}).model_dump() == {
        "path": None, "storage_options": {}, "timezone": None, "events": [], "tolerance": 0.01,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"path": ""}, "path"),
        ({"tolerance": -0.01}, "tolerance"),
        ({"tolerance": 1.01}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"events": "page"}, "events"),
        ({"event": ["page"]}, "event"),
    ],
)
def test_a_wrong_section_is_refused(section: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SourceCounts.model_validate(section)


def test_credentials_of_the_files_storage_are_not_shown() -> None:
    section = SourceCounts.model_validate({"path": "s3://a/b.csv", "storage_options": {"secret": "hunter2"}})
    assert "hunter2" not in repr(section)
    assert "s3://a/b.csv" in repr(section)
