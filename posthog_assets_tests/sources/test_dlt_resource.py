"""A day of a dlt resource, iterated in this process: rows, ends of the day, and what goes wrong."""

from __future__ import annotations

import os
import tracemalloc
from datetime import date
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dlt", reason="needs the extra posthog_assets[dlt]")

from posthog_assets.core.errors import ImportFileError, NoExport, SourceUnavailable
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.sources import load_source
from posthog_assets_tests.fakes.records_api import TOKEN, RecordsApi, day_of_records
from posthog_assets_tests.sources.rest.exporting import FIRST, export, ids_of, records_of

FAKES = "posthog_assets_tests.fakes.dlt_resources"


def section(function: str = "orders", **more: Any) -> dict[str, Any]:
    return {"type": "dlt", "resource": f"{FAKES}:{function}"} | more


def test_the_rows_of_a_resource_are_json_lines(tmp_path: Path) -> None:
    raw = export(section(), tmp_path)
    assert [(part.name, part.records) for part in raw.parts()] == [("rows.jsonl.zst", 3)]
    assert records_of(raw)[1] == {"id": 1, "at": "2024-03-01T01:00:00+00:00", "user": "ann", "total": "9.50"}


def test_dlts_own_rest_api_reads_all_pages(tmp_path: Path) -> None:
    with RecordsApi(day_of_records()) as api:
        arguments = {"base_url": f"{api.url}/v1", "token": TOKEN}
        raw = export(section("by_rest_api", arguments=arguments, day={"as": "epoch_seconds"}), tmp_path)
    assert ids_of(raw) == [f"r{number}" for number in range(10)]
    assert TOKEN not in (tmp_path / "shop/raw_export/2024-03-01/manifest.json").read_text()


def test_arrow_tables_are_rows_too_and_a_day_may_be_one_date(tmp_path: Path) -> None:
    raw = export(section("tables", day={"start": "day", "end": None, "as": "date"}), tmp_path)
    assert [row["at"] for row in records_of(raw)] == ["2024-03-01T10:00:00Z"] * 2


def test_the_day_is_that_of_the_time_zone(tmp_path: Path) -> None:
    raw = export(section(timezone="Europe/Berlin"), tmp_path)
    assert records_of(raw)[0]["at"] == "2024-03-01T00:00:00+01:00"


def test_a_day_without_rows_is_complete_without_parts(tmp_path: Path) -> None:
    assert export(section(arguments={"count": 0}), tmp_path).manifest().parts == ()


def test_nothing_of_dlts_own_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    export(section(), tmp_path / "data")
    assert [entry.name for entry in (tmp_path / "home").glob("**/pipelines")] == []
    assert os.environ["RUNTIME__DLTHUB_TELEMETRY"] == "false"


def test_a_resource_that_fails_leaves_no_part_and_can_be_run_again(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="failed: ConnectionError: the vendor hung up on [(]the key[)]"):
        export(section(arguments={"fail": True, "api_key": "s3cret"}), tmp_path)
    assert ids_of(export(section(), tmp_path)) == [0, 1, 2]


def test_a_day_that_is_pinned_is_not_read_again(tmp_path: Path) -> None:
    before = export(section(), tmp_path).manifest()
    assert export(section(), tmp_path).manifest() == before


def test_a_day_that_is_not_over_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoExport, match="is complete at"):
        export(section(), tmp_path, day=date.today())  # noqa: DTZ011


WRONG = [
    (section("nothing"), "cannot be imported"),
    (section("NOT_A_FUNCTION"), "is no function"),
    (section(day={"start": "since"}), "does not take these arguments"),
    (section() | {"resource": f"{FAKES}_none:orders"}, "cannot be imported"),
]


@pytest.mark.parametrize(("wrong", "words"), WRONG, ids=[words for _, words in WRONG[:3]] + ["no such module"])
def test_a_wrong_resource_is_refused_with_what_is_wrong(wrong: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match=words):
        export(wrong, tmp_path)


def test_a_resource_that_is_no_path_is_refused() -> None:
    with pytest.raises(ValueError, match="resource"):
        load_source({"type": "dlt", "resource": "orders"})


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    export(section(), tmp_path / "warm")
    tracemalloc.start()
    export(section("many", day={"start": "start", "end": None}), tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 20,000 rows of 500 bytes are 10 MB.
    assert peak < 5_000_000


def test_its_events_are_mapped_like_any_others(tmp_path: Path) -> None:
    imp = Import.read(
        {
            "name": "orders", "start_date": FIRST, "storage": str(tmp_path), "source": section(),
            "dialect": {
                "type": "columns", "event": {"value": "ordered"}, "user_id": {"column": "user"},
                "timestamp": {"column": "at"}, "source_id": {"column": "id"},
            },
        }
    )  # fmt: skip
    export_day(imp, FIRST)
    stage_day(imp, FIRST)
    assert transform_day(imp, FIRST).events_by_name == {"ordered": 3}
