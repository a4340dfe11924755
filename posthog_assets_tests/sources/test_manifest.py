"""One day as the source delivered it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import orjson
import pytest

from posthog_assets.core.errors import BrokenPart, MissingUpstream
from posthog_assets.sources.formats import detect
from posthog_assets.sources.manifest import RawExport
from posthog_assets.storage.store import Store

DAY = date(2015, 9, 12)
JSONL = detect("a.jsonl")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path), "wikipedia")


def _write(raw: RawExport, name: str, content: bytes, fingerprint: str = "") -> None:
    with raw.part(name, JSONL, f"vendor/{name}", fingerprint) as file:
        file.write(content)


def test_the_manifest_says_what_was_fetched(store: Store) -> None:
    raw = RawExport(store, DAY)
    raw.begin("v1")
    _write(raw, "a.jsonl", b'{"n":1}\n{"n":2}\n', "etag=1")
    raw.complete()
    content = orjson.loads(store.read_bytes("raw_export/2015-09-12/manifest.json"))
    assert content.pop("fetched_at")[-6:] == "+00:00"
    assert content == {
        "version": 1,
        "day": "2015-09-12",
        "complete": True,
        "position": "v1",
        "records_without_day": 0,
        "parts": [
            {
                "name": "a.jsonl",
                "sha256": "bffaac563f091c61dc28d2f37cd74d0b19be0c45e3b1e32ced6a93eed7725862",
                "bytes": 16,
                "records": 2,
                "origin": "vendor/a.jsonl",
                "origin_fingerprint": "etag=1",
                "framing": {
                    "format": "jsonl",
                    "compression": "none",
                    "delimiter": ",",
                    "encoding": "utf-8",
                    "quote": '"',
                    "unfold": None,
                },
                "without_day": False,
            }
        ],
    }


def test_what_was_written_can_be_read_by_another_process(store: Store) -> None:
    raw = RawExport(store, DAY)
    raw.begin("v1")
    _write(raw, "a.jsonl", b'{"n":1}\n')
    raw.complete()
    again = RawExport(store, DAY)
    assert again.manifest() == raw.manifest()
    with again.verified(again.parts()[0]) as file:
        assert file.read() == b'{"n":1}\n'


def test_progress_is_told_in_bytes_over_all_parts(store: Store) -> None:
    told: list[int] = []
    raw = RawExport(store, DAY, told.append)
    raw.begin("v1")
    _write(raw, "a.jsonl", b'{"n":1}\n')
    _write(raw, "b.jsonl", b'{"n":22}\n')
    assert told == [8, 17]


def test_an_empty_day_is_a_complete_manifest_without_parts(store: Store) -> None:
    raw = RawExport(store, DAY)
    raw.begin("v1")
    raw.complete()
    assert RawExport(store, DAY).parts() == ()


def test_a_day_that_was_never_exported_names_what_to_materialize(store: Store) -> None:
    with pytest.raises(MissingUpstream) as caught:
        RawExport(store, DAY).manifest()
    assert str(caught.value) == (
        "wikipedia/raw_export has no partition 2015-09-12: materialize raw_export for 2015-09-12 first"
    )


def test_an_export_that_crashed_inside_a_part_goes_on_after_the_last_whole_one(store: Store) -> None:
    raw = RawExport(store, DAY)
    raw.begin("v1")
    _write(raw, "a.jsonl", b'{"n":1}\n')
    with pytest.raises(KeyboardInterrupt), raw.part("b.jsonl", JSONL, "vendor/b.jsonl") as file:
        file.write(b'{"n":')
        raise KeyboardInterrupt
    again = RawExport(store, DAY)
    with pytest.raises(MissingUpstream, match="was interrupted"):
        again.manifest()
    assert store.names("raw_export/2015-09-12") == ["a.jsonl", "manifest.json"]
    again.begin("v1")
    assert again.keep_if_current("a.jsonl", "")
    assert not again.keep_if_current("b.jsonl", "")
    _write(again, "b.jsonl", b'{"n":2}\n')
    again.complete()
    assert [part.name for part in RawExport(store, DAY).parts()] == ["a.jsonl", "b.jsonl"]


def test_parts_the_source_no_longer_has_go_when_the_new_export_is_complete(store: Store) -> None:
    raw = RawExport(store, DAY)
    raw.begin("v1")
    _write(raw, "a.jsonl", b'{"n":1}\n', "1")
    _write(raw, "b.jsonl", b'{"n":2}\n', "1")
    raw.complete()
    again = RawExport(store, DAY)
    assert again.is_complete("v1")
    assert not again.is_complete("v2")
    again.begin("v2")
    assert again.keep_if_current("a.jsonl", "1")
    assert store.names("raw_export/2015-09-12") == ["a.jsonl", "b.jsonl", "manifest.json"]
    again.complete()
    assert store.names("raw_export/2015-09-12") == ["a.jsonl", "manifest.json"]
    assert [part.records for part in RawExport(store, DAY).parts()] == [1]


def test_a_part_that_cannot_be_read_to_its_end_is_not_kept(store: Store) -> None:
    raw = RawExport(store, DAY)
    raw.begin("v1")
    framing = detect("a.jsonl.gz")
    with pytest.raises(BrokenPart, match="vendor/a.jsonl.gz is not gzip"):
        with raw.part("a.jsonl.gz", framing, "vendor/a.jsonl.gz") as file:
            file.write(b"<html>")
    assert store.names("raw_export/2015-09-12") == ["manifest.json"]


@pytest.mark.parametrize("content", [b'{"n":1}', b'{"n":2}\n'])
def test_a_damaged_part_is_noticed_and_fetched_again(store: Store, content: bytes) -> None:
    raw = RawExport(store, DAY)
    raw.begin("v1")
    _write(raw, "a.jsonl", b'{"n":1}\n')
    raw.complete()
    store.write_bytes("raw_export/2015-09-12/a.jsonl", content)
    again = RawExport(store, DAY)
    words = "a.jsonl of wikipedia/raw_export 2015-09-12 (is missing or damaged|was altered since it was fetched)"
    with pytest.raises(BrokenPart, match=words), again.verified(again.parts()[0]):
        pass
    assert not again.is_complete("v1")
    assert not again.keep_if_current("a.jsonl", "")


def test_a_damaged_manifest_says_what_to_do(store: Store) -> None:
    store.write_bytes("raw_export/2015-09-12/manifest.json", b'{"version":1')
    with pytest.raises(BrokenPart, match="manifest.json cannot be read .*: delete it, then materialize raw_export"):
        RawExport(store, DAY)


@pytest.mark.parametrize("name", ["", "../a.jsonl", "a/b.jsonl", ".hidden", "manifest.json"])
def test_a_part_cannot_leave_its_folder(store: Store, name: str) -> None:
    raw = RawExport(store, DAY)
    raw.begin("v1")
    with pytest.raises(ValueError, match="must be a plain file name"), raw.part(name, JSONL, "x"):
        pass


def test_an_object_store_works_like_a_disk() -> None:
    store = Store("memory://raw-export-test", "wikipedia")
    raw = RawExport(store, DAY)
    raw.begin("v1")
    _write(raw, "a.jsonl", b'{"n":1}\n')
    raw.complete()
    assert RawExport(store, DAY).is_complete("v1")
    assert [part.records for part in RawExport(store, DAY).parts()] == [1]
