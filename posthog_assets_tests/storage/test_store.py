"""The lock of a partition on a local disk."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from posthog_assets.core.errors import PartitionBusy
from posthog_assets.storage.store import Store

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
