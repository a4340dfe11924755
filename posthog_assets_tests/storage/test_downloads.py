"""Files of a store elsewhere, read on this machine; and asking it again."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import fsspec
import pytest

from posthog_assets.storage.downloads import Downloads, create, read_small, steadily
from posthog_assets.storage.timing import Timing


class Counting:
    """A file system in memory that counts what it is asked for, and fails where *faults* says so."""

    def __init__(self) -> None:
        self._files = fsspec.filesystem("memory")
        self.folder = f"/downloads-{uuid.uuid4().hex}"
        self.asked: list[str] = []
        self.faults: list[Exception] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._files, name)

        def ask(*arguments: Any, **options: Any) -> Any:
            self.asked.append(name)
            if self.faults:
                raise self.faults.pop(0)
            return method(*arguments, **options)

        return ask


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def timing(pauses: list[float]) -> Timing:
    return Timing(tries=3, sleep=pauses.append)


@pytest.fixture
def files() -> Iterator[Counting]:
    found = Counting()
    for name in "abc":
        found._files.pipe_file(f"{found.folder}/{name}", name.encode() * 3)
    yield found
    found._files.rm(found.folder, recursive=True)


def test_a_store_that_fails_now_and_then_is_asked_again_with_growing_pauses(
    timing: Timing, pauses: list[float]
) -> None:
    faults: list[Exception] = [OSError("busy"), TimeoutError()]

    def ask() -> str:
        if faults:
            raise faults.pop(0)
        return "answer"

    assert steadily(ask, timing) == "answer"
    assert len(pauses) == 2
    assert 0 < pauses[0] < pauses[1] * 2


def test_a_store_that_never_answers_raises_what_it_raised_last(timing: Timing, pauses: list[float]) -> None:
    faults = iter([OSError("1"), OSError("2"), OSError("3"), OSError("4")])

    def ask() -> str:
        raise next(faults)

    with pytest.raises(OSError, match="3"):
        steadily(ask, timing)
    assert len(pauses) == 2


@pytest.mark.parametrize("answer", [FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError])
def test_a_final_answer_is_not_asked_for_again(answer: type[OSError], timing: Timing, pauses: list[float]) -> None:
    def ask() -> str:
        raise answer

    with pytest.raises(answer):
        steadily(ask, timing)
    assert pauses == []


def test_only_what_does_not_exist_is_created(files: Counting, timing: Timing) -> None:
    assert create(files, f"{files.folder}/new", b"1", timing) is True
    assert create(files, f"{files.folder}/new", b"2", timing) is False
    assert read_small(files, f"{files.folder}/new", timing) == b"1"


def test_a_store_that_has_no_conditional_writes_says_so_and_writes_nothing(files: Counting, timing: Timing) -> None:
    files.faults = [NotImplementedError()]
    assert create(files, f"{files.folder}/new", b"1", timing) is None
    assert not files._files.exists(f"{files.folder}/new")


def test_a_file_is_downloaded_once_while_it_is_the_same(files: Counting, timing: Timing) -> None:
    downloads = Downloads(files, timing)
    for _ in range(3):
        with downloads.open(f"{files.folder}/a") as file:
            assert file.read() == b"aaa"
    assert files.asked.count("get_file") == 1
    files._files.pipe_file(f"{files.folder}/a", b"other")
    with downloads.open(f"{files.folder}/a") as file:
        assert file.read() == b"other"
    assert files.asked.count("get_file") == 2


def test_two_files_are_kept_and_one_that_is_open_can_be_read_to_its_end(files: Counting, timing: Timing) -> None:
    downloads = Downloads(files, timing)
    with downloads.open(f"{files.folder}/a") as first:
        for name in "bca":
            downloads.open(f"{files.folder}/{name}").close()
        assert first.read() == b"aaa"
    assert files.asked.count("get_file") == 4


def test_a_look_into_a_file_downloads_none_and_uses_one_that_is_there(files: Counting, timing: Timing) -> None:
    downloads = Downloads(files, timing)
    with downloads.peek(f"{files.folder}/a") as file:
        assert file.read(1) == b"a"
    assert files.asked.count("get_file") == 0
    downloads.open(f"{files.folder}/a").close()
    files.asked.clear()
    with downloads.peek(f"{files.folder}/a") as file:
        assert file.read(1) == b"a"
    assert files.asked == ["info"]


def test_a_file_that_is_not_there_is_said_to_be_missing(files: Counting, timing: Timing) -> None:
    with pytest.raises(FileNotFoundError):
        Downloads(files, timing).open(f"{files.folder}/gone")
