"""Working folders are their user's alone, and go with the next run where their process was killed."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from posthog_assets.core.errors import StorageError
from posthog_assets.pipeline.preview.dry_run import dry_run
from posthog_assets.storage.scratch import leftovers, private_folder, scratch_folder
from posthog_assets_tests.conftest import small_import


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def age(path: Path, seconds: float) -> None:
    for item in (path, *path.rglob("*")):
        os.utime(item, (time.time() - seconds,) * 2)


def test_all_temporary_things_are_below_one_folder_that_only_its_user_sees(temporary: Path) -> None:
    with scratch_folder() as folder:
        assert Path(folder).parent == private_folder() == temporary / f"posthog-assets-{os.getuid()}"
        assert stat.S_IMODE(private_folder().stat().st_mode) == 0o700
        assert [path.name for path in temporary.iterdir()] == [private_folder().name]
    assert not Path(folder).exists()


def test_a_folder_that_others_could_look_into_is_closed() -> None:
    private_folder().chmod(0o755)
    assert stat.S_IMODE(private_folder().stat().st_mode) == 0o700


def test_a_link_in_its_place_is_refused(temporary: Path, tmp_path: Path) -> None:
    (temporary / f"posthog-assets-{os.getuid()}").symlink_to(tmp_path)
    with pytest.raises(StorageError, match="is not a folder of user"):
        scratch_folder()


CHILD = """
import sys, tempfile, time
tempfile.tempdir = sys.argv[1]
from posthog_assets.storage.scratch import scratch_folder
folder = scratch_folder()
open(folder.name + "/rows", "w").close()
print(folder.name, flush=True)
time.sleep(600)
"""


def test_the_next_run_clears_away_what_a_killed_process_left_and_nothing_else(temporary: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, str(temporary)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    folders = []
    for child in children:
        assert child.stdout
        folders.append(Path(child.stdout.readline().strip()))
    dead, living = children
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    try:
        age(private_folder(), 100)
        with scratch_folder():
            assert [folder.exists() for folder in folders] == [False, True]
            assert len(list(private_folder().glob("*.lock"))) == 2
    finally:
        living.kill()
        living.wait()
        for child in children:
            assert child.stdout
            child.stdout.close()


def test_small_files_that_nobody_used_for_a_day_are_left_over() -> None:
    for name, seconds in (("queries-old", 90_000), ("queries-new", 3_600)):
        (private_folder() / name).touch()
        age(private_folder() / name, seconds)
    assert [path.name for path in leftovers()] == ["queries-old"]


def test_a_dry_run_works_in_the_private_folder(tmp_path: Path, temporary: Path) -> None:
    imp = small_import(tmp_path)
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports/2024-03-01.jsonl").write_text(
        '{"id":"1","user":"ann","at":"2024-03-01T10:00:00Z","what":"page"}\n'
    )
    with dry_run(imp, imp.start_date) as run:
        assert Path(run.imp.store.root.path).is_relative_to(private_folder())
    assert [path for path in private_folder().iterdir() if path.is_dir()] == []
    assert [path.name for path in temporary.iterdir()] == [private_folder().name]
