"""Files of the storage that are cut off, altered or exchanged under a run: each is named, with what to do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from posthog_assets.core.errors import BrokenPart, DamagedFile, PosthogAssetsError
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.day_state.owed import was_reopened
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.report.day_numbers import numbers_of
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.storage.layout import events_path, staged_path
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.capture_server import Asked, CaptureServer

DAY = date(2024, 3, 1)


def importing(tmp_path: Path, host: str = "http://127.0.0.1:9", **changes: Any) -> Import:
    folder = tmp_path / "exports"
    folder.mkdir(exist_ok=True)
    (folder / f"{DAY}.jsonl").write_text(
        "".join(f'{{"id":"{n}","user":"u{n % 7}","at":"2024-03-01T10:00:{n:02}Z","what":"page"}}\n' for n in range(40))
    )
    settings = {"host": host, "project_api_key": "phc_any", "batch_events": 5, "concurrency": 1}
    return small_import(tmp_path, **{"destination": settings, **changes})


def prepared(tmp_path: Path, host: str = "http://127.0.0.1:9") -> Import:
    imp = importing(tmp_path, host)
    for step in (export_day, stage_day, transform_day):
        step(imp, DAY)
    return imp


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_in_the_middle(path: Path) -> None:
    """Flip a bit in the data of the widest column."""
    group = pq.read_metadata(path).row_group(0)
    column = max((group.column(at) for at in range(group.num_columns)), key=lambda one: one.total_compressed_size)
    place = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 4
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def local(imp: Import, relative: str) -> Path:
    path = imp.store.local_path(relative)
    assert path is not None
    return path


def test_a_raw_part_that_was_altered_in_place_is_noticed_when_it_is_staged(tmp_path: Path) -> None:
    imp = importing(tmp_path)
    (part,) = export_day(imp, DAY).parts
    path = local(imp, f"raw_export/{DAY}/{part.name}")
    path.write_bytes(path.read_bytes().replace(b'"u3"', b'"u4"', 1))
    with pytest.raises(BrokenPart) as raised:
        stage_day(imp, DAY)
    assert str(raised.value) == (
        f"part {part.name} of small/raw_export 2024-03-01 was altered since it was fetched (its sha256 is not the "
        "manifest's): materialize raw_export for 2024-03-01 again"
    )
    assert not imp.store.exists(staged_path(DAY))
    export_day(imp, DAY)
    assert stage_day(imp, DAY).rows == 40


def test_a_raw_part_that_was_altered_so_that_it_cannot_be_read_is_said_to_be_altered(tmp_path: Path) -> None:
    imp = importing(tmp_path)
    (part,) = export_day(imp, DAY).parts
    path = local(imp, f"raw_export/{DAY}/{part.name}")
    path.write_bytes(b"\x1f\x8b" + path.read_bytes()[2:])
    with pytest.raises(BrokenPart, match="was altered since it was fetched"):
        stage_day(imp, DAY)


@pytest.mark.parametrize("damage", [cut, flip_in_the_middle, emptied])
@pytest.mark.parametrize(
    ("relative", "step", "remedy"),
    [(staged_path(DAY), transform_day, "staged_events"), (events_path(DAY), deliver_day, "posthog_events")],
)
def test_a_damaged_file_of_a_step_is_named_with_what_to_do(
    tmp_path: Path, damage: Callable[[Path], None], relative: str, step: Callable[..., Any], remedy: str
) -> None:
    with CaptureServer() as server:
        imp = prepared(tmp_path, server.url)
        path = local(imp, relative)
        damage(path)
        with pytest.raises(DamagedFile) as raised:
            step(imp, DAY)
        assert str(path) in str(raised.value)
        assert remedy in str(raised.value)
        assert "materialize" in str(raised.value)
        assert server.stored == []


def test_a_column_whose_name_was_altered_is_named(tmp_path: Path) -> None:
    imp = prepared(tmp_path)
    path = local(imp, staged_path(DAY))
    path.write_bytes(path.read_bytes().replace(b"set_once", b"set_onbe"))
    with pytest.raises(DamagedFile, match=f"{path} .*it has no column set_once.*materialize staged_events"):
        transform_day(imp, DAY)


def test_another_parquet_file_in_the_place_of_the_staged_rows_is_named(tmp_path: Path) -> None:
    imp = prepared(tmp_path)
    path = local(imp, staged_path(DAY))
    local(imp, events_path(DAY)).replace(path)
    with pytest.raises(PosthogAssetsError, match=f"{path} .*materialize"):
        transform_day(imp, DAY)


@pytest.mark.parametrize("damage", [cut, flip_in_the_middle, emptied])
def test_a_damaged_batch_file_of_the_ledger_is_named_with_what_to_do(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    with CaptureServer() as server:
        imp = prepared(tmp_path, server.url)
        deliver_day(imp, DAY)
        file = sorted(local(imp, f"imported_batches/{DAY}/batches").iterdir())[1]
        damage(file)
        with pytest.raises(DamagedFile) as raised:
            deliver_day(imp, DAY)
        words = str(raised.value)
        assert str(file) in words
        assert "Restore it from a backup; or move it out of that folder and materialize imported_batches again" in words
        # As it says.
        file.rename(tmp_path / file.name)
        before = len(server.stored)
        assert deliver_day(imp, DAY).sent == len(server.stored) - before > 0


def test_a_stray_file_beside_the_batch_files_is_named_with_what_to_do(tmp_path: Path) -> None:
    with CaptureServer() as server:
        imp = prepared(tmp_path, server.url)
        deliver_day(imp, DAY)
        folder = local(imp, f"imported_batches/{DAY}/batches")
        first = sorted(folder.iterdir())[0]
        (folder / "Copy of 00000001.parquet").write_bytes(first.read_bytes())
        (folder / ".DS_Store").write_bytes(b"left by a desktop")
        with pytest.raises(DamagedFile, match=r"batches holds Copy of 00000001.parquet.* Move a copy out of"):
            deliver_day(imp, DAY)
        (folder / "Copy of 00000001.parquet").unlink()
        assert deliver_day(imp, DAY).sent == 0


def test_a_delivery_sends_one_version_of_the_events_whatever_another_run_stores_meanwhile(tmp_path: Path) -> None:
    changed: list[Import] = []

    def script(asked: Asked) -> None:
        if changed:
            transform_day(changed.pop(), DAY)

    with CaptureServer(script) as server:
        imp = prepared(tmp_path, server.url)
        changed.append(importing(tmp_path, server.url, mapping={"properties": {"add": {"origin": "second"}}}))
        report = deliver_day(imp, DAY)
        assert (report.acknowledged, report.owed) == (40, 0)
        assert [sent["properties"].get("origin") for sent in server.stored] == [None] * 40
        # The version that was stored meanwhile is known to be another one.
        report = deliver_day(importing(tmp_path, server.url), DAY)
        assert (report.changed, report.sent) == (40, 40)
        assert [sent["properties"].get("origin") for sent in server.stored[40:]] == ["second"] * 40
    note = orjson.loads(imp.store.read_bytes(f"imported_batches/{DAY}/settled.json"))
    assert note["landed_at"] is None


def test_the_files_of_a_settled_day_are_folded_and_a_re_run_reads_one(tmp_path: Path) -> None:
    with CaptureServer() as server:
        settings = {"host": server.url, "project_api_key": "phc_any", "batch_events": 3, "concurrency": 1}
        imp = importing(tmp_path, destination=settings)
        for step in (export_day, stage_day, transform_day):
            step(imp, DAY)
        report = deliver_day(imp, DAY)
        assert (report.acknowledged, report.batches) == (40, 14)
        assert len(imp.store.names(f"imported_batches/{DAY}/batches")) == 1
        again = deliver_day(imp, DAY)
        assert (again.already_acknowledged, again.sent) == (40, 0)
        assert len(pq.read_table(local(imp, f"imported_batches/{DAY}/ledger.parquet"))) == 14


def test_what_only_looks_at_a_day_names_damaged_files_too(tmp_path: Path) -> None:
    with CaptureServer() as server:
        imp = prepared(tmp_path, server.url)
        deliver_day(imp, DAY)
        summary, staged = local(imp, f"imported_batches/{DAY}/ledger.parquet"), local(imp, staged_path(DAY))
        cut(summary)
        with pytest.raises(DamagedFile, match=f"{summary} is cut off.*materialize the asset whose folder it lies in"):
            was_reopened(imp.store, DAY)
        cut(staged)
        with pytest.raises(DamagedFile, match=f"{staged} is cut off"):
            list(numbers_of(imp, [DAY]))
        # A run of the day writes what is derived again.
        stage_day(imp, DAY)
        assert deliver_day(imp, DAY).sent == 0
        assert not was_reopened(imp.store, DAY)
