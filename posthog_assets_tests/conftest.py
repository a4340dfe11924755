"""What several rooms' tests share: real data beside the repository, a running sandbox, a small import."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.staging import cores
from posthog_assets_tests.examples import load_profile
from posthog_assets_tests.records.shop import make_project

load_profile()

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

#: Folders of tests that the test command of every day leaves out; each is a marker of the same name.
APART = ("end_to_end", "services")

#: Modules of these folders that take minutes, most of it waiting: they begin first, beside all others.
LONG = ("test_distributed", "test_first_hour", "test_browser", "test_backfill", "test_reimport")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test with the folder it stands in; single tests of other folders are marked where they stand."""
    here = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(here).parts[0]
        if folder in APART:
            item.add_marker(folder)
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


def pytest_collection_finish() -> None:
    """Have Python look for garbage seldom: the thousands of tests that were collected are none."""
    gc.freeze()
    gc.set_threshold(20_000)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name compressed bytes by their argument: they hold the time of day, and every worker must find the same names."""
    return argname if isinstance(val, bytes) and not val.isascii() else None


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return more workers than there are cores, for the time that tests wait for servers, disks and processes.

    One more; two where whole files are divided among them, as is done for the tests that wait longest.
    """
    return cores() + (2 if config.option.dist == "loadfile" else 1)


@pytest.fixture(scope="session", autouse=True)
def unforced() -> Iterator[None]:
    """Nothing is forced to the disk in this process: it is processes that are killed here, not machines.

    Nor does Dagster note in a history that is kept in memory which of its sixty migrations it has.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        for kind in ("runs", "event_log"):
            patch.setattr(f"dagster._core.storage.{kind}.in_memory.stamp_alembic_rev", lambda config, connection: None)
        yield


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """Return a function from a file's name to its path; skips where the file is absent."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"needs ../shared/data/{name}, which is not here")
        return path

    return find


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[Any]:
    """A sandbox for tests that do not mind each other's events."""
    pytest.importorskip("chdb", reason="needs the extra posthog_assets[sandbox]")
    from posthog_assets.sandbox import Sandbox

    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox() -> Iterator[Any]:
    """A sandbox of one's own."""
    pytest.importorskip("chdb", reason="needs the extra posthog_assets[sandbox]")
    from posthog_assets.sandbox import Sandbox

    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Dagster project of somebody's own with one import, `shop`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return make_project(tmp_path)


def small_import(tmp_path: Path, **changes: Any) -> Import:
    """Return an import of `exports/<day>.jsonl`, each line with id, user, at and what."""
    return Import.read(small_attributes(tmp_path, **changes))


def small_attributes(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    """Return what the import file of `small_import` says."""
    attributes: dict[str, Any] = {
        "name": "small",
        "start_date": "2024-03-01",
        "storage": str(tmp_path / "data"),
        "source": {"type": "files", "path": str(tmp_path / "exports/{day}.jsonl")},
        "dialect": {
            "type": "columns",
            "event": {"column": "what"},
            "user_id": {"column": "user"},
            "timestamp": {"column": "at"},
            "source_id": {"column": "id"},
        },
    }
    return attributes | changes
