"""What a delivery reads of a day."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from posthog_assets.core.schemas import POSTHOG_EVENTS
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.storage.layout import events_path
from posthog_assets.storage.parquet import ParquetSink
from posthog_assets.storage.store import Store
from posthog_assets_tests.destination.test_delivery import event
from posthog_assets_tests.fakes.capture_server import CaptureServer
from posthog_assets_tests.records.shop import DAY, make_project, write_import


class CountingFile(io.FileIO):
    """A file that counts the bytes that are read of it."""

    count = 0

    def readinto(self, buffer: Any) -> int | None:
        read = super().readinto(buffer)
        self.count += read or 0
        return read

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size)
        self.count += len(data or b"")
        return data or b""


def test_a_first_delivery_reads_the_events_at_most_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[CountingFile] = []
    ordinary = Store.open

    def counted(store: Store, relative: str) -> Any:
        if relative != events_path(DAY):
            return ordinary(store, relative)
        opened.append(CountingFile(str(store.path(relative).path)))
        return opened[-1]

    with CaptureServer() as server:
        imp = write_import(make_project(tmp_path), server.url)
        path = events_path(DAY)
        with imp.store.atomic_write(path) as file, ParquetSink(file, POSTHOG_EVENTS) as sink:
            for first in range(0, 4_000, 500):
                sink.write(pa.RecordBatch.from_pylist(events_from(first), schema=POSTHOG_EVENTS))
        monkeypatch.setattr(Store, "open", counted)
        report = deliver_day(imp, DAY)
    size = Path(imp.store.path(path).path).stat().st_size
    assert (report.acknowledged, len(opened)) == (4_000, 1)
    assert size > 3_000_000
    # Whose events are linked is found in one pass, they are sent in another; the file's end is read a few times more.
    assert 1 < opened[0].count / size < 2.25


def events_from(first: int) -> list[dict[str, Any]]:
    chance = random.Random(first)
    return [
        event(number, properties=f'{{"noise":"{chance.randbytes(1_000).hex()}"}}')
        if number % 4
        else event(
            number, event="$identify", properties=f'{{"$anon_distinct_id":"anon {number}","noise":"{chance.random()}"}}'
        )
        for number in range(first, first + 500)
    ]
