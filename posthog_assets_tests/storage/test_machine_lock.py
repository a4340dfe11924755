"""Files by which the processes of a user keep a rate, and what cannot be used."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from posthog_assets.core.errors import StorageError
from posthog_assets.destination.query_client import QueryClient
from posthog_assets.destination.settings import Destination
from posthog_assets.sources.http.api import Api
from posthog_assets.storage.machine_lock import held
from posthog_assets.storage.rates import Limit, Pace, Rate
from posthog_assets.storage.store import Store
from posthog_assets_tests.fakes.another_user import by_another_user


def by_rate(path: Path) -> None:
    Rate((Limit(1_000, 1),), path).wait()


def by_pace(path: Path) -> None:
    Pace(None, 1_000, path).wait(1, threading.Event())


@pytest.mark.parametrize("work", [by_rate, by_pace])
def test_only_its_user_may_read_and_write_such_a_file(work: Callable[[Path], None], shared: Path) -> None:
    work(shared / "rate")
    assert {path.name: path.stat().st_mode & 0o777 for path in shared.iterdir()} == {"rate": 0o600, "rate.lock": 0o600}


@pytest.mark.parametrize("work", [by_rate, by_pace])
def test_another_users_file_is_one_sentence(work: Callable[[Path], None], shared: Path) -> None:
    work(shared / "rate")
    assert by_another_user(work, shared / "rate") == (
        f"StorageError: {shared}/rate, by which the processes of this machine keep a rate together, cannot be used: "
        "Permission denied. Make room, delete it if it is another user's, or set TMPDIR to a folder that you may "
        "write to"
    )


def by_lock(folder: Path) -> None:
    with Store(str(folder), "shop").lock("raw_export", "2024-03-01"):
        pass


def test_a_storage_that_is_another_users_is_one_sentence(shared: Path) -> None:
    by_lock(shared)
    assert by_another_user(by_lock, shared) == (
        f"StorageError: no permission to write {shared}/shop/.locks/raw_export-2024-03-01: whatever works on "
        f"{shared}/shop must run as the user whose it is"
    )


def test_a_link_that_somebody_laid_there_is_not_followed(shared: Path) -> None:
    target = shared / "precious"
    target.write_bytes(b"kept")
    (shared / "rate").symlink_to(target)
    with pytest.raises(StorageError, match="Too many levels of symbolic links"), held(shared / "rate") as file:
        file.truncate(0)
    assert target.read_bytes() == b"kept"


def test_an_api_without_a_folder_for_its_rate_is_one_sentence(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(shared / "file"))
    (shared / "file").write_bytes(b"")
    words = f"{shared}/file/posthog-assets-{os.getuid()} cannot be made: Not a directory"
    with pytest.raises(StorageError, match=words):
        Api("http://127.0.0.1:9", limits=(Limit(1, 1),))
    there = {"host": "http://127.0.0.1:9", "personal_api_key": "phx_a", "project_id": "1"}
    with pytest.raises(StorageError, match=words):
        QueryClient(Destination.model_validate(there))
