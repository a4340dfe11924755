"""Some records of a day, fetched as an export fetches them, and nothing kept."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from posthog_assets.core.errors import SourceError
from posthog_assets.pipeline.api_sample import sample_day
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets_tests.conftest import small_import

DAY = date(2024, 3, 1)


def importing(tmp_path: Path, *files: str) -> Import:
    (tmp_path / "exports").mkdir()
    for number, text in enumerate(files):
        (tmp_path / f"exports/{DAY}-{number}.jsonl").write_text(text)
    return small_import(tmp_path, source={"type": "files", "path": str(tmp_path / "exports/{day}-*.jsonl")})


def test_no_more_records_are_returned_than_were_asked_for(tmp_path: Path) -> None:
    sample = sample_day(importing(tmp_path, '{"n":1}\n{"n":2}\n{"n":3}\n'), DAY, 2)
    assert ([record["n"] for record in sample.records], sample.is_whole) == ([1, 2], False)


def test_the_first_part_with_records_is_enough(tmp_path: Path) -> None:
    sample = sample_day(importing(tmp_path, "", '{"n":1}\n', '{"n":2}\n'), DAY, 9)
    assert ([record["n"] for record in sample.records], sample.is_whole, sample.too_large) == ([1], False, False)


def test_a_day_without_records_is_known_as_a_whole(tmp_path: Path) -> None:
    sample = sample_day(importing(tmp_path, "", ""), DAY, 9)
    assert (sample.records, sample.flaws, sample.is_whole) == ([], [], True)


def test_records_that_cannot_be_read_count_and_give_their_reason(tmp_path: Path) -> None:
    sample = sample_day(importing(tmp_path, '{"n":1}\nbroken\n{"n":2}\n'), DAY, 2)
    assert (len(sample.records), len(sample.flaws)) == (1, 1)


def test_nothing_is_kept(tmp_path: Path) -> None:
    imp = importing(tmp_path, '{"n":1}\n')
    sample_day(imp, DAY, 9)
    assert not (tmp_path / "data").exists() or imp.store.folders("raw_export") == []


def test_what_goes_wrong_is_the_sources_own_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        sample_day(importing(tmp_path), DAY, 9)
