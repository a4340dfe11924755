"""Files of an import's folder, on a local disk and elsewhere."""

from __future__ import annotations

import errno
import resource
import socket
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFile

from posthog_assets.core.errors import ImportFileError, StorageError, StorageUnavailable
from posthog_assets.storage.folder import Folder
from posthog_assets.storage.store import Store
from posthog_assets_tests.fakes.another_user import by_another_user

DAY = "2024-03-01"


@pytest.fixture(params=["local", "memory"])
def folder(request: Any, tmp_path: Path) -> Folder:
    url = str(tmp_path / "data") if request.param == "local" else f"memory://folder-{uuid.uuid4().hex}"
    return Folder(url, "shop")


def test_what_is_written_is_read_and_listed_wherever_the_folder_is(folder: Folder) -> None:
    folder.write_bytes("staged/2024-03-01/a", b"abc")
    folder.write_bytes("staged/b", b"")
    assert (folder.read_bytes("staged/2024-03-01/a"), folder.size("staged/2024-03-01/a")) == (b"abc", 3)
    assert (folder.exists("staged/b"), folder.exists("staged/c")) == (True, False)
    assert (folder.names("staged"), folder.folders("staged")) == (["2024-03-01", "b"], ["2024-03-01"])
    assert (folder.names("gone"), folder.folders("gone")) == ([], [])
    with folder.open("staged/2024-03-01/a") as file:
        file.seek(1)
        assert file.read() == b"bc"
    with folder.peek("staged/2024-03-01/a") as file:
        assert file.read(1) == b"a"


def test_a_file_that_is_not_there_is_missing(folder: Folder) -> None:
    for ask in (folder.read_bytes, folder.open, folder.size):
        with pytest.raises(FileNotFoundError):
            ask("gone")
    folder.delete("gone")


def test_a_write_that_ends_with_an_error_leaves_what_was_there(folder: Folder) -> None:
    folder.write_bytes("a", b"before")
    with pytest.raises(RuntimeError), folder.atomic_write("a") as path:
        path.write_bytes(b"half")
        raise RuntimeError
    assert folder.read_bytes("a") == b"before"
    assert folder.names("") == ["a"]


def test_a_write_replaces_the_whole_file(folder: Folder) -> None:
    folder.write_bytes("a", b"long before")
    with folder.atomic_write("a") as path:
        path.write_bytes(b"after")
    assert folder.read_bytes("a") == b"after"


def test_a_file_is_created_by_one(folder: Folder) -> None:
    assert [folder.create("turns/1", content) for content in (b"mine", b"yours")] == [True, False]
    assert folder.read_bytes("turns/1") == b"mine"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_without_room_is_said_in_a_sentence(number: int, tmp_path: Path) -> None:
    folder = Folder(str(tmp_path), "shop")
    with pytest.raises(StorageError, match=r"shop/a cannot be written: .*\. Nothing that was written before is lost"):
        with folder.atomic_write("a"):
            raise OSError(number, "No room")
    with pytest.raises(OSError, match="other") as caught, folder.atomic_write("a"):
        raise OSError(errno.EIO, "other")
    assert not isinstance(caught.value, StorageError)


def test_files_that_were_written_without_it_are_made_durable(folder: Folder) -> None:
    folder.write_bytes("batches/1", b"x", durable=False)
    folder.sync(["batches/1"])
    assert folder.read_bytes("batches/1") == b"x"


def test_a_local_path_is_one_of_this_machine_only(tmp_path: Path) -> None:
    assert Folder(str(tmp_path), "shop").local_path("a/b") == tmp_path / "shop/a/b"
    assert Folder("memory://x", "shop").local_path("a/b") is None


def test_a_protocol_that_is_none_is_said_with_the_url() -> None:
    with pytest.raises(ImportFileError, match="storage 'nowhere://x' cannot be opened"):
        Folder("nowhere://x", "shop")


