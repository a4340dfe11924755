"""Who holds a lease, whatever clocks say and whoever is stopped for however long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import fsspec
import orjson
import pytest

from posthog_assets.core.errors import PartitionBusy, PartitionLost, StorageError
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.storage import leases
from posthog_assets.storage.leases import Held, Lease
from posthog_assets.storage.store import Store
from posthog_assets.storage.timing import Timing
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.capture_server import Asked, CaptureServer

PATH = "/leases/a-1.json"
DAY = date(2024, 3, 1)

#: `leases.lease`, with the clock of the test.
Leasing = Callable[..., AbstractContextManager[Lease]]


class Clock:
    """A clock that goes on while somebody waits; nothing is renewed unless *waiting* does it."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.waiting: Callable[[], None] = lambda: None

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.waiting()

    @property
    def timing(self) -> Timing:
        return Timing(now=self.now, sleep=self.sleep)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease(clock: Clock) -> Leasing:
    """Return `leases.lease`, by the clock."""
    return lambda files, path, what="the lease": leases.lease(files, path, what, clock.timing)


@pytest.fixture
def files() -> Iterator[Any]:
    found = fsspec.filesystem("memory")
    yield found
    for path in ("/leases", "/fencing"):
        if found.exists(path):
            found.rm(path, recursive=True)


class Unconditional:
    """A store that cannot say whether an object is new."""

    def __init__(self, files: Any) -> None:
        self._files = files

    def pipe_file(self, path: str, content: bytes, mode: str = "overwrite") -> None:
        if mode == "create":
            raise NotImplementedError
        self._files.pipe_file(path, content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)


def noted(files: Any, path: str = PATH) -> dict[str, Any]:
    content: dict[str, Any] = orjson.loads(files.cat_file(path))
    return content


def left(files: Any) -> list[str]:
    return sorted(files.ls("/leases", detail=False)) if files.exists("/leases") else []


def test_a_lease_is_given_back(files: Any, lease: Leasing) -> None:
    with lease(files, PATH) as held:
        held.check()
        held.confirm()
        assert (held.number, noted(files)["number"]) == (1, 1)
    assert left(files) == []


def test_a_lease_that_does_not_change_is_taken_over_under_the_next_number(
    files: Any, lease: Leasing, clock: Clock
) -> None:
    with lease(files, PATH) as stopped:
        began = clock.seconds
        with lease(files, PATH, "shop/a for 1") as held:
            assert 75 < clock.seconds - began < 85
            assert (stopped.number, held.number, noted(files)["number"]) == (1, 2, 2)
            held.confirm()
            with pytest.raises(PartitionLost, match=r"could not renew its lease for \d\d s"):
                stopped.check()
        assert left(files) == []


def test_a_machine_whose_clocks_all_stood_still_finds_out_from_the_store(
    files: Any, lease: Leasing, clock: Clock
) -> None:
    with lease(files, PATH, "shop/a for 1") as stopped, lease(files, PATH) as held:
        stopped._renewed_at = clock.now()
        stopped.check()
        with pytest.raises(PartitionLost, match=r"no longer holds shop/a for 1: it was taken over by process \d+ on "):
            stopped.confirm()
        with pytest.raises(PartitionLost):
            stopped.check()
        held.confirm()


@pytest.mark.parametrize("hours", [-24, -0.03, 0.03, 24])
def test_a_lease_that_changes_is_a_living_ones_whatever_its_clock_says(
    files: Any, lease: Leasing, clock: Clock, monkeypatch: pytest.MonkeyPatch, hours: float
) -> None:
    def renewed() -> None:
        if clock.seconds % 15 == 0:
            monkeypatch.setattr(time, "time", lambda: now + 3600 * hours)
            files.pipe_file(PATH, leases._content("another machine"))
            monkeypatch.setattr(time, "time", lambda: now)

    now = time.time()
    renewed()
    files.pipe_file(PATH, leases._content("another machine"))
    clock.waiting = renewed
    with pytest.raises(Held, match="process"), lease(files, PATH):
        pass
    assert clock.seconds < 1020
    assert noted(files)["owner"] == "another machine"


