"""The locks of a store, and what killed runs left behind."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from posthog_assets.core.errors import PartitionBusy
from posthog_assets.storage.store import Store
from posthog_assets.storage.timing import Timing

DAY = "2024-03-01"


def test_a_partition_is_held_by_one(tmp_path: Path) -> None:
    one, other = (Store(str(tmp_path), "shop") for _ in range(2))
    with one.lock("raw_export", DAY):
        with other.lock("raw_export", "2024-03-02"), other.lock("staged_events", DAY):
            pass
        with pytest.raises(PartitionBusy, match="another run is materializing shop/raw_export for 2024-03-01"):
            other.lock("raw_export", DAY).__enter__()
    with other.lock("raw_export", DAY):
        pass


def test_a_lock_that_another_thread_ends_is_free(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "shop")
    held = store.lock("raw_export", DAY)
    with ThreadPoolExecutor(1) as other:
        other.submit(held.__enter__).result()
        # The thread that took it lives on.
        held.__exit__(None, None, None)
        with store.lock("raw_export", DAY):
            pass


def test_a_shared_lock_waits_for_whoever_has_it(tmp_path: Path) -> None:
    one, other = (Store(str(tmp_path), "shop") for _ in range(2))
    order: list[str] = []

    def wait() -> None:
        with other.shared_lock("split"):
            order.append("second")

    with one.shared_lock("split"):
        thread = threading.Thread(target=wait)
        thread.start()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_several_that_want_a_brief_lock_get_it_one_after_the_other(tmp_path: Path) -> None:
    quick = Timing(sleep=lambda seconds: time.sleep(seconds / 100))
    for url in (str(tmp_path), f"memory://brief-{uuid.uuid4().hex}"):
        store = Store(url, "shop", timing=quick)
        store.write_bytes("count", b"0")

        def count(store: Store = store) -> None:
            with store.brief_lock("counting"):
                seen = int(store.read_bytes("count"))
                time.sleep(0.02)
                store.write_bytes("count", str(seen + 1).encode())

        with ThreadPoolExecutor(4) as others:
            for counted in [others.submit(count) for _ in range(4)]:
                counted.result()
        assert store.read_bytes("count") == b"4"


def test_temporary_files_that_killed_runs_left_of_a_partition_go_with_its_next_run(tmp_path: Path) -> None:
    store, other = Store(str(tmp_path), "shop"), "2024-03-02"
    token = f".tmp-{'0a' * 16}"
    left = [
        f"staged_events/{token}-{DAY}.parquet", f"imported_batches/{DAY}/{token}-ledger.parquet",
        f"imported_batches/{DAY}/batches/{token}-00000001-0a0a0a0a.parquet",
    ]  # fmt: skip
    stay = [
        f"staged_events/{DAY}.parquet", f"staged_events/{token}-{other}.parquet",
        f"imported_batches/{other}/{token}-ledger.parquet", f"imported_batches/{DAY}/ledger.parquet",
    ]  # fmt: skip
    for name in [*left, *stay]:
        store.write_bytes(name, b"x")
    for asset in ("staged_events", "imported_batches"):
        with store.lock(asset, DAY):
            pass
    assert [name for name in [*left, *stay] if store.exists(name)] == stay
