"""What the README says about moving and deleting folders of the storage."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.capture_server import CaptureServer
from posthog_assets_tests.fakes.object_store import options, s3_server

DAY = date(2024, 3, 1)


def write_day(folder: Path, events: int = 12) -> None:
    (folder / "exports").mkdir(exist_ok=True)
    (folder / f"exports/{DAY}.jsonl").write_text(
        "".join(
            f'{{"id":"{n}","user":"u{n % 5}","at":"2024-03-01T10:00:{n:02}Z","what":"page"}}\n' for n in range(events)
        )
    )


def to(server: CaptureServer) -> dict[str, object]:
    return {"host": server.url, "project_api_key": "phc_any", "batch_events": 5}


def run(imp: Import) -> tuple[int, int]:
    """Run all steps of the day; returns (sent, acknowledged)."""
    export_day(imp, DAY)
    stage_day(imp, DAY)
    transform_day(imp, DAY)
    report = deliver_day(imp, DAY)
    return report.sent, report.acknowledged


@pytest.mark.parametrize("folder", ["raw_export", "staged_events", "posthog_events", "landed_events", ".locks"])
def test_a_folder_that_can_be_made_again_may_be_deleted(tmp_path: Path, folder: str) -> None:
    write_day(tmp_path)
    with CaptureServer() as server:
        imp = small_import(tmp_path, destination=to(server))
        assert run(imp) == (12, 12)
        shutil.rmtree(tmp_path / "data/small" / folder, ignore_errors=True)
        assert run(imp) == (0, 12)


def test_without_the_ledger_everything_is_sent_again_under_the_same_uuids(tmp_path: Path) -> None:
    write_day(tmp_path)
    with CaptureServer() as server:
        imp = small_import(tmp_path, destination=to(server))
        run(imp)
        shutil.rmtree(tmp_path / "data/small/imported_batches")
        assert run(imp) == (12, 12)
        assert (len(server.stored), len({event["uuid"] for event in server.stored})) == (24, 12)


@pytest.mark.end_to_end
def test_an_import_moves_from_a_disk_to_an_object_store_and_sends_nothing_again(tmp_path: Path) -> None:
    s3fs = pytest.importorskip("s3fs", reason="needs the extra posthog_assets[s3]")
    pytest.importorskip("moto", reason="needs moto[server]")
    write_day(tmp_path)
    with CaptureServer() as server, s3_server() as url:
        here = small_import(tmp_path, destination=to(server))
        assert run(here) == (12, 12)
        s3fs.S3FileSystem(**options(url)).put(f"{tmp_path}/data/small", "history/moved/", recursive=True)
        there = small_import(
            tmp_path, destination=to(server), storage="s3://history/moved", storage_options=options(url)
        )
        shutil.rmtree(tmp_path / "data")
        assert run(there) == (0, 12)
        write_day(tmp_path, 13)
        assert run(there) == (1, 13)