@pytest.mark.parametrize("hours", [-24, 24])
def test_a_dead_ones_lease_is_free_after_the_normal_wait_whatever_its_clock_said(
    files: Any, lease: Leasing, clock: Clock, hours: float
) -> None:
    # As release 0.1 wrote it.
    left_by = {"owner": "dead", "host": "far", "process": 7, "renewed_at": time.time() + 3600 * hours}
    files.pipe_file(PATH, orjson.dumps(left_by))
    with lease(files, PATH) as held:
        assert 1075 < clock.seconds < 1085
        assert held.number == 2


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[]", b'{"owner":', b'{"number":"x","owner":"y"}'])
def test_an_unreadable_lease_is_named_after_the_normal_wait(
    files: Any, lease: Leasing, clock: Clock, content: bytes
) -> None:
    files.pipe_file(PATH, content)
    with pytest.raises(StorageError, match=rf"the lease {PATH} cannot be read .* delete that file; then run this"):
        with lease(files, PATH):
            pass
    assert 1075 < clock.seconds < 1085
    files.rm_file(PATH)
    with lease(files, PATH):
        pass


def test_what_a_stopped_process_writes_late_does_not_count(files: Any, lease: Leasing) -> None:
    with lease(files, PATH) as stopped:
        late = files.cat_file(PATH)
        with lease(files, PATH) as held:
            files.pipe_file(PATH, late)
            held.confirm()
            assert noted(files)["number"] == 2
            with pytest.raises(PartitionLost):
                stopped.confirm()
            files.rm_file(PATH)
            held.confirm()
            assert noted(files)["number"] == 2


def test_a_take_over_that_ended_in_the_middle_is_taken_over_too(files: Any, lease: Leasing, clock: Clock) -> None:
    files.pipe_file(PATH, leases._content("dead", 4))
    files.pipe_file(f"{PATH}.5", leases._content("died before it wrote the lease", 5))
    with lease(files, PATH) as held:
        assert 1150 < clock.seconds < 1165
        assert held.number == 6
    assert left(files) == []


def test_a_store_without_conditional_writes_gives_leases_too(files: Any, lease: Leasing) -> None:
    plain = Unconditional(files)
    with lease(plain, PATH) as stopped, lease(plain, PATH) as held:
        assert (stopped.number, held.number) == (1, 2)
        held.confirm()
        with pytest.raises(PartitionLost):
            stopped.confirm()


def test_a_partition_that_is_held_is_said_to_be_busy_and_an_unreadable_lease_is_named(files: Any, clock: Clock) -> None:
    one, other = (Store("memory://fencing", "shop", timing=clock.timing) for _ in range(2))
    with ExitStack() as stack:
        held: Any = stack.enter_context(one.lock("raw_export", "2024-03-01"))
        clock.waiting = held._write
        with pytest.raises(PartitionBusy, match=r"is materializing shop/raw_export for 2024-03-01 \(process"):
            stack.enter_context(other.lock("raw_export", "2024-03-01"))
    clock.waiting = lambda: None
    other.write_bytes(".locks/raw_export-2024-03-01.json", b"?")
    with pytest.raises(StorageError, match=r"fencing/shop/.locks/raw_export-2024-03-01.json cannot be read"):
        with other.lock("raw_export", "2024-03-01"):
            pass


def test_a_delivery_that_lost_its_day_sends_and_records_nothing_more(tmp_path: Path, files: Any, clock: Clock) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / f"exports/{DAY}.jsonl").write_text(
        "".join(f'{{"id":"{n}","user":"u{n}","at":"2024-03-01T10:00:{n:02}Z","what":"page"}}\n' for n in range(40))
    )
    asked = 0

    def script(request: Asked) -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            # The process is stopped while PostHog answers.
            clock.seconds += 61

    with CaptureServer(script) as server:
        imp = small_import(
            tmp_path, storage="memory://fencing",
            destination={"host": server.url, "project_api_key": "phc_any", "batch_events": 5, "concurrency": 1},
        ).stored_in(Store("memory://fencing", "small", timing=clock.timing))  # fmt: skip
        for step in (export_day, stage_day, transform_day):
            step(imp, DAY)
        with pytest.raises(PartitionLost, match="no longer holds small/imported_batches for 2024-03-01"):
            deliver_day(imp, DAY)
        assert len(server.requests) == 3
        assert len(imp.store.names(f"imported_batches/{DAY}/batches")) <= 2
        report = deliver_day(imp, DAY)
        assert (report.acknowledged, report.owed) == (40, 0)
        assert len(server.uuids()) <= 50
        assert len(set(server.uuids())) == 40