def test_deleting_several_files_passes_over_those_that_are_gone() -> None:
    # This one ends a list at the first that does not exist.
    store = Store(f"memory://gone-{uuid.uuid4().hex}", "shop")
    for name in ("a", "b", "c"):
        store.write_bytes(f"turns/{name}", b"x")
    store.delete("turns/b")
    store.delete_all(["turns/a", "turns/b", "turns/c"])
    assert store.names("turns") == []


def test_memory_that_is_used_up_is_not_said_of_the_store() -> None:
    store = Store(f"memory://peeked-{uuid.uuid4().hex}", "shop")
    store.write_bytes("a", b"b")
    with pytest.raises(MemoryError), store.peek("a"):
        raise MemoryError


def test_an_error_of_the_block_in_which_a_file_is_peeked_into_is_not_said_of_the_store() -> None:
    store = Store(f"memory://peeked-{uuid.uuid4().hex}", "shop")
    store.write_bytes("a", b"b")
    with pytest.raises(KeyError, match="no such column"), store.peek("a") as file:
        assert file.read() == b"b"
        raise KeyError("no such column")


class BrokenOff(MemoryFile):  # type: ignore[misc]
    """A file of which the first block comes, and no second one."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise OSError("broken off")
        return bytes(super().read(size))


def test_a_store_that_breaks_off_while_a_file_is_peeked_into_does_not_answer() -> None:
    store = Store(f"memory://peeked-{uuid.uuid4().hex}", "shop")
    store.write_bytes("a", b"b")
    path = store.path("a").path
    store._files.store[path] = BrokenOff(store._files, path, b"b" * 100_000)
    words = "shop/a: the store did not answer: broken off"
    with pytest.raises(StorageUnavailable, match=words), store.peek("a") as file:
        assert file.read(1) == b"b"
        file.read()


def test_a_storage_folder_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"a file")
    store = Store(str(tmp_path / "data"), "shop")
    words = (
        "the folder .*data/shop.* cannot be made: Not a directory. Give the import a storage folder that this user may"
    )
    with pytest.raises(StorageError, match=words), store.lock("raw_export", DAY):
        pass
    with pytest.raises(StorageError, match=words):
        store.write_bytes("raw_export/a", b"1")
    with pytest.raises(StorageError, match=words):
        store.create("turns/1", b"1")


ASKED: dict[str, Callable[[Folder], object]] = {
    "names": lambda folder: folder.names("turns"),
    "folders": lambda folder: folder.folders("turns"),
    "open": lambda folder: folder.open("turns/1"),
    "read_bytes": lambda folder: folder.read_bytes("turns/1"),
    "delete": lambda folder: folder.delete("turns/1"),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_files_that_this_user_may_not_read_are_said_in_a_sentence(
    ask: Callable[[Folder], object], shared: Path
) -> None:
    Folder(str(shared), "shop").write_bytes("turns/1", b"1")
    (shared / "shop" / "turns").chmod(0o700)
    said = by_another_user(lambda path: ask(Folder(str(path), "shop")), shared)
    assert said.startswith(f"StorageError: no permission for {shared}/shop/turns"), said


def test_a_storage_that_refuses_connections_is_said_in_a_sentence() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(StorageUnavailable, match=rf"ftp://127.0.0.1:{port}/data could not be reached: .*refused"):
        Store(f"ftp://127.0.0.1:{port}/data", "shop")


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Let no file of this process grow beyond 1,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("ask", ["read", "write"])
def test_a_full_disk_of_this_machine_is_not_said_to_be_the_stores(ask: str, full_disk: None) -> None:
    folder = Folder(f"memory://folder-{uuid.uuid4().hex}", "shop")
    folder.write_bytes("long", b"x" * 10_000)
    # At once: trying again would pause for seconds.
    with pytest.raises(StorageError, match="cannot be written: File too large. .* set TMPDIR to a folder") as raised:
        if ask == "read":
            with folder.open("long"):
                pass
        else:
            with folder.atomic_write("long") as path:
                path.write_bytes(b"y" * 10_000)
    assert str(raised.value).startswith(tempfile.gettempdir())
    assert not isinstance(raised.value, StorageUnavailable)
    assert folder.read_bytes("long") == b"x" * 10_000
