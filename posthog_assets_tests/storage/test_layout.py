"""The paths of the storage folder: those in which earlier releases left their days."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from posthog_assets.core.partitions import Partition
from posthog_assets.storage import layout


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (layout.export_folder, "raw_export/2015-09-12"),
        (layout.manifest_path, "raw_export/2015-09-12/manifest.json"),
        (layout.staged_path, "staged_events/2015-09-12.parquet"),
        (layout.events_path, "posthog_events/2015-09-12.parquet"),
        (layout.delivery_folder, "imported_batches/2015-09-12"),
        (layout.ledger_path, "imported_batches/2015-09-12/ledger.parquet"),
        (layout.rejected_path, "imported_batches/2015-09-12/rejected.parquet"),
        (layout.landed_path, "landed_events/2015-09-12.parquet"),
        (layout.day_facts_path, "history_facts/days/2015-09-12.parquet"),
    ],
)
def test_a_day_stands_in(path: Callable[[Partition], str], expected: str) -> None:
    assert path(date(2015, 9, 12)) == path("2015-09-12") == expected


def test_what_has_no_days_stands_under_its_name() -> None:
    assert layout.export_folder("people") == "raw_export/people"
    assert layout.events_path(date(1, 1, 1)) == "posthog_events/0001-01-01.parquet"
    assert layout.persons_path() == "history_facts/persons.parquet"
    assert layout.links_path() == "history_facts/links.parquet"


def test_no_day_is_called_as_the_folder_of_files_that_hold_many() -> None:
    assert layout.SPLITS == "raw_export/.split"
