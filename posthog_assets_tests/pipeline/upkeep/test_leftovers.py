"""What killed processes left behind, and caches that are not needed any more."""

from __future__ import annotations

import os
import tempfile
import time
from datetime import date
from pathlib import Path

import pytest

from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.upkeep.prune import prune
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.records_api import RecordsApi, day_of_records, settings

DAY = date(2024, 3, 1)
LINES = ['{"id":"1","user":"ann","at":"2024-03-01T10:00:00Z","what":"page"}']


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for temporary files of the test's own: other tests and programs leave something in the common one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))


def old(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"12345")
    os.utime(path, (time.time() - 90_000,) * 2)
    return path


def test_temporary_files_that_nobody_has_touched_for_a_day_go(tmp_path: Path) -> None:
    imp = small_import(tmp_path)
    name = f".tmp-{'0a' * 16}-2024-03-01.parquet"
    gone = old(tmp_path / f"data/small/staged_events/{name}")
    fresh = tmp_path / f"data/small/posthog_events/{name}"
    fresh.parent.mkdir()
    fresh.write_bytes(b"1")
    other = old(tmp_path / "data/small/posthog_events/.tmp-mine")
    done = prune(imp, dry_run=False)
    assert [(item.place, item.bytes) for item in done.leftovers] == [(str(gone), 5)]
    assert (gone.exists(), fresh.exists(), other.exists()) == (False, True, True)


def test_working_folders_of_processes_that_are_gone_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    imp = small_import(tmp_path)
    # No process has this number: Linux counts to 4,194,304.
    for folder in (dead := "posthog-assets-4194305-x1", living := f"posthog-assets-{os.getpid()}-x2"):
        old(tmp_path / folder / "run-000000.arrow")
        os.utime(tmp_path / folder, (time.time() - 90_000,) * 2)
    done = prune(imp, dry_run=False)
    assert [item.place for item in done.leftovers] == [str(tmp_path / dead)]
    assert ((tmp_path / dead).exists(), (tmp_path / living).exists()) == (False, True)


def test_the_cache_of_a_file_that_is_gone_goes_and_that_of_one_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports/all.jsonl").write_text("\n".join(LINES) + "\n")
    source = {"type": "files", "path": str(tmp_path / "exports/*.jsonl"), "day_column": "at"}
    imp = small_import(tmp_path, source=source)
    export_day(imp, DAY)
    (there,) = imp.store.folders("raw_export/.split")
    imp.store.write_bytes("raw_export/.split/cafe/1-index.json", b"{}")
    imp.store.write_bytes("raw_export/.split/cafe/1-a-0000", b"12345")
    done = prune(imp, dry_run=False)
    assert [(item.why, item.bytes) for item in done.leftovers] == [("cache of a file the source no longer has", 7)]
    assert imp.store.names("raw_export/.split/cafe") == []
    assert len(imp.store.names(f"raw_export/.split/{there}")) == 2
    assert prune(imp, dry_run=True).leftovers == []


def test_all_pages_of_an_api_go_once_it_is_asked_for_something_else(tmp_path: Path) -> None:
    with RecordsApi(day_of_records(3)) as api:
        source = settings(api.url, whole=True, day_column="at", endpoint_incremental=None)
        imp = small_import(tmp_path, source=source)
        export_day(imp, DAY)
        assert prune(imp, dry_run=True).leftovers == []
        other = small_import(tmp_path, source=source | {"day_column": "user"})
        done = prune(other, dry_run=False)
    assert [item.why for item in done.leftovers] == ["cache of a file the source no longer has"] * 2
    assert prune(other, dry_run=True).leftovers == []
