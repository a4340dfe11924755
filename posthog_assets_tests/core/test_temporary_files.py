"""What is said where a temporary file finds no room."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from posthog_assets.core.errors import StorageError
from posthog_assets.core.temporary_files import writing_temporary

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, a disk that is always full")
def test_a_disk_that_is_full_is_named_with_what_to_do() -> None:
    with pytest.raises(StorageError) as raised:
        with writing_temporary(FULL), FULL.open("wb", buffering=0) as file:
            file.write(b"a")
    assert str(raised.value) == (
        "/dev/full cannot be written: No space left on device. Make room there, or set TMPDIR to a folder on a larger "
        "disk; then run this again"
    )
    assert not raised.value.temporary


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EFBIG, errno.EROFS])
def test_a_quota_a_largest_file_and_a_disk_that_is_only_read_are_no_room_either(number: int) -> None:
    with pytest.raises(StorageError, match="^/tmp/a cannot be written: "):
        with writing_temporary(Path("/tmp/a")):
            raise OSError(number, "words of a library")


def test_what_has_nothing_to_do_with_room_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        with writing_temporary(tmp_path / "absent/a"):
            (tmp_path / "absent/a").write_bytes(b"")
