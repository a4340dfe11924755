"""What mapping one day notes in its file, how it tells how far it is, and when rows count as sorted."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posthog_assets.core.errors import MissingUpstream
from posthog_assets.core.schemas import STAGED_EVENTS
from posthog_assets.mapping.sorting import Floors
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import TwoPhaseProgress, _fits, _stamps, transform_day
from posthog_assets.storage.layout import events_path
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.records.four_lines import DAY, exported


def staged(tmp_path: Path, **changes: Any) -> Import:
    imp = exported(tmp_path, **changes)
    stage_day(imp, DAY)
    return imp


def metadata(imp: Import) -> dict[bytes, bytes]:
    return pq.read_metadata(imp.store.path(events_path(DAY)).path).metadata


def test_the_file_says_by_which_mapping_its_events_were_made(tmp_path: Path) -> None:
    imp = staged(tmp_path)
    report = transform_day(imp, DAY)
    assert (report.staged, report.staged_rejected, report.rows, report.rejected) == (4, 1, 3, 1)
    assert metadata(imp)[b"posthog_assets.mapping"].decode() == imp.mapping_version


def test_the_file_names_the_group_types_of_its_events(tmp_path: Path) -> None:
    imp = staged(tmp_path, mapping={"properties": {"add": {"$groups": {"team": "t", "company": "c"}}}})
    transform_day(imp, DAY)
    assert [text for text in metadata(imp).values() if text == b'["company","team"]']


def test_a_day_that_was_not_staged_says_what_to_materialize(tmp_path: Path) -> None:
    with pytest.raises(MissingUpstream, match="staged_events"):
        transform_day(small_import(tmp_path), DAY)


def test_reading_is_one_half_of_the_way_and_writing_the_other() -> None:
    told: list[tuple[int, int]] = []
    phases = TwoPhaseProgress(10, lambda done, total: told.append((done, total)))
    batch = pa.RecordBatch.from_pydict({"n": [1, 2, 3, 4]})
    list(phases.read(iter([batch, batch])))
    assert told == [(2, 10), (4, 10)]


def staged_file(*minutes: int | None) -> io.BytesIO:
    noon = datetime(2024, 3, 1, 12, tzinfo=UTC)
    rows = [{"timestamp": None if at is None else noon + timedelta(minutes=at)} for at in minutes]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=STAGED_EVENTS), file, row_group_size=2)
    return file


@pytest.mark.parametrize(
    ("minutes", "is_sorted"),
    [
        ([], True),
        ([5], True),
        ([1, 2, 2, 9], True),
        ([1, 3, 2, 9], False),
        ([1, 2, 3, 2], False),
        ([1, None, 2, None, 3], True),
    ],
)
def test_rows_are_sorted_where_no_time_goes_back_within_or_between_groups(
    minutes: list[int | None], is_sorted: bool
) -> None:
    assert Floors(_stamps(staged_file(*minutes))).is_sorted is is_sorted


def test_rows_that_are_nearly_in_order_wait_in_memory() -> None:
    file = staged_file(1, 3, 2, 9)
    assert _fits(Floors(_stamps(file)), pq.read_metadata(file))
