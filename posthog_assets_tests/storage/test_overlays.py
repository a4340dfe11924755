"""A store over another one: what it shows, and that nothing it writes gets below."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.storage.overlays import Overlay, SharedExport
from posthog_assets.storage.store import Store


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


READS: dict[str, Callable[[Store, str], bytes]] = {
    "read_bytes": lambda store, relative: store.read_bytes(relative),
    "open": lambda store, relative: _whole(store.open(relative)),
    "peek": lambda store, relative: _peeked(store, relative),
}


def _whole(file: Any) -> bytes:
    with file:
        content: bytes = file.read()
    return content


def _peeked(store: Store, relative: str) -> bytes:
    with store.peek(relative) as file:
        return file.read()


@pytest.fixture
def below(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "below"), "shop")
    store.write_bytes("staged_events/a.parquet", b"old a")
    store.write_bytes("staged_events/b.parquet", b"old b")
    store.write_bytes("raw_export/2024-03-01/part", b"raw")
    return store


@pytest.mark.parametrize("read", READS)
def test_what_is_written_hides_what_is_below_and_leaves_it_as_it_was(read: str, below: Store, tmp_path: Path) -> None:
    before = tree(tmp_path / "below")
    over = Overlay(below, tmp_path / "over")
    over.write_bytes("staged_events/a.parquet", b"new")
    over.write_bytes("staged_events/c.parquet", b"new c")
    found = {name: READS[read](over, f"staged_events/{name}.parquet") for name in "abc"}
    assert found == {"a": b"new", "b": b"old b", "c": b"new c"}
    assert over.size("staged_events/a.parquet") == 3
    assert over.size("staged_events/b.parquet") == 5
    assert over.names("staged_events") == ["a.parquet", "b.parquet", "c.parquet"]
    assert [over.exists(f"staged_events/{name}.parquet") for name in "abcd"] == [True, True, True, False]
    assert tree(tmp_path / "below") == before


def test_an_import_that_shares_an_export_reads_it_and_keeps_all_else_to_itself(below: Store, tmp_path: Path) -> None:
    before = tree(tmp_path / "below")
    people = SharedExport(str(tmp_path / "below"), "shop_people", {}, below)
    assert people.raw_owner == "shop"
    for read in READS.values():
        assert read(people, "raw_export/2024-03-01/part") == b"raw"
    assert people.size("raw_export/2024-03-01/part") == 3
    assert people.names("raw_export") == ["2024-03-01"]
    assert people.exists("raw_export/2024-03-01/part")
    assert not people.exists("staged_events/a.parquet")
    people.write_bytes("staged_events/a.parquet", b"its own")
    assert people.read_bytes("staged_events/a.parquet") == b"its own"
    assert below.read_bytes("staged_events/a.parquet") == b"old a"
    assert {path: content for path, content in tree(tmp_path / "below").items() if path in before} == before


def test_a_folder_that_only_begins_like_the_export_is_not_shared(below: Store, tmp_path: Path) -> None:
    below.write_bytes("raw_export_of_old/x", b"old")
    people = SharedExport(str(tmp_path / "below"), "shop_people", {}, below)
    assert not people.exists("raw_export_of_old/x")
