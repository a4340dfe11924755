"""Files that are hashed while they are read."""

from __future__ import annotations

import hashlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.core.errors import BrokenPart
from posthog_assets.sources.checked_part import HashedFile, checked
from posthog_assets_tests.examples import examples

CONTENT = bytes(range(256)) * 4
ALTERED = BrokenPart("it was altered")


class Counted(io.BytesIO):
    """Counts the bytes that were read."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


def test_a_file_that_is_read_to_its_end_is_read_once() -> None:
    opened = Counted(CONTENT)
    with checked(opened, hashlib.sha256(CONTENT).hexdigest(), ALTERED) as file:
        while file.read(100):
            pass
    assert opened.count == len(CONTENT)


def test_what_was_not_read_is_checked_too() -> None:
    with pytest.raises(BrokenPart, match="altered"):
        with checked(io.BytesIO(CONTENT[:-1] + b"!"), hashlib.sha256(CONTENT).hexdigest(), ALTERED) as file:
            file.read(100)


def test_what_cannot_be_read_although_nothing_was_altered_keeps_its_own_words() -> None:
    with pytest.raises(BrokenPart, match="not gzip"):
        with checked(io.BytesIO(CONTENT), hashlib.sha256(CONTENT).hexdigest(), ALTERED):
            raise BrokenPart("not gzip")


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["read", "start", "on", "end"]), st.integers(0, 1100)), max_size=12))
def test_the_hash_is_that_of_the_file_in_whatever_order_it_is_read(steps: list[tuple[str, int]]) -> None:
    file, plain = HashedFile(io.BytesIO(CONTENT)), io.BytesIO(CONTENT)
    for step, number in steps:
        if step == "read":
            assert file.read(number) == plain.read(number)
        else:
            whence = {"start": 0, "on": 1, "end": 2}[step]
            offset = -number if step == "end" and number <= len(CONTENT) else number
            assert file.seek(offset, whence) == plain.seek(offset, whence)
        assert file.tell() == plain.tell()
    assert file.sha256() == hashlib.sha256(CONTENT).hexdigest()
