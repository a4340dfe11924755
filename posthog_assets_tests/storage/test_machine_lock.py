"""Files by which all processes of a machine keep a rate: two users, any umask, and what cannot be used."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from posthog_assets.core.errors import PosthogAssetsError, StorageError
from posthog_assets.destination.query_client import QueryClient
from posthog_assets.destination.settings import Destination
from posthog_assets.sources.http.api import Api, Limit, Rate
from posthog_assets.storage.machine_lock import held
from posthog_assets.storage.rates import Pace
from posthog_assets.storage.store import Store

NOBODY = 65534


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder like /tmp: everybody's, and sticky."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o1777)
        yield Path(folder)


@pytest.fixture(params=[0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def _as_nobody(work: Callable[[Path], object], path: Path, told: multiprocessing.SimpleQueue[str]) -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    try:
        work(path)
        told.put("")
    except PosthogAssetsError as error:
        told.put(f"{type(error).__name__}: {error}")
    except OSError as error:
        told.put(repr(error))


def by_another_user(work: Callable[[Path], object], path: Path) -> str:
    """Return what went wrong for another user, nothing where all was well."""
    if os.getuid():
        pytest.skip("only root can be another user")
    context = multiprocessing.get_context("fork")
    told = context.SimpleQueue()
    process = context.Process(target=_as_nobody, args=(work, path, told))
    process.start()
    process.join()
    return told.get()


def by_rate(path: Path) -> None:
    Rate((Limit(1_000, 1),), path).wait()


def by_pace(path: Path) -> None:
    Pace(None, 1_000, path).wait(1, threading.Event())


@pytest.mark.parametrize("work", [by_rate, by_pace])
def test_two_users_keep_a_rate_together_whatever_the_umask(
    work: Callable[[Path], None], shared: Path, umask: int
) -> None:
    file = shared / "rate"
    work(file)
    assert file.stat().st_mode & 0o777 == 0o666
    assert by_another_user(work, file) == ""
    assert list(shared.iterdir()) == [file]


@pytest.mark.parametrize("work", [by_rate, by_pace])
def test_a_file_that_another_user_may_not_write_is_one_sentence(work: Callable[[Path], None], shared: Path) -> None:
    file = shared / "rate"
    file.write_bytes(b"")
    file.chmod(0o644)
    assert by_another_user(work, file) == (
        f"StorageError: {file}, by which the processes of this machine keep a rate together, cannot be used: "
        "Permission denied. If it is another user's, let them delete it; otherwise make room, or set TMPDIR to a "
        "folder that all may write to"
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


def test_whoever_asks_an_api_says_it_too(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(shared / "file"))
    (shared / "file").write_bytes(b"")
    with (
        pytest.raises(StorageError, match=f"{shared}/file/posthog-assets-rate-.* cannot be used"),
        Api("http://127.0.0.1:9", limits=(Limit(1, 1),)).request("GET", "/"),
    ):
        pass
    there = {"host": "http://127.0.0.1:9", "personal_api_key": "phx_a", "project_id": "1"}
    with pytest.raises(StorageError, match=f"{shared}/file/posthog-assets-queries-.* cannot be used"):
        QueryClient(Destination.model_validate(there)).ask("SELECT 1")
